import type { Digest, Reference } from "@gantry/spec";
import { responseFailure } from "./failure.ts";
import { MANIFEST_ACCEPT, type Manifest, parseManifest } from "./manifest.ts";
import { backoffOf } from "./pull.ts";
import {
  IncompleteIndex,
  type PushedImage,
  type PushImage,
  type PushOptions,
  type PushRoom,
  pushImage,
  putManifest,
  putTag,
} from "./push.ts";
import { retrying } from "./retry.ts";
import { uploadBlob } from "./upload.ts";

/** An index to push: itself, the images it names, and what else it names (attestations), which may not be here. */
export interface PushIndex {
  index: Manifest & { kind: "index" };
  images: PushImage[];
  others: Digest[];
}

/**
 * Pushes an index whole under the reference's tag: its images first, each under its digest. Returns undefined, and has
 * put nothing under the tag, where the registry cannot be given a part of it.
 */
export async function pushIndex(
  room: PushRoom,
  reference: Reference,
  { index, images, others }: PushIndex,
  options: PushOptions,
): Promise<PushedImage | undefined> {
  for (const digest of others) {
    if (!(await hasManifest(room, digest, options.signal)) && !(await pushKept(room, digest, options.signal))) {
      return undefined;
    }
  }
  try {
    for (const image of images) await pushImage(room, reference, { ...image, part: true }, options);
  } catch (error) {
    if (error instanceof IncompleteIndex) return undefined;
    throw error;
  }
  const { bytes, descriptor } = index;
  const document = { bytes, mediaType: descriptor.mediaType };
  return putTag(room, reference, document, options.signal, options.emit ?? (() => {}));
}

/** Pushes a manifest that is no image, with the blobs it names; false where not all of that is here. */
async function pushKept(room: PushRoom, digest: Digest, signal?: AbortSignal): Promise<boolean> {
  const { content } = room.storage;
  if (!content.has(digest)) return false;
  const manifest = parseManifest(await content.read(digest), "", "");
  if (manifest.kind !== "image") return false;
  const parts = [manifest.image.config, ...manifest.image.layers];
  if (!parts.every((part) => content.has(part.digest))) return false;
  const options = { backoff: backoffOf(room.config), stall: room.config.stallTimeout, signal };
  for (const part of parts) {
    const open = (offset: number) => content.stream(part.digest, offset);
    await uploadBlob(room.repository, { digest: part.digest, size: part.size, open }, options);
  }
  await putManifest(room, digest, { bytes: manifest.bytes, mediaType: manifest.descriptor.mediaType }, signal);
  return true;
}

async function hasManifest(room: PushRoom, digest: Digest, signal?: AbortSignal): Promise<boolean> {
  const headers = { accept: MANIFEST_ACCEPT };
  return retrying(
    async () => {
      const response = await room.repository.send(`manifests/${digest}`, { method: "HEAD", headers, signal });
      await response.body?.cancel();
      if (response.status === 200) return true;
      if (response.status === 404) return false;
      throw await responseFailure(response);
    },
    { backoff: backoffOf(room.config), signal },
  );
}
