import { isAttestation, type Manifest, parseManifest } from "@gantry/distribution";
import { type Descriptor, type Digest, type ManifestSummary, parseReference } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { ImageRoom } from "./room.ts";

/**
 * The manifests an image came with: those of its index, attestations included, where it was pulled through one; else
 * its own. Empty for images made here. Sizes of what is not here are 0. `images`: those that are here, by manifest.
 */
export async function manifestSummaries(
  room: ImageRoom,
  image: StoredImage,
  images: ReadonlyMap<Digest, StoredImage>,
): Promise<ManifestSummary[]> {
  const [found] = await indexesOf(room, image);
  const entries =
    found?.index.manifests ?? (image.manifest ? [{ ...image.manifest, platform: platformOf(image) }] : []);
  return Promise.all(entries.map((descriptor) => summary(room, images, descriptor)));
}

/** Images by the digest of the manifest they came with. */
export function byManifest(images: readonly StoredImage[]): Map<Digest, StoredImage> {
  return new Map(images.flatMap((image) => (image.manifest ? [[image.manifest.digest, image]] : [])));
}

export type Index = Manifest & { kind: "index" };

/** The indexes that an image was pulled through, as far as they are here. */
export async function indexesOf(room: Pick<ImageRoom, "storage">, image: StoredImage): Promise<Index[]> {
  const found = new Map<Digest, Index>();
  for (const name of image.digests) {
    const { digest } = parseReference(name);
    if (!digest || digest === image.manifest?.digest || found.has(digest)) continue;
    const manifest = await readManifest(room, digest);
    if (manifest?.kind !== "index") continue;
    const { manifests } = manifest.index;
    if (image.manifest && !manifests.some((entry) => entry.digest === image.manifest?.digest)) continue;
    found.set(digest, manifest);
  }
  return [...found.values()];
}

/** A manifest or index that is kept here. */
export async function readManifest(room: Pick<ImageRoom, "storage">, digest: Digest): Promise<Manifest | undefined> {
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

async function summary(
  room: ImageRoom,
  images: ReadonlyMap<Digest, StoredImage>,
  descriptor: Descriptor,
): Promise<ManifestSummary> {
  const attests = isAttestation(descriptor);
  const here = images.get(descriptor.digest);
  const manifest = await readManifest(room, descriptor.digest);
  const parts = manifest?.kind === "image" ? [manifest.image.config, ...manifest.image.layers] : [];
  const kept = parts.filter(({ digest }) => room.storage.content.has(digest));
  const content = kept.reduce((sum, { size }) => sum + size, manifest ? descriptor.size : 0);
  const unpacked = here?.size ?? 0;
  const base: ManifestSummary = {
    ID: descriptor.digest,
    Descriptor: descriptor,
    Available: here !== undefined || (attests && manifest !== undefined && kept.length === parts.length),
    Kind: attests ? "attestation" : descriptor.platform ? "image" : "unknown",
    Size: { Content: content, Total: content + unpacked },
  };
  if (attests) {
    base.AttestationData = { For: descriptor.annotations?.["vnd.docker.reference.digest"] ?? "" };
  } else if (descriptor.platform) {
    const Containers = here ? room.containersUsing(here.id).map(({ id }) => id) : [];
    base.ImageData = { Platform: descriptor.platform, Containers, Size: { Unpacked: unpacked } };
  }
  return base;
}
