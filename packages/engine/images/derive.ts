import { applyChanges } from "@gantry/builder/changes";
import { hostPlatform, parsePlatform } from "@gantry/distribution";
import {
  type Digest,
  familiarString,
  type ImageConfig,
  type ImageRunConfig,
  invalidParameter,
  parseReference,
  type Reference,
  refuseAmbiguousTag,
  withDefaultTag,
  withTag,
} from "@gantry/spec";
import type { Layer, StoredImage } from "@gantry/storage";
import { now } from "../time.ts";
import { type ImageRoom, imageEvent } from "./room.ts";

export interface ImportRequest {
  source: ReadableStream<Uint8Array>;
  repository?: string;
  tag?: string;
  /** Docker's default is `Imported from <source>`. */
  message: string;
  /** Dockerfile instructions. */
  changes: string[];
  platform?: string;
  signal?: AbortSignal;
}

/** `docker import`: one layer from a tar. Returns the new image's ID. */
export async function importImage(room: ImageRoom, request: ImportRequest): Promise<Digest> {
  const name = targetName(request.repository, request.tag);
  const platform = request.platform ? parsePlatform(request.platform) : hostPlatform();
  if (platform.os !== "linux") throw invalidParameter("operating system is not supported");
  const run = applyChanges({}, request.changes);
  const lease = room.storage.lease();
  try {
    const layer = await room.storage.layers.unpack(request.source, { signal: request.signal });
    lease.add(layer.diffId);
    const created = now();
    const config: ImageConfig = {
      architecture: platform.architecture,
      ...(platform.variant ? { variant: platform.variant } : {}),
      os: platform.os,
      created,
      comment: request.message,
      config: run,
      rootfs: { type: "layers", diff_ids: [layer.diffId] },
      history: [{ created, comment: request.message }],
    };
    const image = await record(room, config, undefined, name);
    imageEvent(room, "import", image, image.id, image.id);
    return image.id;
  } finally {
    lease.release();
  }
}

export interface CommitRequest {
  /** The container's image, if it still is one. */
  parent?: Digest;
  /** The container's changes as a layer; null where it changed nothing. */
  layer: Layer | null;
  /** The container's run configuration. */
  config: ImageRunConfig;
  /** The container's command line, for the history. */
  createdBy: string;
  containerId: string;
  author?: string;
  comment?: string;
  repository?: string;
  tag?: string;
  changes?: string[];
}

/** The image side of `docker commit`. Returns the new image's ID. Its event is the container's (`commit`). */
export async function commitImage(room: ImageRoom, request: CommitRequest): Promise<Digest> {
  const name = targetName(request.repository, request.tag);
  const parent = request.parent ? room.storage.images.get(request.parent) : null;
  const platform = parent?.config ?? hostPlatform();
  const created = now();
  const { author = "", comment = "" } = request;
  const config: ImageConfig = {
    architecture: platform.architecture,
    ...(platform.variant ? { variant: platform.variant } : {}),
    os: platform.os,
    created,
    ...(author ? { author } : {}),
    ...(comment ? { comment } : {}),
    container: request.containerId,
    config: applyChanges(request.config, request.changes ?? []),
    rootfs: {
      type: "layers",
      diff_ids: [...(parent?.config.rootfs.diff_ids ?? []), ...(request.layer ? [request.layer.diffId] : [])],
    },
    history: [
      ...(parent?.config.history ?? []),
      {
        created,
        ...(author ? { author } : {}),
        created_by: request.createdBy,
        ...(comment ? { comment } : {}),
        ...(request.layer ? {} : { empty_layer: true }),
      },
    ],
  };
  const image = await record(room, config, parent?.id, name, "create");
  return image.id;
}

/** Checked before any work is done. */
function targetName(repository: string | undefined, tag: string | undefined): Reference | undefined {
  if (!repository) return undefined;
  const reference = parseReference(repository);
  if (reference.digest) throw invalidParameter("cannot import digest reference");
  refuseAmbiguousTag(reference);
  return tag ? withTag(reference, tag) : withDefaultTag(reference);
}

async function record(
  room: ImageRoom,
  config: ImageConfig,
  parent: Digest | undefined,
  name?: Reference,
  event?: "create",
): Promise<StoredImage> {
  const bytes = new TextEncoder().encode(JSON.stringify(config));
  const image = await room.storage.images.create(bytes, parent ? { parent } : {});
  if (event) imageEvent(room, event, image, image.id, image.id);
  if (name) {
    const target = familiarString(name);
    room.storage.images.tag(image.id, target);
    imageEvent(room, "tag", image, image.id, target);
  }
  return room.storage.images.get(image.id) ?? image;
}
