import { createHash } from "node:crypto";
import type { Digest, ImageConfig } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";

/** Chain IDs of a stack of layers, bottommost first (OCI config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below ? `sha256:${createHash("sha256").update(`${below} ${diffId}`).digest("hex")}` : diffId);
  }
  return chain;
}

const known = new WeakMap<ImageConfig, Digest[]>();

/** Chain IDs of an image's layers, bottommost first; worked out once for each image. */
export function chainOf(image: StoredImage): Digest[] {
  let chain = known.get(image.config);
  if (!chain) {
    chain = chainIds(image.config.rootfs.diff_ids);
    known.set(image.config, chain);
  }
  return chain;
}

/** How many images have each layer, by chain ID: the same files on another base are not the same layer to Docker. */
export class ChainUses {
  readonly #uses = new Map<Digest, number>();

  constructor(images: readonly StoredImage[]) {
    for (const image of images) {
      for (const id of chainOf(image)) this.#uses.set(id, (this.#uses.get(id) ?? 0) + 1);
    }
  }

  of(chainId: Digest): number {
    return this.#uses.get(chainId) ?? 0;
  }

  /** An image is going: returns the layers that no other has, topmost first. */
  drop(image: StoredImage): Digest[] {
    const gone: Digest[] = [];
    for (const id of chainOf(image)) {
      const left = this.of(id) - 1;
      this.#uses.set(id, left);
      if (left <= 0) gone.push(id);
    }
    return gone.reverse();
  }
}
