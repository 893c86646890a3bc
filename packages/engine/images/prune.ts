import type { Digest, ImageDeleteResponseItem, ImagePruneResponse } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { Filters } from "../filters.ts";
import { ChainUses, chainOf } from "./chain.ts";
import { remove } from "./remove.ts";
import { type ImageRoom, namesOf } from "./room.ts";
import { createdMs, isBefore, labelsMatch } from "./select.ts";

/** Images looked at before others get their turn. */
const BREATH = 8;

/**
 * `image prune`: images without a tag, or (`dangling=false`) all that no container uses. Filters: dangling, until,
 * label, label!. What stands against a removal is left alone silently.
 */
export async function prune(room: ImageRoom, filters: Filters): Promise<ImagePruneResponse> {
  filters.allow("dangling", "label", "label!", "until");
  filters.until();
  const danglingOnly = filters.bool("dangling", true);
  const { images } = room.storage;
  const all = images.list();
  const sizes = layerSizes(room, all);
  const chosen = all.filter((image) => {
    if (filters.has("until") && !filters.get("until").every((until) => isBefore(image, until))) return false;
    if (!labelsMatch(filters, image)) return false;
    return namesOf(image).length > 0 || images.children(image.id).length === 0;
  });
  const uses = new ChainUses(all);
  let looked = 0;
  const removed: ImageDeleteResponseItem[] = [];
  for (const { id } of chosen.sort((a, b) => createdMs(b) - createdMs(a))) {
    if (++looked % BREATH === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    const image = images.get(id);
    if (!image) continue;
    const names = namesOf(image);
    if (danglingOnly && image.tags.length > 0) continue;
    // A container in use is no obstacle for an extra name of its image, so it is looked at here.
    if (room.containersUsing(id).length > 0) continue;
    for (const target of names.length > 0 ? names.map(({ text }) => text) : [id]) {
      try {
        if (images.get(id)) removed.push(...remove(room, target, { prune: true, uses }));
      } catch {
        // In use by now, or needed by another image.
      }
    }
  }
  const reclaimed = removed.reduce((sum, { Deleted }) => sum + (Deleted ? (sizes.get(Deleted) ?? 0) : 0), 0);
  room.events.emit("image", "prune", "", { reclaimed: String(reclaimed) });
  return { ImagesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: reclaimed };
}

/** Bytes of each layer by its chain ID. */
function layerSizes(room: ImageRoom, images: readonly StoredImage[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const image of images) {
    const diffIds: Digest[] = image.config.rootfs.diff_ids;
    for (const [i, chainId] of chainOf(image).entries()) {
      const diffId = diffIds[i]!;
      if (room.storage.layers.has(diffId)) sizes.set(chainId, room.storage.layers.get(diffId).size);
    }
  }
  return sizes;
}
