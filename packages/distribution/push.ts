import { Readable } from "node:stream";
import { createGzip } from "node:zlib";
import {
  type Descriptor,
  type Digest,
  familiarName,
  type ImageConfig,
  type ImageManifest,
  MediaType,
  type Reference,
  systemError,
} from "@gantry/spec";
import type { Lease, Storage } from "@gantry/storage";
import type { Credentials } from "./auth/credentials.ts";
import type { RegistryConfig } from "./config.ts";
import { finalError } from "./errors.ts";
import type { Limiter } from "./limiter.ts";
import { digestOf, dockerLayerType, layerKind, parseManifest } from "./manifest.ts";
import { type Emit, shortDigest, step, throttled } from "./progress.ts";
import { backoffOf } from "./pull.ts";
import type { Repository } from "./repository.ts";
import { retrying } from "./retry.ts";
import { hasBlob, uploadBlob } from "./upload.ts";

export interface PushOptions {
  credentials?: Credentials;
  signal?: AbortSignal;
  emit?: Emit;
  lease: Lease;
  /** Paths of repositories on the same registry that are known to have a layer. */
  mountFrom?: (diffId: Digest) => string[];
}

export interface PushRoom {
  storage: Storage;
  uploads: Limiter;
  config: RegistryConfig;
  repository: Repository;
}

/** The image to push: its config, and the manifest it came with, if any. */
export interface PushImage {
  config: Uint8Array;
  manifest?: Descriptor;
  /** A part of an index: goes out as the manifest it came with, under its digest and no tag, or not at all. */
  part?: boolean;
}

export interface PushedImage {
  digest: Digest;
  size: number;
}

/**
 * Pushes an image under the reference's tag. What was pulled goes out with the very manifest it came with; else a
 * schema 2 manifest is made, as Docker does. Layers go in parallel.
 */
export async function pushImage(
  room: PushRoom,
  reference: Reference,
  image: PushImage,
  options: PushOptions,
): Promise<PushedImage> {
  const emit = options.emit ?? (() => {});
  // Where nobody answers it is told at once, not after all the tries that a layer has.
  await room.repository.ping(options.signal).catch((error) => {
    throw finalError(error);
  });
  const config = JSON.parse(new TextDecoder().decode(image.config)) as ImageConfig;
  const diffIds = config.rootfs.diff_ids ?? [];
  const original = await originalManifest(room.storage, image.manifest, diffIds.length);
  // Topmost first, as Docker lists them.
  const unique = [...new Set(diffIds)].reverse();
  for (const diffId of unique) emit(step(shortDigest(diffId), "Preparing"));
  const abort = new AbortController();
  const onAbort = () => abort.abort(options.signal?.reason);
  if (options.signal?.aborted) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const work = unique.map(async (diffId): Promise<[Digest, Descriptor]> => {
    const known = original?.image.layers[diffIds.indexOf(diffId)] ?? room.storage.layers.blobFor(diffId) ?? undefined;
    if (room.uploads.full) emit(step(shortDigest(diffId), "Waiting"));
    const push = () => pushLayer(room, diffId, known, { ...options, signal: abort.signal }, emit);
    return [diffId, await room.uploads.run(push, abort.signal)];
  });
  try {
    const blobs = new Map(await Promise.all(work));
    const layers = diffIds.map((diffId) => blobs.get(diffId)!);
    await pushConfig(room, image.config, options.signal);
    const same = original?.image.layers.every((layer, i) => layer.digest === layers[i]?.digest);
    const manifest = same && original ? original : dockerManifest(image.config, layers);
    if (image.part) {
      const digest = image.manifest?.digest;
      if (manifest !== original || !digest) throw new IncompleteIndex();
      return await putManifest(room, digest, manifest, options.signal);
    }
    return await putTag(room, reference, manifest, options.signal, emit);
  } catch (error) {
    abort.abort(error);
    await Promise.allSettled(work);
    throw finalError(error);
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** A part of an index cannot be given away as it came: its bytes are neither here nor in the registry. */
export class IncompleteIndex extends Error {
  constructor() {
    super("content of the image index is missing");
  }
}

/** What Docker says first. */
export function pushGreeting(reference: Reference): { status: string } {
  const name = reference.domain === "docker.io" ? `docker.io/${reference.path}` : familiarName(reference);
  return { status: `The push refers to repository [${name}]` };
}

async function originalManifest(
  storage: Storage,
  descriptor: Descriptor | undefined,
  layers: number,
): Promise<{ bytes: Uint8Array; mediaType: string; image: ImageManifest } | undefined> {
  if (!descriptor || !storage.content.has(descriptor.digest)) return undefined;
  const bytes = await storage.content.read(descriptor.digest);
  const manifest = parseManifest(bytes, descriptor.mediaType, "");
  if (manifest.kind !== "image" || manifest.image.layers.length !== layers) return undefined;
  return { bytes, mediaType: manifest.descriptor.mediaType, image: manifest.image };
}

/** Makes the registry have a layer, and says as which blob. */
async function pushLayer(
  room: PushRoom,
  diffId: Digest,
  known: Descriptor | undefined,
  options: PushOptions,
  emit: Emit,
): Promise<Descriptor> {
  const { storage, repository } = room;
  const id = shortDigest(diffId);
  const { signal } = options;
  if (
    known &&
    layerKind(known) === "foreign" &&
    !room.config.allowNondistributable.includes(repositoryHost(repository))
  ) {
    emit(step(id, "Skipped foreign layer"));
    return known;
  }
  const backoff = backoffOf(room.config);
  let blob = known;
  if (blob && !storage.content.has(blob.digest)) {
    const { digest } = blob;
    if (await retrying(() => hasBlob(repository, digest, signal), { backoff, signal })) {
      emit(step(id, "Layer already exists"));
      return blob;
    }
    blob = storage.layers.blobFor(diffId) ?? undefined;
    if (blob && !storage.content.has(blob.digest)) blob = undefined;
  }
  blob ??= await compressLayer(storage, diffId, options.lease, signal);
  const { digest, size } = blob;
  options.lease.add(digest);
  const bytes = throttled(emit);
  const outcome = await uploadBlob(
    repository,
    { digest, size, open: (offset) => storage.content.stream(digest, offset) },
    {
      mountFrom: options.mountFrom?.(diffId),
      backoff,
      stall: room.config.stallTimeout,
      signal,
      onProgress: (current) => bytes(id, "Pushing", current, size),
    },
  );
  if (outcome.kind === "exists") emit(step(id, "Layer already exists"));
  else if (outcome.kind === "mounted") emit(step(id, `Mounted from ${outcome.from}`));
  else emit(step(id, "Pushed"));
  return blob;
}

function repositoryHost(repository: Repository): string {
  return new URL(repository.endpoint.url).host;
}

/** Compresses a layer that never was in a registry, and remembers the blob for the next push. */
async function compressLayer(
  storage: Storage,
  diffId: Digest,
  lease: Lease,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const ingest = await storage.content.ingest(`push-${diffId.replace(":", "-")}-${crypto.randomUUID()}`);
  try {
    let size = 0;
    const tar = Readable.fromWeb(storage.layers.tar(diffId) as never);
    const gzip = createGzip({ level: 6, chunkSize: 256 * 1024 });
    tar.on("error", (error) => gzip.destroy(error));
    for await (const chunk of tar.pipe(gzip) as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      size += chunk.length;
      const written = ingest.write(chunk);
      if (written) await written;
    }
    const digest = await ingest.commit(null, size);
    lease.add(digest);
    const blob: Descriptor = { mediaType: MediaType.dockerLayerGzip, digest, size };
    storage.layers.setBlobFor(diffId, blob);
    return blob;
  } catch (error) {
    ingest.discard();
    throw error;
  }
}

async function pushConfig(room: PushRoom, config: Uint8Array, signal?: AbortSignal): Promise<void> {
  const open = (offset: number) =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        if (offset < config.length) controller.enqueue(config.subarray(offset));
        controller.close();
      },
    });
  const backoff = backoffOf(room.config);
  const source = { digest: digestOf(config), size: config.length, open };
  await uploadBlob(room.repository, source, { backoff, stall: room.config.stallTimeout, signal });
}

