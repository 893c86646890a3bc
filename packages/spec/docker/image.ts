import { type Static, Type } from "@sinclair/typebox";
import { DriverData } from "./container.ts";
import { HealthcheckConfig } from "./container-config.ts";
import { maybe, StringMap, StringSet, Strings } from "./schema.ts";

/** An OCI descriptor as the API carries it. */
export const ImageDescriptor = Type.Object({
  mediaType: Type.String(),
  digest: Type.String(),
  size: Type.Integer(),
  urls: Type.Optional(Strings),
  annotations: Type.Optional(StringMap),
  platform: Type.Optional(
    Type.Object({
      architecture: Type.String(),
      os: Type.String(),
      "os.version": Type.Optional(Type.String()),
      "os.features": Type.Optional(Strings),
      variant: Type.Optional(Type.String()),
    }),
  ),
  artifactType: Type.Optional(Type.String()),
});
export type ImageDescriptor = Static<typeof ImageDescriptor>;

/** A platform of an image, in `Manifests` and in answers. */
export const ImagePlatform = Type.Object({
  architecture: Type.String(),
  os: Type.String(),
  "os.version": Type.Optional(Type.String()),
  "os.features": Type.Optional(Strings),
  variant: Type.Optional(Type.String()),
});
export type ImagePlatform = Static<typeof ImagePlatform>;

/** One manifest of an image index (API 1.47, `manifests=1`). Kind: image, attestation, unknown. */
export const ManifestSummary = Type.Object({
  ID: Type.String(),
  Descriptor: ImageDescriptor,
  Available: Type.Boolean(),
  Kind: Type.String(),
  Size: Type.Object({ Content: Type.Integer(), Total: Type.Integer() }),
  ImageData: Type.Optional(
    Type.Object({
      Platform: ImagePlatform,
      Containers: Strings,
      Size: Type.Object({ Unpacked: Type.Integer() }),
    }),
  ),
  AttestationData: Type.Optional(Type.Object({ For: Type.String() })),
});
export type ManifestSummary = Static<typeof ManifestSummary>;

/** A statement of GET /images/{name}/attestations (API 1.55). `Statement` only where it is asked for: the in-toto document. */
export const AttestationStatement = Type.Object({
  Descriptor: ImageDescriptor,
  PredicateType: Type.String(),
  Statement: Type.Optional(Type.Unknown()),
});
export type AttestationStatement = Static<typeof AttestationStatement>;

/** An image in GET /images/json. `Created` in seconds; `SharedSize` and `Containers` -1 where not computed. */
export const ImageSummary = Type.Object({
  Containers: Type.Integer(),
  Created: Type.Integer(),
  Id: Type.String(),
  Labels: Type.Union([StringMap, Type.Null()]),
  ParentId: Type.String(),
  RepoDigests: Strings,
  RepoTags: Strings,
  SharedSize: Type.Integer(),
  Size: Type.Integer(),
  /** Up to API 1.43. */
  VirtualSize: Type.Optional(Type.Integer()),
  Descriptor: Type.Optional(ImageDescriptor),
  Manifests: Type.Optional(Type.Array(ManifestSummary)),
});
export type ImageSummary = Static<typeof ImageSummary>;

/** The `Config` of an image's inspect: from API 1.50 on, only what OCI and Docker images know. */
export const ImageInspectConfig = Type.Object({
  User: maybe(Type.String()),
  ExposedPorts: maybe(StringSet),
  Env: maybe(Strings),
  Entrypoint: maybe(Strings),
  Cmd: maybe(Strings),
  Volumes: maybe(StringSet),
  WorkingDir: maybe(Type.String()),
  Labels: maybe(StringMap),
  StopSignal: maybe(Type.String()),
  ArgsEscaped: maybe(Type.Boolean()),
  Healthcheck: maybe(HealthcheckConfig),
  OnBuild: maybe(Strings),
  Shell: maybe(Strings),
});
export type ImageInspectConfig = Static<typeof ImageInspectConfig>;

/** Answer of GET /images/{name}/json. */
export const ImageInspect = Type.Object({
  Id: Type.String(),
  RepoTags: Strings,
  RepoDigests: Strings,
  Parent: Type.Optional(Type.String()),
  Comment: Type.Optional(Type.String()),
  Created: Type.Optional(Type.String()),
  DockerVersion: Type.Optional(Type.String()),
  Author: Type.Optional(Type.String()),
  Config: Type.Union([ImageInspectConfig, Type.Null()]),
  Architecture: Type.String(),
  Variant: Type.Optional(Type.String()),
  Os: Type.String(),
  OsVersion: Type.Optional(Type.String()),
  Size: Type.Integer(),
  /** Up to API 1.43. */
  VirtualSize: Type.Optional(Type.Integer()),
  GraphDriver: Type.Optional(DriverData),
  RootFS: Type.Object({ Type: Type.String(), Layers: Type.Optional(Strings) }),
  Metadata: Type.Object({ LastTagTime: Type.String() }),
  Descriptor: Type.Optional(ImageDescriptor),
  Manifests: Type.Optional(Type.Array(ManifestSummary)),
  Identity: Type.Optional(Type.Unknown()),
});
export type ImageInspect = Static<typeof ImageInspect>;

/** One step of GET /images/{name}/history. `Created` in seconds. */
export const HistoryResponseItem = Type.Object({
  Comment: Type.String(),
  Created: Type.Integer(),
  CreatedBy: Type.String(),
  Id: Type.String(),
  Size: Type.Integer(),
  Tags: Type.Union([Strings, Type.Null()]),
});
export type HistoryResponseItem = Static<typeof HistoryResponseItem>;

/** Answer of GET /images/{name}/history, newest step first. */
export const HistoryResponse = Type.Array(HistoryResponseItem);
export type HistoryResponse = Static<typeof HistoryResponse>;

/** One effect of removing or pruning images: a name taken off, or content gone. */
export const ImageDeleteResponseItem = Type.Object({
  Untagged: Type.Optional(Type.String()),
  Deleted: Type.Optional(Type.String()),
});
export type ImageDeleteResponseItem = Static<typeof ImageDeleteResponseItem>;

/** Answer of POST /images/prune. */
export const ImagePruneResponse = Type.Object({
  ImagesDeleted: Type.Union([Type.Array(ImageDeleteResponseItem), Type.Null()]),
  SpaceReclaimed: Type.Integer(),
});
export type ImagePruneResponse = Static<typeof ImagePruneResponse>;

/** A hit of GET /images/search. */
export const SearchResult = Type.Object({
  star_count: Type.Integer(),
  is_official: Type.Boolean(),
  name: Type.String(),
  is_automated: Type.Boolean(),
  description: Type.String(),
});
export type SearchResult = Static<typeof SearchResult>;

/** Answer of GET /distribution/{name}/json. */
export const DistributionInspect = Type.Object({
  Descriptor: ImageDescriptor,
  Platforms: Type.Union([Type.Array(ImagePlatform), Type.Null()]),
});
export type DistributionInspect = Static<typeof DistributionInspect>;
