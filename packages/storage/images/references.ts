import type { Descriptor, Digest } from "@gantry/spec";
import type { Content } from "../content/store.ts";
import type { ImageStore } from "../contract.ts";
import type { Layers } from "../layers/store.ts";

/** Manifests larger than this refer to nothing, bytes. */
const MAX_MANIFEST = 4 << 20;

/**
 * All blobs that images need: configs, manifests and indexes with what these name, and the compressed form of each
 * layer that is still here (so that a push sends what was pulled).
 */
export async function referencedBlobs(
  images: Pick<ImageStore, "list">,
  content: Content,
  layers: Layers,
): Promise<Set<Digest>> {
  const used = new Set<Digest>();
  const visit = async (digest: Digest) => {
    if (used.has(digest)) return;
    used.add(digest);
    if (!content.has(digest) || content.size(digest) > MAX_MANIFEST) return;
    let body: { manifests?: Descriptor[]; layers?: Descriptor[]; config?: Descriptor };
    try {
      body = JSON.parse(Buffer.from(await content.read(digest, MAX_MANIFEST)).toString());
    } catch {
      return;
    }
    for (const { digest: child } of body.manifests ?? []) await visit(child);
    for (const { digest: child } of body.layers ?? []) used.add(child);
    if (body.config) used.add(body.config.digest);
  };
  for (const image of images.list()) {
    used.add(image.id);
    if (image.manifest) await visit(image.manifest.digest);
    for (const name of image.digests) await visit(name.slice(name.indexOf("@") + 1) as Digest);
  }
  for (const digest of layers.blobs()) used.add(digest);
  return used;
}
