import {
  type Descriptor,
  type Digest,
  familiarString,
  GantryError,
  type ImageConfig,
  invalidParameter,
  isDigest,
  notFound,
  type Platform,
  parseJson,
  type Reference,
  referenceString,
  systemError,
} from "@gantry/spec";
import type { Lease, Storage } from "@gantry/storage";
import { attestationsOf, bringAttestations } from "./attestations.ts";
import type { Credentials } from "./auth/credentials.ts";
import type { RegistryConfig } from "./config.ts";
import type { BlobSource } from "./download.ts";
import { finalError, pullError } from "./errors.ts";
import { bringLayer } from "./layer.ts";
import type { Limiter } from "./limiter.ts";
import { layerKind, type Manifest } from "./manifest.ts";
import { formatPlatform, hostPlatform, matchingManifests } from "./platform.ts";
import { type Emit, layerProgress, shortDigest, step } from "./progress.ts";
import type { Repository } from "./repository.ts";
import { fetchManifest, fetchSmallBlob, wanted } from "./resolve.ts";
import type { Backoff } from "./retry.ts";
import type { Transfers } from "./transfers.ts";
import type { Transport } from "./transport.ts";

export interface PullOptions {
  credentials?: Credentials;
  /** This machine's where absent. */
  platform?: Platform;
  signal?: AbortSignal;
  emit?: Emit;
  /** Holds what is brought in until the caller has recorded it. */
  lease: Lease;
  /** Whether this image (by its config's digest) is here already, so that its layers need no look. */
  known?: (id: Digest) => boolean;
}

/** What a pull brought: its layers are unpacked, its config and manifests in the content store. */
export interface PulledImage {
  /** Digest of what the reference names: an index's where it is one. */
  digest: Digest;
  index?: Manifest & { kind: "index" };
  manifest: Manifest & { kind: "image" };
  config: Uint8Array;
}

/** What a pull works with. */
export interface PullRoom {
  storage: Storage;
  transport: Transport;
  transfers: Transfers;
  downloads: Limiter;
  config: RegistryConfig;
  /** The repository at each endpoint, in the order they are to be tried. */
  repositories: Repository[];
}

const MAX_CONFIG = 16 * 1024 * 1024;
const MAX_DEPTH = 3;

/** Pulls one tag or digest. Errors are in Docker's words; a failed pull leaves partial blobs to be resumed, no more. */
export async function pullImage(room: PullRoom, reference: Reference, options: PullOptions): Promise<PulledImage> {
  const emit = options.emit ?? (() => {});
  const name = familiarString(reference);
  const platform = options.platform ?? hostPlatform();
  const backoff = backoffOf(room.config);
  const fetching = { signal: options.signal, backoff, stall: room.config.stallTimeout };
  const { repositories, first } = await resolveAnywhere(room, reference, name, fetching);

  emit({
    status: `Pulling from ${reference.path}`,
    id: reference.digest ? referenceString(reference) : wanted(reference),
  });
  let manifest: Manifest = first;
  let attesting: Descriptor[] = [];
  for (let depth = 0; manifest.kind === "index"; depth++) {
    const choice = depth < MAX_DEPTH ? matchingManifests(manifest.index.manifests, platform)[0] : undefined;
    if (!choice) throw notFound(`no matching manifest for ${formatPlatform(platform)} in the manifest list entries`);
    attesting = attestationsOf(manifest.index, choice.digest);
    manifest = await anywhere(repositories, (repository) => fetchManifest(repository, choice.digest, name, fetching));
  }
  const { image } = manifest;
  checkArtifact(image.config);
  const config = room.storage.content.has(image.config.digest)
    ? await room.storage.content.read(image.config.digest)
    : await anywhere(repositories, (repository) => fetchSmallBlob(repository, image.config, MAX_CONFIG, fetching));
  const diffIds = readDiffIds(config, image.layers);
  // Held before anything is looked for, so that what is found is still there when it is needed.
  const blobs = image.layers.map((layer) => layer.digest);
  for (const digest of [
    first.descriptor.digest,
    manifest.descriptor.digest,
    image.config.digest,
    ...blobs,
    ...diffIds,
  ]) {
    options.lease.add(digest);
  }
  const index = first.kind === "index" ? first : undefined;
  // Each is synced to disk; beside the layers that costs no time.
  const documents = new Set([config, manifest.bytes, first.bytes]);
  const storing = Promise.all([...documents].map((bytes) => room.storage.content.put(bytes)));
  storing.catch(() => {});
  const given = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, given.signal]) : given.signal;
  const attesters = { storage: room.storage, lease: options.lease, repositories, name };
  const attested = bringAttestations({ ...attesters, fetching: { ...fetching, signal } }, attesting);
  try {
    if (!options.known?.(image.config.digest)) {
      await bringLayers(room, repositories, image.layers, diffIds, options, emit);
    }
    await storing;
    await attested;
  } catch (error) {
    given.abort(error);
    await attested.catch(() => {});
    throw error;
  }
  return { digest: first.descriptor.digest, index, manifest, config };
}

