import { readdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Layer, LayerStore } from "@gantry/storage";

/** Makes a layer of a container's writable directory; null where nothing is in it. The container is gone afterwards. */
export async function sealOrRemove(layers: LayerStore, id: string, upper: string): Promise<Layer | null> {
  const layer = readdirSync(upper).length > 0 ? await layers.sealContainer(id) : null;
  if (!layer) await layers.removeContainer(id);
  removeFolder(dirname(upper));
  return layer;
}

/** Storage leaves a container's folder to its owner, which here is us. */
export function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Something is still in it: removed when the next daemon starts.
  }
}
