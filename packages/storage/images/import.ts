import type { Digest, HistoryEntry, ImageConfig, ImageRunConfig, Platform } from "@gantry/spec";
import type { Storage, StoredImage } from "../contract.ts";
import { hostPlatform } from "./platform.ts";

export interface ImportOptions {
  config?: ImageRunConfig;
  platform?: Partial<Platform>;
  /** The history entry's comment; Docker's words for where the archive came from. */
  comment?: string;
  author?: string;
  /** RFC 3339; now, where not given. */
  created?: string;
  signal?: AbortSignal;
}

/** `docker import`: an image of one layer from the tar of a whole root file system, of any compression. */
export async function importRootfs(
  storage: Pick<Storage, "layers" | "images" | "lease">,
  source: ReadableStream<Uint8Array>,
  options: ImportOptions = {},
): Promise<StoredImage> {
  const lease = storage.lease();
  try {
    const layer = await storage.layers.unpack(source, { signal: options.signal });
    const created = options.created ?? new Date().toISOString();
    const history: HistoryEntry = { created, ...(options.comment ? { comment: options.comment } : {}) };
    return await storage.images.create(encodeConfig(options, created, [layer.diffId], [history]));
  } finally {
    lease.release();
  }
}

function encodeConfig(options: ImportOptions, created: string, diffIds: Digest[], history: HistoryEntry[]): Uint8Array {
  const config: ImageConfig = {
    ...hostPlatform(),
    ...options.platform,
    ...(options.author ? { author: options.author } : {}),
    config: options.config ?? {},
    created,
    history,
    rootfs: { type: "layers", diff_ids: diffIds },
  } as ImageConfig;
  return new TextEncoder().encode(JSON.stringify(config));
}
