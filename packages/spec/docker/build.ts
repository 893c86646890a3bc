import { type Static, Type } from "@sinclair/typebox";
import { Strings } from "./schema.ts";

/** A record of the build cache. Types: internal, frontend, source.local, source.git.checkout, exec.cachemount, regular. */
export const BuildCache = Type.Object({
  ID: Type.String(),
  Parents: Type.Optional(Strings),
  Type: Type.String(),
  Description: Type.String(),
  InUse: Type.Boolean(),
  Shared: Type.Boolean(),
  Size: Type.Integer(),
  CreatedAt: Type.String(),
  LastUsedAt: Type.Union([Type.String(), Type.Null()]),
  UsageCount: Type.Integer(),
});
export type BuildCache = Static<typeof BuildCache>;

/** Answer of POST /build/prune. */
export const BuildPruneResponse = Type.Object({
  CachesDeleted: Type.Union([Strings, Type.Null()]),
  SpaceReclaimed: Type.Integer(),
});
export type BuildPruneResponse = Static<typeof BuildPruneResponse>;
