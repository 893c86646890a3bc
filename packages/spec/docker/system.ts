import { type Static, Type } from "@sinclair/typebox";
import { BuildCache } from "./build.ts";
import { ContainerSummary } from "./container.ts";
import { ImageSummary } from "./image.ts";
import { StringMap, Strings } from "./schema.ts";
import { Volume } from "./volume.ts";

const nullableStrings = Type.Union([Strings, Type.Null()]);

/** A part of the engine in GET /version. */
export const ComponentVersion = Type.Object({
  Name: Type.String(),
  Version: Type.String(),
  Details: Type.Optional(StringMap),
});
export type ComponentVersion = Static<typeof ComponentVersion>;

/** Answer of GET /version. */
export const SystemVersion = Type.Object({
  Platform: Type.Optional(Type.Object({ Name: Type.String() })),
  Components: Type.Optional(Type.Array(ComponentVersion)),
  Version: Type.String(),
  ApiVersion: Type.String(),
  MinAPIVersion: Type.Optional(Type.String()),
  GitCommit: Type.String(),
  GoVersion: Type.String(),
  Os: Type.String(),
  Arch: Type.String(),
  KernelVersion: Type.Optional(Type.String()),
  Experimental: Type.Optional(Type.Boolean()),
  BuildTime: Type.Optional(Type.String()),
});
export type SystemVersion = Static<typeof SystemVersion>;

/** A tool's version in info. */
export const Commit = Type.Object({ ID: Type.String(), Expected: Type.Optional(Type.String()) });
export type Commit = Static<typeof Commit>;

/** A runtime that containers can choose. */
export const Runtime = Type.Object({
  path: Type.Optional(Type.String()),
  runtimeArgs: Type.Optional(Strings),
  runtimeType: Type.Optional(Type.String()),
  options: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  status: Type.Optional(StringMap),
});
export type Runtime = Static<typeof Runtime>;

/** One registry as the engine sees it. */
export const IndexInfo = Type.Object({
  Name: Type.String(),
  Mirrors: nullableStrings,
  Secure: Type.Boolean(),
  Official: Type.Boolean(),
});
export type IndexInfo = Static<typeof IndexInfo>;

export const RegistryServiceConfig = Type.Object({
  AllowNondistributableArtifactsCIDRs: Type.Optional(nullableStrings),
  AllowNondistributableArtifactsHostnames: Type.Optional(nullableStrings),
  InsecureRegistryCIDRs: nullableStrings,
  IndexConfigs: Type.Record(Type.String(), IndexInfo),
  Mirrors: nullableStrings,
});
export type RegistryServiceConfig = Static<typeof RegistryServiceConfig>;

