import { type Credentials, type Emit, isAttestation, type PushOptions, pushGreeting } from "@gantry/distribution";
import {
  type Digest,
  familiarName,
  familiarString,
  notFound,
  parseReference,
  type Reference,
  withDefaultTag,
  withDigest,
  withTag,
} from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { byManifest, type Index, indexesOf } from "./manifests.ts";
import { imageFor } from "./platform.ts";
import { type ImageRoom, imageEvent, namesOf } from "./room.ts";

export interface PushRequest {
  image: string;
  tag?: string;
  /** The image must be of this platform, `os/arch[/variant]`. */
  platform?: string;
  /** Every tag of the repository (`push -a`). */
  all?: boolean;
  credentials?: Credentials;
  signal?: AbortSignal;
}

/** Throws notFound where the image is not of the platform that is asked for. */
export async function checkPush(room: ImageRoom, request: PushRequest): Promise<void> {
  if (request.platform === undefined) return;
  await imageFor(room, familiarString(oneTag(parseReference(request.image), request.tag)), request.platform);
}

/** Pushes one tag, or all tags that a repository has here. Throws notFound in Docker's words where there is none. */
export async function push(room: ImageRoom, request: PushRequest, emit: Emit): Promise<void> {
  const given = parseReference(request.image);
  emit(pushGreeting(given));
  const references = request.all && !request.tag ? allTags(room, given) : [oneTag(given, request.tag)];
  for (const reference of references) await pushOne(room, reference, request, emit);
}

function oneTag(given: Reference, tag: string | undefined): Reference {
  return tag ? withTag(given, tag) : withDefaultTag(given);
}

function allTags(room: ImageRoom, given: Reference): Reference[] {
  const found = room.storage.images
    .list()
    .flatMap((image) => namesOf(image))
    .filter(
      ({ canonical, reference }) => !canonical && reference.domain === given.domain && reference.path === given.path,
    )
    .map(({ reference }) => reference);
  if (found.length === 0) throw missing(familiarName(given));
  return found;
}

function missing(name: string): Error {
  return notFound(`An image does not exist locally with the tag: ${name}`);
}

function find(room: ImageRoom, reference: Reference) {
  const image = room.storage.images.list().find(({ tags }) => tags.includes(familiarString(reference)));
  if (!image) {
    // Of a repository that is not here at all Docker says something else.
    allTags(room, reference);
    throw notFound(`tag does not exist: ${familiarString(reference)}`);
  }
  return image;
}

async function pushOne(room: ImageRoom, reference: Reference, request: PushRequest, emit: Emit): Promise<void> {
  const { storage } = room;
  const lease = storage.lease();
  try {
    find(room, reference);
    const image = await imageFor(room, familiarString(reference), request.platform);
    // Removed meanwhile, it goes afterwards.
    for (const digest of [image.id, ...image.config.rootfs.diff_ids]) lease.add(digest);
    const credentials = request.credentials ?? room.credentials?.(reference.domain);
    const known = knownIn(room, reference);
    const mountFrom = (diffId: Digest) => [...(known.get(diffId) ?? [])];
    const options = { credentials, signal: request.signal, emit, lease, mountFrom };
    const indexes = request.platform === undefined ? await indexesOf(room, image) : [];
    // Come through several, it does not say which one the tag is to be.
    const index = indexes.length === 1 ? indexes[0] : undefined;
    let pushed = index && (await pushWhole(room, reference, index, options));
    if (!pushed) {
      const config = await storage.content.read(image.id);
      pushed = await room.distribution.push(reference, { config, manifest: image.manifest }, options);
      if (index && pushed.digest === image.manifest?.digest) {
        const aux = { originalIndex: index.descriptor, selectedManifest: image.manifest };
        emit({ progressDetail: {}, aux: { manifestPushedInsteadOfIndex: true, ...aux } });
      }
    }
    if (storage.images.get(image.id) === null) room.collectSoon();
    else storage.images.addDigest(image.id, familiarString(withDigest(reference, pushed.digest)));
    imageEvent(room, "push", image, familiarString(reference), familiarName(reference));
  } finally {
    lease.release();
  }
}

/** Pushes the index with all its images, where all of them are here; returns undefined where it cannot go whole. */
async function pushWhole(room: ImageRoom, reference: Reference, index: Index, options: PushOptions) {
  const here = byManifest(room.storage.images.list());
  const images: StoredImage[] = [];
  const others: Digest[] = [];
  for (const entry of index.index.manifests) {
    const image = here.get(entry.digest);
    if (image) images.push(image);
    else if (isAttestation(entry)) others.push(entry.digest);
    else return undefined;
  }
  const parts = images.map(async ({ id, manifest }) => ({ config: await room.storage.content.read(id), manifest }));
  return room.distribution.pushIndex(reference, { index, images: await Promise.all(parts), others }, options);
}

/** By layer, the repositories of the same registry that must have it: an image with it was pulled from or pushed to them. */
function knownIn(room: ImageRoom, reference: Reference): Map<Digest, Set<string>> {
  const known = new Map<Digest, Set<string>>();
  for (const image of room.storage.images.list()) {
    for (const { canonical, reference: other } of namesOf(image)) {
      if (!canonical || other.domain !== reference.domain || other.path === reference.path) continue;
      for (const diffId of image.config.rootfs.diff_ids) {
        const paths = known.get(diffId) ?? new Set();
        known.set(diffId, paths.add(other.path));
      }
    }
  }
  return known;
}
