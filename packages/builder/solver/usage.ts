import { type Digest, isDigest } from "@gantry/spec";
import type { Storage } from "@gantry/storage";
import type { CacheRecord, PruneOptions } from "../contract.ts";
import type { CacheMounts } from "../exec/cache-mounts.ts";
import { directorySize } from "../tree/size.ts";
import type { BuildCache } from "./cache.ts";

/** Everything the cache holds. A layer that an image has, too, is shared: removing the record frees nothing. */
export async function listRecords(cache: BuildCache, mounts: CacheMounts, storage: Storage): Promise<CacheRecord[]> {
  const inImages = new Set<Digest>(storage.images.list().flatMap((image) => image.config.rootfs.diff_ids));
  const rows = cache.records();
  const byLayer = new Map(rows.map((row) => [row.diff_id, row.key]));
  const counted = new Set<Digest>();
  const layers = rows.map((row): CacheRecord => {
    const { diff_id: diffId } = row;
    const present = diffId !== null && storage.layers.has(diffId);
    const first = diffId !== null && !counted.has(diffId);
    if (diffId !== null) counted.add(diffId);
    const parent = isDigest(row.parent) ? byLayer.get(row.parent) : undefined;
    return {
      id: row.key,
      type: "regular",
      description: row.description,
      parents: parent ? [parent] : [],
      inUse: false,
      // A step that changed nothing takes no room either way.
      shared: diffId === null || inImages.has(diffId),
      size: present && first ? storage.layers.get(diffId).size : 0,
      createdAt: row.created_ms,
      lastUsedAt: row.used_ms,
      usageCount: row.uses,
    };
  });
  const cacheMounts: CacheRecord[] = [];
  for (const row of cache.mounts()) {
    cacheMounts.push({
      id: row.key,
      type: "exec.cachemount",
      description: `cached mount ${row.id}`,
      parents: [],
      inUse: mounts.inUse(row.key),
      shared: false,
      size: await directorySize(mounts.pathOf(row.key)),
      createdAt: row.created_ms,
      lastUsedAt: row.used_ms,
      usageCount: row.uses,
    });
  }
  return [...layers, ...cacheMounts];
}

/** The records a prune takes away: those that match, the longest unused first, until no more than `keep` bytes are left. */
export function chooseRecords(records: CacheRecord[], options: PruneOptions): CacheRecord[] {
  const now = Date.now();
  const matching = records
    .filter((record) => !record.inUse)
    .filter((record) => options.all || !record.shared)
    .filter((record) => options.olderThan === undefined || now - record.lastUsedAt >= options.olderThan)
    .filter((record) => options.matches?.(record) ?? true)
    .sort((a, b) => a.lastUsedAt - b.lastUsedAt);
  if (options.keep <= 0) return matching;
  let held = records.reduce((sum, record) => sum + (record.shared ? 0 : record.size), 0);
  return matching.filter((record) => {
    if (held <= options.keep) return false;
    held -= record.shared ? 0 : record.size;
    return true;
  });
}