/** Answer of GET /info. */
export const SystemInfo = Type.Object({
  ID: Type.String(),
  Containers: Type.Integer(),
  ContainersRunning: Type.Integer(),
  ContainersPaused: Type.Integer(),
  ContainersStopped: Type.Integer(),
  Images: Type.Integer(),
  Driver: Type.String(),
  DriverStatus: Type.Array(Strings),
  SystemStatus: Type.Optional(Type.Array(Strings)),
  Plugins: Type.Object({
    Volume: nullableStrings,
    Network: nullableStrings,
    Authorization: nullableStrings,
    Log: nullableStrings,
  }),
  MemoryLimit: Type.Boolean(),
  SwapLimit: Type.Boolean(),
  KernelMemory: Type.Optional(Type.Boolean()),
  KernelMemoryTCP: Type.Optional(Type.Boolean()),
  CpuCfsPeriod: Type.Boolean(),
  CpuCfsQuota: Type.Boolean(),
  CPUShares: Type.Boolean(),
  CPUSet: Type.Boolean(),
  PidsLimit: Type.Boolean(),
  IPv4Forwarding: Type.Boolean(),
  BridgeNfIptables: Type.Optional(Type.Boolean()),
  BridgeNfIp6tables: Type.Optional(Type.Boolean()),
  Debug: Type.Boolean(),
  NFd: Type.Integer(),
  OomKillDisable: Type.Boolean(),
  NGoroutines: Type.Integer(),
  SystemTime: Type.String(),
  LoggingDriver: Type.String(),
  CgroupDriver: Type.String(),
  CgroupVersion: Type.Optional(Type.String()),
  NEventsListener: Type.Integer(),
  KernelVersion: Type.String(),
  OperatingSystem: Type.String(),
  OSVersion: Type.String(),
  OSType: Type.String(),
  Architecture: Type.String(),
  IndexServerAddress: Type.String(),
  RegistryConfig: Type.Union([RegistryServiceConfig, Type.Null()]),
  NCPU: Type.Integer(),
  MemTotal: Type.Integer(),
  GenericResources: Type.Union([Type.Array(Type.Unknown()), Type.Null()]),
  DockerRootDir: Type.String(),
  HttpProxy: Type.String(),
  HttpsProxy: Type.String(),
  NoProxy: Type.String(),
  Name: Type.String(),
  Labels: nullableStrings,
  ExperimentalBuild: Type.Boolean(),
  ServerVersion: Type.String(),
  Runtimes: Type.Record(Type.String(), Runtime),
  DefaultRuntime: Type.String(),
  Swarm: Type.Object({
    NodeID: Type.String(),
    NodeAddr: Type.String(),
    LocalNodeState: Type.String(),
    ControlAvailable: Type.Boolean(),
    Error: Type.String(),
    RemoteManagers: Type.Union([Type.Array(Type.Unknown()), Type.Null()]),
  }),
  LiveRestoreEnabled: Type.Boolean(),
  Isolation: Type.String(),
  InitBinary: Type.String(),
  ContainerdCommit: Commit,
  RuncCommit: Commit,
  InitCommit: Commit,
  SecurityOptions: nullableStrings,
  ProductLicense: Type.Optional(Type.String()),
  DefaultAddressPools: Type.Optional(Type.Array(Type.Object({ Base: Type.String(), Size: Type.Integer() }))),
  FirewallBackend: Type.Optional(Type.Object({ Driver: Type.String(), Info: Type.Optional(Type.Array(Strings)) })),
  DiscoveredDevices: Type.Optional(Type.Array(Type.Object({ Source: Type.String(), ID: Type.String() }))),
  CDISpecDirs: nullableStrings,
  Containerd: Type.Optional(Type.Unknown()),
  Warnings: nullableStrings,
});
export type SystemInfo = Static<typeof SystemInfo>;

/** A sum of one kind of object in system df (API 1.52). Sizes in bytes. */
const usage = {
  ActiveCount: Type.Optional(Type.Integer()),
  TotalCount: Type.Optional(Type.Integer()),
  Reclaimable: Type.Optional(Type.Integer()),
  TotalSize: Type.Optional(Type.Integer()),
};

/** Answer of GET /system/df. Lists up to API 1.51 (and 1.52 on demand), `…Usage` sums from 1.52 on. */
export const DiskUsage = Type.Object({
  LayersSize: Type.Optional(Type.Integer()),
  Images: Type.Optional(Type.Union([Type.Array(ImageSummary), Type.Null()])),
  Containers: Type.Optional(Type.Union([Type.Array(ContainerSummary), Type.Null()])),
  Volumes: Type.Optional(Type.Union([Type.Array(Volume), Type.Null()])),
  BuildCache: Type.Optional(Type.Union([Type.Array(BuildCache), Type.Null()])),
  BuilderSize: Type.Optional(Type.Integer()),
  ImageUsage: Type.Optional(Type.Object({ ...usage, Items: Type.Optional(Type.Array(ImageSummary)) })),
  ContainerUsage: Type.Optional(Type.Object({ ...usage, Items: Type.Optional(Type.Array(ContainerSummary)) })),
  VolumeUsage: Type.Optional(Type.Object({ ...usage, Items: Type.Optional(Type.Array(Volume)) })),
  BuildCacheUsage: Type.Optional(Type.Object({ ...usage, Items: Type.Optional(Type.Array(BuildCache)) })),
});
export type DiskUsage = Static<typeof DiskUsage>;
