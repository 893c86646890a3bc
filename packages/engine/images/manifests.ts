import { isAttestation, type Manifest, parseManifest } from "@gantry/distribution";
import { type Descriptor, type Digest, type ManifestSummary, parseReference } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { ImageRoom } from "./room.ts";

/**
 * The manifests an image came with: those of its index, attestations included, where it was pulled through one; else
 * its own. Empty for images made here. Sizes of what is not here are 0.
 */
export async function manifestSummaries(room: ImageRoom, image: StoredImage): Promise<ManifestSummary[]> {
  const index = await indexOf(room, image);
  const entries = index ?? (image.manifest ? [{ ...image.manifest, platform: platformOf(image) }] : []);
  return Promise.all(entries.map((descriptor) => summary(room, image, descriptor)));
}

async function indexOf(room: ImageRoom, image: StoredImage): Promise<Descriptor[] | undefined> {
  for (const name of image.digests) {
    const { digest } = parseReference(name);
    if (!digest || digest === image.manifest?.digest) continue;
    const found = await readManifest(room, digest);
    if (found?.kind !== "index") continue;
    const { manifests } = found.index;
    if (!image.manifest || manifests.some((entry) => entry.digest === image.manifest?.digest)) return manifests;
  }
  return undefined;
}

async function readManifest(room: ImageRoom, digest: Digest): Promise<Manifest | undefined> {
  if (!room.storage.content.has(digest)) return undefined;
  try {
    return parseManifest(await room.storage.content.read(digest), "", "");
  } catch {
    return undefined;
  }
}

function platformOf({ config }: StoredImage) {
  const { architecture, os, variant } = config;
  return { architecture, os, ...(variant ? { variant } : {}) };
}

async function summary(room: ImageRoom, image: StoredImage, descriptor: Descriptor): Promise<ManifestSummary> {
  const attests = isAttestation(descriptor);
  const own = descriptor.digest === image.manifest?.digest;
  const manifest = await readManifest(room, descriptor.digest);
  let content = manifest ? descriptor.size : 0;
  if (manifest?.kind === "image") {
    for (const part of [manifest.image.config, ...manifest.image.layers]) {
      if (room.storage.content.has(part.digest)) content += part.size;
    }
  }
  const unpacked = own ? image.size : 0;
  const base: ManifestSummary = {
    ID: descriptor.digest,
    Descriptor: descriptor,
    Available: own,
    Kind: attests ? "attestation" : descriptor.platform ? "image" : "unknown",
    Size: { Content: content, Total: content + unpacked },
  };
  if (attests) {
    base.AttestationData = { For: descriptor.annotations?.["vnd.docker.reference.digest"] ?? "" };
  } else if (descriptor.platform) {
    const Containers = own ? room.containersUsing(image.id).map(({ id }) => id) : [];
    base.ImageData = { Platform: descriptor.platform, Containers, Size: { Unpacked: unpacked } };
  }
  return base;
}