/** The first endpoint that knows the reference goes first from then on; the others remain for its blobs. */
async function resolveAnywhere(
  room: PullRoom,
  reference: Reference,
  name: string,
  fetching: { signal?: AbortSignal; backoff: Backoff; stall: number },
): Promise<{ repositories: Repository[]; first: Manifest }> {
  let failure: unknown;
  for (const repository of room.repositories) {
    try {
      // A mirror is only a shortcut: when it fails there is another way, so it is not waited for.
      const backoff = repository.endpoint.mirror ? { ...fetching.backoff, attempts: 1 } : fetching.backoff;
      const first = await fetchManifest(repository, wanted(reference), name, { ...fetching, backoff });
      return { repositories: [repository, ...room.repositories.filter((other) => other !== repository)], first };
    } catch (error) {
      fetching.signal?.throwIfAborted();
      failure = error;
    }
  }
  throw pullError(failure, reference);
}

async function anywhere<T>(
  repositories: readonly Repository[],
  work: (repository: Repository) => Promise<T>,
): Promise<T> {
  let failure: unknown;
  for (const repository of repositories) {
    try {
      return await work(repository);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

async function bringLayers(
  room: PullRoom,
  repositories: readonly Repository[],
  layers: readonly Descriptor[],
  diffIds: readonly Digest[],
  options: PullOptions,
  emit: Emit,
): Promise<void> {
  const abort = new AbortController();
  const onAbort = () => abort.abort(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const { storage } = room;
  const missing = new Map<Digest, Descriptor>();
  for (const [i, layer] of layers.entries()) {
    const diffId = diffIds[i]!;
    const known = missing.has(diffId);
    const there = storage.layers.has(diffId);
    if (!known) emit(step(shortDigest(layer.digest), there ? "Already exists" : "Pulling fs layer"));
    if (!there) missing.set(diffId, missing.get(diffId) ?? layer);
  }
  const backoff = backoffOf(room.config);
  const bring = ([diffId, descriptor]: [Digest, Descriptor]) =>
    room.transfers.join(
      descriptor.digest,
      (onEvent, signal) =>
        bringLayer({
          storage,
          descriptor,
          diffId,
          sources: sourcesOf(room, repositories, descriptor),
          limiter: room.downloads,
          download: { backoff, stall: room.config.stallTimeout },
          signal,
          onEvent,
        }),
      layerProgress(shortDigest(descriptor.digest), emit),
      abort.signal,
    );
  const bringing = [...missing].map(bring);
  try {
    await Promise.all(bringing);
  } catch (error) {
    // The other layers' downloads stop, and are waited for, so that nothing writes after the pull has failed.
    abort.abort(error);
    await Promise.allSettled(bringing);
    throw finalError(error);
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
  for (const diffId of missing.keys()) {
    // Two manifests may claim different contents for one blob; what joined the other's transfer got the other's.
    if (!storage.layers.has(diffId)) throw systemError(`layer ${diffId} does not match its image configuration`);
  }
}

function sourcesOf(room: PullRoom, repositories: readonly Repository[], layer: Descriptor): BlobSource[] {
  const sources: BlobSource[] = repositories.map(
    (repository) => (headers, signal) => repository.send(`blobs/${layer.digest}`, { headers, signal }),
  );
  if (layerKind(layer) === "foreign") {
    for (const url of layer.urls ?? []) {
      if (/^https?:\/\//i.test(url)) sources.push((headers, signal) => room.transport.send(url, { headers, signal }));
    }
  }
  return sources;
}

function checkArtifact(config: Descriptor): void {
  const type = config.mediaType;
  if (/^application\/vnd\.(?:oci\.image\.config\.v1|docker\.container\.image\.v1)\+json$/.test(type)) return;
  // Some registries and old tools leave the type generic; the content then decides.
  if (["application/octet-stream", "text/html", "text/plain", "text/html; charset=utf-8", ""].includes(type)) return;
  const kind = type.startsWith("application/vnd.docker.plugin.") ? "plugin" : "unknown";
  throw new GantryError(
    "invalidParameter",
    `Encountered remote ${JSON.stringify(type.slice(0, 200))}(${kind}) when fetching`,
  );
}

function readDiffIds(bytes: Uint8Array, layers: readonly Descriptor[]): Digest[] {
  let config: Partial<ImageConfig>;
  try {
    config = parseJson(new TextDecoder().decode(bytes)) as Partial<ImageConfig>;
  } catch (error) {
    throw invalidParameter(`invalid image config: ${error instanceof Error ? error.message : error}`, error);
  }
  const { rootfs, os } = config ?? {};
  if (typeof rootfs !== "object" || rootfs === null || rootfs.type !== "layers") {
    throw invalidParameter("invalid rootfs in image configuration");
  }
  if (typeof os === "string" && os !== "" && os !== "linux") {
    throw invalidParameter(
      `image operating system ${JSON.stringify(os)} cannot be used on this platform: operating system is not supported`,
    );
  }
  const ids: unknown = rootfs.diff_ids ?? [];
  if (!Array.isArray(ids) || ids.length !== layers.length) {
    throw invalidParameter("layers from manifest don't match image configuration");
  }
  for (const layer of layers) {
    if (layerKind(layer) === "other")
      throw invalidParameter(`unsupported layer media type ${JSON.stringify(layer.mediaType.slice(0, 200))}`);
  }
  return ids.map((id) => {
    if (typeof id !== "string" || !isDigest(id))
      throw invalidParameter("invalid checksum digest format in image configuration");
    return id;
  });
}

/** How patiently this configuration retries. */
export function backoffOf(config: RegistryConfig): Backoff {
  return { attempts: config.maxDownloadAttempts, base: config.retryDelay, limit: 30_000 };
}
