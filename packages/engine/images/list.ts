import type { ImageSummary } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { Filters } from "../filters.ts";
import { ChainUses, chainOf } from "./chain.ts";
import { byManifest, manifestSummaries } from "./manifests.ts";
import type { ImageRoom } from "./room.ts";
import { createdMs, Selection } from "./select.ts";

export interface ListOptions {
  /** Also images that are only parents of others. */
  all?: boolean;
  filters: Filters;
  sharedSize?: boolean;
  /** Also how many containers use each (`system df`, and lists from API 1.51 on). */
  containers?: boolean;
  /** Also each image's manifests (`image ls --tree`). */
  manifests?: boolean;
}

/** `GET /images/json`: newest first. */
export async function list(room: ImageRoom, options: ListOptions): Promise<ImageSummary[]> {
  const selection = new Selection(room, options.filters);
  const all = room.storage.images.list();
  const parents = new Set(all.map(({ parent }) => parent).filter((id) => id !== undefined));
  const uses = options.sharedSize ? new ChainUses(all) : undefined;
  const manifests = byManifest(options.manifests ? all : []);
  const counts = options.containers ? countContainers(room, all) : undefined;
  const out: ImageSummary[] = [];
  for (const image of all) {
    if (!selection.passes(image)) continue;
    const RepoTags = image.tags.filter((name) => selection.takesName(name));
    const RepoDigests = image.digests.filter((name) => selection.takesName(name));
    if (RepoTags.length === 0 && RepoDigests.length === 0) {
      if (selection.byName || selection.dangling === false) continue;
      if (!options.all && parents.has(image.id)) continue;
    } else if (selection.dangling !== undefined && selection.dangling !== (RepoTags.length === 0)) {
      continue;
    }
    const summary: ImageSummary = {
      Containers: options.containers ? (counts?.get(image.id) ?? 0) : -1,
      Created: Math.floor(createdMs(image) / 1000),
      Id: image.id,
      Labels: image.config.config?.Labels ?? null,
      ParentId: image.parent ?? "",
      RepoDigests,
      RepoTags,
      SharedSize: uses ? sharedSize(room, image, uses) : -1,
      Size: image.size,
    };
    const itsManifests = options.manifests ? await manifestSummaries(room, image, manifests) : [];
    if (itsManifests.length > 0) summary.Manifests = itsManifests;
    out.push(summary);
  }
  // A stable order among those of the same second: newest record first, as the store lists them.
  return out.sort((a, b) => b.Created - a.Created);
}

function countContainers(room: ImageRoom, images: StoredImage[]): Map<string, number> {
  if (room.containerCounts) return room.containerCounts();
  return new Map(images.map(({ id }) => [id, room.containersUsing(id).length]));
}

function sharedSize(room: ImageRoom, image: StoredImage, uses: ChainUses): number {
  const diffIds = image.config.rootfs.diff_ids;
  let size = 0;
  for (const [i, id] of chainOf(image).entries()) {
    if (uses.of(id) > 1) size += room.storage.layers.get(diffIds[i]!).size;
  }
  return size;
}

/** Bytes of all images' layers, each counted once: `LayersSize` of `system df`. */
export function layersSize(room: ImageRoom): number {
  const diffIds = new Set(room.storage.images.list().flatMap((image) => image.config.rootfs.diff_ids));
  let size = 0;
  for (const diffId of diffIds) if (room.storage.layers.has(diffId)) size += room.storage.layers.get(diffId).size;
  return size;
}
