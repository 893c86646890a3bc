import { createHash } from "node:crypto";
import type { Digest } from "@gantry/spec";

/** Chain IDs of a stack of layers, bottommost first (OCI config.md, "Layer ChainID"). */
export function chainIds(diffIds: readonly Digest[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below ? `sha256:${createHash("sha256").update(`${below} ${diffId}`).digest("hex")}` : diffId);
  }
  return chain;
}
