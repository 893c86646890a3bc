import { type Static, Type } from "@sinclair/typebox";
import { PortMap } from "./port.ts";
import { maybe, StringMap, Strings, Unsigned, Unsigned16 } from "./schema.ts";

/** A relative block IO weight for one device. */
export const WeightDevice = Type.Object({ Path: maybe(Type.String()), Weight: maybe(Unsigned16) });
export type WeightDevice = Static<typeof WeightDevice>;

/** A rate limit for one device: bytes or operations a second. */
export const ThrottleDevice = Type.Object({ Path: maybe(Type.String()), Rate: maybe(Unsigned) });
export type ThrottleDevice = Static<typeof ThrottleDevice>;

/** A host device given to a container; permissions are letters of `rwm`. */
export const DeviceMapping = Type.Object({
  PathOnHost: maybe(Type.String()),
  PathInContainer: maybe(Type.String()),
  CgroupPermissions: maybe(Type.String()),
});
export type DeviceMapping = Static<typeof DeviceMapping>;

/** A request to a device driver (`--gpus`, CDI). Count -1 is all. Capabilities: an OR of ANDs. */
export const DeviceRequest = Type.Object({
  Driver: maybe(Type.String()),
  Count: maybe(Type.Integer()),
  DeviceIDs: maybe(Strings),
  Capabilities: maybe(Type.Array(Strings)),
  Options: maybe(StringMap),
});
export type DeviceRequest = Static<typeof DeviceRequest>;

/** A process limit; -1 is unlimited. */
export const Ulimit = Type.Object({
  Name: maybe(Type.String()),
  Soft: maybe(Type.Integer()),
  Hard: maybe(Type.Integer()),
});
export type Ulimit = Static<typeof Ulimit>;

const resourceFields = {
  /** Relative weight, 0 for the default. */
  CpuShares: maybe(Type.Integer()),
  /** Bytes, 0 for no limit. */
  Memory: maybe(Type.Integer()),
  /** Billionths of a CPU. */
  NanoCpus: maybe(Type.Integer()),
  CgroupParent: maybe(Type.String()),
  BlkioWeight: maybe(Unsigned16),
  BlkioWeightDevice: maybe(Type.Array(WeightDevice)),
  BlkioDeviceReadBps: maybe(Type.Array(ThrottleDevice)),
  BlkioDeviceWriteBps: maybe(Type.Array(ThrottleDevice)),
  BlkioDeviceReadIOps: maybe(Type.Array(ThrottleDevice)),
  BlkioDeviceWriteIOps: maybe(Type.Array(ThrottleDevice)),
  /** Microseconds. */
  CpuPeriod: maybe(Type.Integer()),
  CpuQuota: maybe(Type.Integer()),
  CpuRealtimePeriod: maybe(Type.Integer()),
  CpuRealtimeRuntime: maybe(Type.Integer()),
  CpusetCpus: maybe(Type.String()),
  CpusetMems: maybe(Type.String()),
  Devices: maybe(Type.Array(DeviceMapping)),
  DeviceCgroupRules: maybe(Strings),
  DeviceRequests: maybe(Type.Array(DeviceRequest)),
  KernelMemory: maybe(Type.Integer()),
  KernelMemoryTCP: maybe(Type.Integer()),
  MemoryReservation: maybe(Type.Integer()),
  /** Memory plus swap in bytes; -1 for unlimited swap. */
  MemorySwap: maybe(Type.Integer()),
  MemorySwappiness: maybe(Type.Integer()),
  OomKillDisable: maybe(Type.Boolean()),
  PidsLimit: maybe(Type.Integer()),
  Ulimits: maybe(Type.Array(Ulimit)),
  /** Windows only; carried along. */
  CpuCount: maybe(Type.Integer()),
  CpuPercent: maybe(Type.Integer()),
  IOMaximumIOps: maybe(Unsigned),
  IOMaximumBandwidth: maybe(Unsigned),
};

/** What a container may use (the part of HostConfig that update can change). */
export const Resources = Type.Object(resourceFields);
export type Resources = Static<typeof Resources>;

/** When a container is started anew: no, always, on-failure, unless-stopped. */
export const RestartPolicy = Type.Object({ Name: maybe(Type.String()), MaximumRetryCount: maybe(Type.Integer()) });
export type RestartPolicy = Static<typeof RestartPolicy>;

/** Body of POST /containers/{id}/update. */
export const UpdateConfig = Type.Object({
  ...resourceFields,
  RestartPolicy: maybe(RestartPolicy),
  /** Gantry's own: ports to publish, and to close, as in HostConfig.PortBindings. */
  PublishAdd: maybe(PortMap),
  PublishRemove: maybe(PortMap),
});
export type UpdateConfig = Static<typeof UpdateConfig>;

/** Answer of POST /containers/{id}/update. */
export const UpdateResponse = Type.Object({ Warnings: Type.Union([Strings, Type.Null()]) });
export type UpdateResponse = Static<typeof UpdateResponse>;
