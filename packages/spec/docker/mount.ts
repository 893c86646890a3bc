import { type Static, Type } from "@sinclair/typebox";
import { maybe, StringMap, Strings, Unsigned } from "./schema.ts";

/** Options of a bind mount in `HostConfig.Mounts`. */
export const MountBindOptions = Type.Object({
  Propagation: maybe(Type.String()),
  NonRecursive: maybe(Type.Boolean()),
  CreateMountpoint: maybe(Type.Boolean()),
  ReadOnlyNonRecursive: maybe(Type.Boolean()),
  ReadOnlyForceRecursive: maybe(Type.Boolean()),
});
export type MountBindOptions = Static<typeof MountBindOptions>;

/** A volume driver and its options. */
export const MountDriverConfig = Type.Object({ Name: maybe(Type.String()), Options: maybe(StringMap) });
export type MountDriverConfig = Static<typeof MountDriverConfig>;

/** Options of a volume in `HostConfig.Mounts`. */
export const MountVolumeOptions = Type.Object({
  NoCopy: maybe(Type.Boolean()),
  Labels: maybe(StringMap),
  Subpath: maybe(Type.String()),
  DriverConfig: maybe(MountDriverConfig),
});
export type MountVolumeOptions = Static<typeof MountVolumeOptions>;

/** Options of an image mount (API 1.48). */
export const MountImageOptions = Type.Object({ Subpath: maybe(Type.String()) });
export type MountImageOptions = Static<typeof MountImageOptions>;

/** Options of a tmpfs: size in bytes, mode as a number (not octal text); each option one or two strings. */
export const MountTmpfsOptions = Type.Object({
  SizeBytes: maybe(Type.Integer()),
  Mode: maybe(Unsigned),
  Options: maybe(Type.Array(Strings)),
});
export type MountTmpfsOptions = Static<typeof MountTmpfsOptions>;

/** A mount that a client asks for (`HostConfig.Mounts`). Types: bind, volume, image, tmpfs, npipe, cluster. */
export const Mount = Type.Object({
  Type: maybe(Type.String()),
  Source: maybe(Type.String()),
  Target: maybe(Type.String()),
  ReadOnly: maybe(Type.Boolean()),
  Consistency: maybe(Type.String()),
  BindOptions: maybe(MountBindOptions),
  VolumeOptions: maybe(MountVolumeOptions),
  ImageOptions: maybe(MountImageOptions),
  TmpfsOptions: maybe(MountTmpfsOptions),
  ClusterOptions: maybe(Type.Object({})),
});
export type Mount = Static<typeof Mount>;

/** A mount as inspect and ps tell it. `Mode` is the text after the second colon of `-v`. */
export const MountPoint = Type.Object({
  Type: Type.String(),
  Name: Type.Optional(Type.String()),
  Source: Type.String(),
  Destination: Type.String(),
  Driver: Type.Optional(Type.String()),
  Mode: Type.String(),
  RW: Type.Boolean(),
  Propagation: Type.String(),
});
export type MountPoint = Static<typeof MountPoint>;
