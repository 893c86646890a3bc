import { type Static, Type } from "@sinclair/typebox";
import { ContainerConfig, ContainerConfigRequest } from "./container-config.ts";
import { HostConfig } from "./host-config.ts";
import { MountPoint } from "./mount.ts";
import { EndpointSettings, NetworkingConfig } from "./network.ts";
import { PortMap, PortSummary } from "./port.ts";
import { maybe, StringMap, Strings } from "./schema.ts";

/** Body of POST /containers/create. */
export const ContainerCreateRequest = Type.Composite([
  ContainerConfigRequest,
  Type.Object({ HostConfig: maybe(HostConfig), NetworkingConfig: maybe(NetworkingConfig) }),
]);
export type ContainerCreateRequest = Static<typeof ContainerCreateRequest>;

/** Answer of POST /containers/create. */
export const ContainerCreateResponse = Type.Object({ Id: Type.String(), Warnings: Strings });
export type ContainerCreateResponse = Static<typeof ContainerCreateResponse>;

/** The status words of a container. */
export const ContainerStatus = Type.Union([
  Type.Literal("created"),
  Type.Literal("running"),
  Type.Literal("paused"),
  Type.Literal("restarting"),
  Type.Literal("removing"),
  Type.Literal("exited"),
  Type.Literal("dead"),
]);
export type ContainerStatus = Static<typeof ContainerStatus>;

/** One run of a health check. */
export const HealthcheckResult = Type.Object({
  Start: Type.String(),
  End: Type.String(),
  ExitCode: Type.Integer(),
  Output: Type.String(),
});
export type HealthcheckResult = Static<typeof HealthcheckResult>;

/** Health of a container: status is none, starting, healthy or unhealthy; the last five runs. */
export const Health = Type.Object({
  Status: Type.String(),
  FailingStreak: Type.Integer(),
  Log: Type.Union([Type.Array(HealthcheckResult), Type.Null()]),
});
export type Health = Static<typeof Health>;

/** Health in the container list (API 1.52). */
export const HealthSummary = Type.Object({ Status: Type.String(), FailingStreak: Type.Integer() });
export type HealthSummary = Static<typeof HealthSummary>;

/** State of a container. Times in RFC 3339 with nanoseconds; year one where it never happened. */
export const ContainerState = Type.Object({
  Status: ContainerStatus,
  Running: Type.Boolean(),
  Paused: Type.Boolean(),
  Restarting: Type.Boolean(),
  OOMKilled: Type.Boolean(),
  Dead: Type.Boolean(),
  Pid: Type.Integer(),
  ExitCode: Type.Integer(),
  Error: Type.String(),
  StartedAt: Type.String(),
  FinishedAt: Type.String(),
  Health: Type.Optional(Health),
});
export type ContainerState = Static<typeof ContainerState>;

/** The storage driver's data of a container or image. */
export const DriverData = Type.Object({ Name: Type.String(), Data: Type.Union([StringMap, Type.Null()]) });
export type DriverData = Static<typeof DriverData>;

/** One address with its prefix length. */
export const NetworkAddress = Type.Object({ Addr: Type.String(), PrefixLen: Type.Integer() });
export type NetworkAddress = Static<typeof NetworkAddress>;

/** The network part of a container's inspect. The fields of the default bridge end with API 1.51. */
export const NetworkSettings = Type.Object({
  Bridge: Type.Optional(Type.String()),
  SandboxID: Type.String(),
  SandboxKey: Type.String(),
  Ports: PortMap,
  HairpinMode: Type.Optional(Type.Boolean()),
  LinkLocalIPv6Address: Type.Optional(Type.String()),
  LinkLocalIPv6PrefixLen: Type.Optional(Type.Integer()),
  SecondaryIPAddresses: Type.Optional(Type.Union([Type.Array(NetworkAddress), Type.Null()])),
  SecondaryIPv6Addresses: Type.Optional(Type.Union([Type.Array(NetworkAddress), Type.Null()])),
  EndpointID: Type.Optional(Type.String()),
  Gateway: Type.Optional(Type.String()),
  GlobalIPv6Address: Type.Optional(Type.String()),
  GlobalIPv6PrefixLen: Type.Optional(Type.Integer()),
  IPAddress: Type.Optional(Type.String()),
  IPPrefixLen: Type.Optional(Type.Integer()),
  IPv6Gateway: Type.Optional(Type.String()),
  MacAddress: Type.Optional(Type.String()),
  Networks: Type.Record(Type.String(), EndpointSettings),
});
export type NetworkSettings = Static<typeof NetworkSettings>;

