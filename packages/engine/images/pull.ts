import {
  type Credentials,
  type Emit,
  formatPlatform,
  type PulledImage,
  parsePlatform,
  platformRank,
} from "@gantry/distribution";
import {
  type Digest,
  familiarName,
  familiarString,
  forbidden,
  type ImageConfig,
  isDigest,
  parseReference,
  type Reference,
  withDefaultTag,
  withDigest,
  withTag,
} from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { type ImageRoom, imageEvent } from "./room.ts";

export interface PullRequest {
  /** Name, with or without tag or digest. */
  image: string;
  /** Tag or digest, where it comes separately. */
  tag?: string;
  platform?: string;
  credentials?: Credentials;
  /** Every tag of the repository (`pull -a`). */
  all?: boolean;
  signal?: AbortSignal;
}

/**
 * Pulls an image, or all of a repository. Progress goes to `emit` in Docker's words; nothing is said before the registry
 * has answered, so that a first failure can still become a status code.
 */
export async function pull(room: ImageRoom, request: PullRequest, emit: Emit): Promise<void> {
  const reference = pullReference(request);
  const credentials = request.credentials ?? room.credentials?.(reference.domain);
  const wanted = { ...request, credentials };
  if (!reference.tag && !reference.digest) {
    const tags = await room.distribution.tags(reference, { credentials, signal: request.signal });
    let updated = false;
    for (const tag of tags) updated = (await pullOne(room, withTag(reference, tag), wanted, emit)).updated || updated;
    emit({ status: status(updated, familiarName(reference)) });
    return;
  }
  const { updated, image } = await pullOne(room, reference, wanted, emit);
  emit({ status: status(updated, familiarString(reference)) });
  if (request.platform) warnOfPlatform(image.config, parsePlatform(request.platform), reference, emit);
}

function status(updated: boolean, name: string): string {
  return `Status: ${updated ? "Downloaded newer image" : "Image is up to date"} for ${name}`;
}

function pullReference(request: PullRequest): Reference {
  const name = request.image.replace(/:+$/, "");
  const given = parseReference(name);
  let reference = given;
  if (request.tag) {
    reference = isDigest(request.tag) ? withDigest(given, request.tag) : withTag(given, request.tag);
  } else if (!request.all) {
    reference = withDefaultTag(given);
  }
  if (reference.domain === "docker.io" && reference.path === "library/scratch")
    throw forbidden("'scratch' is a reserved name");
  return reference;
}

/** Also returns whether anything is new under this name. */
async function pullOne(
  room: ImageRoom,
  reference: Reference,
  request: PullRequest,
  emit: Emit,
): Promise<{ updated: boolean; image: StoredImage }> {
  const { storage } = room;
  const platform = request.platform ? parsePlatform(request.platform) : undefined;
  const lease = storage.lease();
  try {
    const { credentials, signal } = request;
    const known = (id: Digest) => storage.images.get(id) !== null;
    const pulled = await room.distribution.pull(reference, { credentials, platform, signal, emit, lease, known });
    const image = await record(room, pulled);
    const canonical = familiarString(withDigest(reference, pulled.digest));
    const updated = name(room, image, reference, canonical);
    emit({ status: `Digest: ${pulled.digest}` });
    imageEvent(room, "pull", image, familiarString(reference), familiarName(reference));
    return { updated, image };
  } finally {
    lease.release();
  }
}

/** Writes the image down; from here on it is whole and can be listed. */
async function record(room: ImageRoom, pulled: PulledImage): Promise<StoredImage> {
  const { manifest } = pulled;
  return room.storage.images.create(pulled.config, { manifest: manifest.descriptor, manifestBytes: manifest.bytes });
}

function name(room: ImageRoom, image: StoredImage, reference: Reference, canonical: string): boolean {
  const { images } = room.storage;
  const hadDigest = image.digests.includes(canonical);
  if (!hadDigest) images.addDigest(image.id, canonical);
  if (reference.digest || !reference.tag) return !hadDigest;
  const tag = familiarString(reference);
  if (image.tags.includes(tag)) return false;
  images.tag(image.id, tag);
  return true;
}

/** A manifest without an index around it may be for another platform than was asked for; Docker takes it and warns. */
function warnOfPlatform(
  config: ImageConfig,
  platform: ReturnType<typeof parsePlatform>,
  reference: Reference,
  emit: Emit,
): void {
  if (platformRank(platform, { os: config.os, architecture: config.architecture, variant: config.variant }) >= 0)
    return;
  const actual = formatPlatform({ os: config.os, architecture: config.architecture, variant: config.variant });
  emit({
    status: `WARNING: image with reference ${familiarString(reference)} was found but its platform (${actual}) does not match the specified platform (${formatPlatform(platform)})`,
  });
}
