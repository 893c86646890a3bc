import { type Static, Type } from "@sinclair/typebox";
import { maybe, StringMap, Strings } from "./schema.ts";

/** A volume. `UsageData` only in system df: size -1 where unknown. */
export const Volume = Type.Object({
  CreatedAt: Type.Optional(Type.String()),
  Driver: Type.String(),
  Labels: Type.Union([StringMap, Type.Null()]),
  Mountpoint: Type.String(),
  Name: Type.String(),
  Options: Type.Union([StringMap, Type.Null()]),
  Scope: Type.String(),
  Status: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  UsageData: Type.Optional(Type.Object({ RefCount: Type.Integer(), Size: Type.Integer() })),
});
export type Volume = Static<typeof Volume>;

/** Body of POST /volumes/create. */
export const VolumeCreate = Type.Object({
  Name: maybe(Type.String()),
  Driver: maybe(Type.String()),
  DriverOpts: maybe(StringMap),
  Labels: maybe(StringMap),
});
export type VolumeCreate = Static<typeof VolumeCreate>;

/** Answer of GET /volumes. */
export const VolumeListResponse = Type.Object({
  Volumes: Type.Union([Type.Array(Volume), Type.Null()]),
  Warnings: Type.Union([Strings, Type.Null()]),
});
export type VolumeListResponse = Static<typeof VolumeListResponse>;

/** Answer of POST /volumes/prune. */
export const VolumePruneResponse = Type.Object({
  VolumesDeleted: Type.Union([Strings, Type.Null()]),
  SpaceReclaimed: Type.Integer(),
});
export type VolumePruneResponse = Static<typeof VolumePruneResponse>;