/** Answer of GET /containers/{id}/json. */
export const ContainerInspect = Type.Object({
  Id: Type.String(),
  Created: Type.String(),
  Path: Type.String(),
  Args: Strings,
  State: ContainerState,
  Image: Type.String(),
  ResolvConfPath: Type.String(),
  HostnamePath: Type.String(),
  HostsPath: Type.String(),
  LogPath: Type.String(),
  Name: Type.String(),
  RestartCount: Type.Integer(),
  Driver: Type.String(),
  Platform: Type.String(),
  ImageManifestDescriptor: Type.Optional(Type.Unknown()),
  MountLabel: Type.String(),
  ProcessLabel: Type.String(),
  AppArmorProfile: Type.String(),
  ExecIDs: Type.Union([Strings, Type.Null()]),
  HostConfig: HostConfig,
  GraphDriver: Type.Optional(DriverData),
  Storage: Type.Optional(Type.Unknown()),
  SizeRw: Type.Optional(Type.Integer()),
  SizeRootFs: Type.Optional(Type.Integer()),
  Mounts: Type.Array(MountPoint),
  Config: ContainerConfig,
  NetworkSettings: NetworkSettings,
});
export type ContainerInspect = Static<typeof ContainerInspect>;

/** A container in GET /containers/json. `Created` in seconds since 1970. */
export const ContainerSummary = Type.Object({
  Id: Type.String(),
  Names: Strings,
  Image: Type.String(),
  ImageID: Type.String(),
  ImageManifestDescriptor: Type.Optional(Type.Unknown()),
  Command: Type.String(),
  Created: Type.Integer(),
  Ports: Type.Array(PortSummary),
  SizeRw: Type.Optional(Type.Integer()),
  SizeRootFs: Type.Optional(Type.Integer()),
  Labels: StringMap,
  State: ContainerStatus,
  Status: Type.String(),
  HostConfig: Type.Object({ NetworkMode: Type.Optional(Type.String()), Annotations: Type.Optional(StringMap) }),
  Health: Type.Optional(HealthSummary),
  NetworkSettings: Type.Union([Type.Object({ Networks: Type.Record(Type.String(), EndpointSettings) }), Type.Null()]),
  Mounts: Type.Array(MountPoint),
});
export type ContainerSummary = Static<typeof ContainerSummary>;

/** A changed path against the image: 0 modified, 1 added, 2 deleted. */
export const Change = Type.Object({ Path: Type.String(), Kind: Type.Integer({ minimum: 0, maximum: 2 }) });
export type Change = Static<typeof Change>;

/** Answer of GET /containers/{id}/top. */
export const TopResponse = Type.Object({ Titles: Strings, Processes: Type.Array(Strings) });
export type TopResponse = Static<typeof TopResponse>;

/** Answer of POST /containers/{id}/wait. */
export const WaitResponse = Type.Object({
  StatusCode: Type.Integer(),
  Error: Type.Optional(Type.Union([Type.Object({ Message: Type.Optional(Type.String()) }), Type.Null()])),
});
export type WaitResponse = Static<typeof WaitResponse>;

/** Answer of POST /containers/prune. */
export const ContainerPruneResponse = Type.Object({
  ContainersDeleted: Type.Union([Strings, Type.Null()]),
  SpaceReclaimed: Type.Integer(),
});
export type ContainerPruneResponse = Static<typeof ContainerPruneResponse>;

/** The `X-Docker-Container-Path-Stat` header, JSON in base64. `mode` is Go's file mode. */
export const ContainerPathStat = Type.Object({
  name: Type.String(),
  size: Type.Integer(),
  mode: Type.Integer(),
  mtime: Type.String(),
  linkTarget: Type.String(),
});
export type ContainerPathStat = Static<typeof ContainerPathStat>;
