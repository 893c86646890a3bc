import { createHash } from "node:crypto";
import {
  type Descriptor,
  type Digest,
  type ImageIndex,
  type ImageManifest,
  invalidParameter,
  isDigest,
  MediaType,
  parseJson,
  systemError,
} from "@gantry/spec";

/** A manifest or index as its registry has it: the bytes decide the digest. */
export type Manifest = {
  bytes: Uint8Array;
  descriptor: Descriptor;
} & ({ kind: "image"; image: ImageManifest } | { kind: "index"; index: ImageIndex });

/** Bytes of the largest manifest taken; registries refuse above 4 MiB. */
export const MAX_MANIFEST = 4 * 1024 * 1024;
const MAX_LAYERS = 500;
const MAX_MANIFESTS = 2000;
/** 1 TiB: no blob is larger. */
const MAX_BLOB = 2 ** 40;

export const SCHEMA1_TYPES = [
  "application/vnd.docker.distribution.manifest.v1+prettyjws",
  "application/vnd.docker.distribution.manifest.v1+json",
];

/** What we ask for, best first; schema 1 only so that it is refused by name instead of as missing. */
export const MANIFEST_ACCEPT = [
  MediaType.ociIndex,
  MediaType.dockerManifestList,
  MediaType.ociManifest,
  MediaType.dockerManifest,
  ...SCHEMA1_TYPES,
].join(", ");

const INDEXES: string[] = [MediaType.ociIndex, MediaType.dockerManifestList];
const IMAGES: string[] = [MediaType.ociManifest, MediaType.dockerManifest];

/** sha256 of the bytes, as a digest. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Digest with the algorithm of another one, to compare with it. */
export function digestLike(digest: Digest, bytes: Uint8Array): Digest {
  const [algorithm = "sha256"] = digest.split(":");
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;
}

/**
 * Reads a manifest. `mediaType` is the response's Content-Type; the document's own wins where it has one. `reference`
 * is only for the message about schema 1. Throws invalidParameter for anything that is not well-formed, bounded, and
 * either an image or an index.
 */
export function parseManifest(bytes: Uint8Array, mediaType: string, reference: string): Manifest {
  if (bytes.length > MAX_MANIFEST) throw invalidParameter("manifest is too large");
  let json: Record<string, unknown>;
  try {
    json = parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Record<string, unknown>;
  } catch (error) {
    throw invalidParameter(`invalid manifest: ${error instanceof Error ? error.message : error}`, error);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw invalidParameter("invalid manifest: not an object");
  const stated = mediaType.split(";")[0]?.trim() ?? "";
  if (json["schemaVersion"] === 1 || SCHEMA1_TYPES.includes(stated)) throw schema1Refused(reference);
  if (json["schemaVersion"] !== 2) throw invalidParameter("unsupported schema version");
  const own = typeof json["mediaType"] === "string" ? json["mediaType"] : "";
  let type = own || stated;
  const hasLayers = Array.isArray(json["layers"]);
  const hasManifests = Array.isArray(json["manifests"]);
  // One document that reads as both would mean different things to different readers.
  if (hasLayers && hasManifests) throw invalidParameter("invalid manifest: both layers and manifests");
  if (!INDEXES.includes(type) && !IMAGES.includes(type)) {
    if (own) throw systemError(`unsupported manifest media type ${JSON.stringify(own.slice(0, 200))}`);
    type = hasManifests ? MediaType.ociIndex : hasLayers ? MediaType.ociManifest : "";
    if (!type) throw systemError(`unsupported manifest media type ${JSON.stringify(stated.slice(0, 200))}`);
  }
  const descriptor: Descriptor = { mediaType: type, digest: digestOf(bytes), size: bytes.length };
  if (INDEXES.includes(type)) {
    const manifests = descriptors(json["manifests"], "manifests", MAX_MANIFESTS);
    return { kind: "index", bytes, descriptor, index: { ...(json as unknown as ImageIndex), manifests } };
  }
  const config = checkDescriptor(json["config"], "config");
  const layers = descriptors(json["layers"], "layers", MAX_LAYERS);
  return { kind: "image", bytes, descriptor, image: { ...(json as unknown as ImageManifest), config, layers } };
}

function descriptors(value: unknown, what: string, limit: number): Descriptor[] {
  if (!Array.isArray(value)) throw invalidParameter(`invalid manifest: no ${what}`);
  if (value.length > limit) throw invalidParameter(`invalid manifest: more than ${limit} ${what}`);
  return value.map((entry) => checkDescriptor(entry, what));
}

/** Checks one descriptor of a manifest; the object is returned as it is. */
function checkDescriptor(value: unknown, what: string): Descriptor {
  const entry = value as Partial<Descriptor> | null;
  if (typeof entry !== "object" || entry === null) throw invalidParameter(`invalid manifest: ${what} is no descriptor`);
  if (typeof entry.mediaType !== "string") throw invalidParameter(`invalid manifest: ${what} without media type`);
  if (typeof entry.digest !== "string" || !isDigest(entry.digest)) {
    throw invalidParameter(`invalid manifest: invalid checksum digest format in ${what}`);
  }
  if (typeof entry.size !== "number" || !Number.isSafeInteger(entry.size) || entry.size < 0 || entry.size > MAX_BLOB) {
    throw invalidParameter(`invalid manifest: invalid size in ${what}`);
  }
  if (entry.urls !== undefined && entry.urls !== null && !isTextList(entry.urls)) {
    throw invalidParameter(`invalid manifest: invalid urls in ${what}`);
  }
  const { platform } = entry;
  if (platform && (typeof platform.os !== "string" || typeof platform.architecture !== "string")) {
    throw invalidParameter(`invalid manifest: invalid platform in ${what}`);
  }
  return entry as Descriptor;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === "string");
}

/** What Docker says to manifests of schema 1. */
export function schema1Refused(reference: string): Error {
  return invalidParameter(
    `[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by default and will be removed in an upcoming release. Suggest the author of ${reference} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/`,
  );
}

const GZIP = /(?:\+|\.)gzip$/;

/** Whether the descriptor is of a file system layer, and of one that may not be pushed (foreign). */
export function layerKind(descriptor: Descriptor): "layer" | "foreign" | "other" {
  const type = descriptor.mediaType;
  if (
    /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.v1|docker\.image\.rootfs\.foreign\.diff)\.tar/.test(
      type,
    )
  ) {
    return "foreign";
  }
  return /^application\/vnd\.(?:oci\.image\.layer\.v1|docker\.image\.rootfs\.diff)\.tar/.test(type) ? "layer" : "other";
}

/** Docker's media type for a layer in a schema 2 manifest. */
export function dockerLayerType(mediaType: string): string {
  if (mediaType.endsWith("zstd")) return MediaType.dockerLayerZstd;
  return GZIP.test(mediaType) ? MediaType.dockerLayerGzip : MediaType.dockerLayer;
}
