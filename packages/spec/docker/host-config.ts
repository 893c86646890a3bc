import { type Static, Type } from "@sinclair/typebox";
import { Mount } from "./mount.ts";
import { PortMap } from "./port.ts";
import { Resources, RestartPolicy } from "./resources.ts";
import { maybe, StringMap, Strings, Unsigned } from "./schema.ts";

/** A log driver and its options. */
export const LogConfig = Type.Object({ Type: maybe(Type.String()), Config: maybe(StringMap) });
export type LogConfig = Static<typeof LogConfig>;

/** What of a container concerns the host: mounts, ports, limits, privileges, policies. */
export const HostConfig = Type.Composite([
  Resources,
  Type.Object({
    Binds: maybe(Strings),
    ContainerIDFile: maybe(Type.String()),
    LogConfig: maybe(LogConfig),
    NetworkMode: maybe(Type.String()),
    PortBindings: maybe(PortMap),
    RestartPolicy: maybe(RestartPolicy),
    AutoRemove: maybe(Type.Boolean()),
    VolumeDriver: maybe(Type.String()),
    VolumesFrom: maybe(Strings),
    /** Rows and columns, in that order. */
    ConsoleSize: maybe(Type.Array(Unsigned)),
    Annotations: maybe(StringMap),
    CapAdd: maybe(Strings),
    CapDrop: maybe(Strings),
    CgroupnsMode: maybe(Type.String()),
    Dns: maybe(Strings),
    DnsOptions: maybe(Strings),
    DnsSearch: maybe(Strings),
    ExtraHosts: maybe(Strings),
    GroupAdd: maybe(Strings),
    IpcMode: maybe(Type.String()),
    Cgroup: maybe(Type.String()),
    Links: maybe(Strings),
    OomScoreAdj: maybe(Type.Integer()),
    PidMode: maybe(Type.String()),
    Privileged: maybe(Type.Boolean()),
    PublishAllPorts: maybe(Type.Boolean()),
    ReadonlyRootfs: maybe(Type.Boolean()),
    SecurityOpt: maybe(Strings),
    StorageOpt: maybe(StringMap),
    Tmpfs: maybe(StringMap),
    UTSMode: maybe(Type.String()),
    UsernsMode: maybe(Type.String()),
    ShmSize: maybe(Type.Integer()),
    Sysctls: maybe(StringMap),
    Runtime: maybe(Type.String()),
    Isolation: maybe(Type.String()),
    Mounts: maybe(Type.Array(Mount)),
    /** null: the defaults; an empty list: none. */
    MaskedPaths: maybe(Strings),
    ReadonlyPaths: maybe(Strings),
    Init: maybe(Type.Boolean()),
  }),
]);
export type HostConfig = Static<typeof HostConfig>;