/** A schema 2 manifest, spelled as Docker spells it so that equal images get equal digests. */
function dockerManifest(config: Uint8Array, layers: readonly Descriptor[]): Document {
  const manifest = {
    schemaVersion: 2,
    mediaType: MediaType.dockerManifest,
    config: { mediaType: MediaType.dockerConfig, size: config.length, digest: digestOf(config) },
    layers: layers.map((layer) => ({
      mediaType: dockerLayerType(layer.mediaType),
      size: layer.size,
      digest: layer.digest,
    })),
  };
  return { bytes: new TextEncoder().encode(JSON.stringify(manifest, null, 3)), mediaType: MediaType.dockerManifest };
}

interface Document {
  bytes: Uint8Array;
  mediaType: string;
}

/** Puts the manifest or index under the reference's tag, and says so. */
export async function putTag(
  room: PushRoom,
  { tag = "latest" }: Reference,
  manifest: Document,
  signal: AbortSignal | undefined,
  emit: Emit,
): Promise<PushedImage> {
  const { digest, size } = await putManifest(room, tag, manifest, signal);
  emit({ status: `${tag}: digest: ${digest} size: ${size}` });
  emit({ progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: size } });
  return { digest, size };
}

/** Puts a manifest under a tag or its digest. */
export async function putManifest(
  room: PushRoom,
  at: string,
  { bytes, mediaType }: Document,
  signal: AbortSignal | undefined,
): Promise<PushedImage> {
  const digest = digestOf(bytes);
  await retrying(
    async () => {
      const headers = { "content-type": mediaType };
      const request = { method: "PUT" as const, headers, body: bytes, signal };
      const response = await room.repository.expect([201, 202], `manifests/${at}`, request);
      await response.body?.cancel();
      const stored = response.headers.get("docker-content-digest");
      if (stored?.startsWith("sha256:") && stored !== digest) {
        throw systemError(`registry stored the manifest as ${stored} instead of ${digest}`);
      }
    },
    { backoff: backoffOf(room.config), signal },
  );
  return { digest, size: bytes.length };
}
