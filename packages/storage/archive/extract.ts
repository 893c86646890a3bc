import { close } from "@gantry/sys";
import { duplicate } from "./descriptor.ts";
import type { ExtractOptions, ExtractResult } from "./extractor.ts";
import { createRing, feed, preinflate } from "./feed.ts";
import { workers } from "./workers.ts";

/**
 * Lays an archive of any dialect and compression out below an open directory, confined to it, on another thread. The
 * directory's descriptor may be closed as soon as this returns its promise. Throws invalidParameter for what the archive
 * is to blame for; what was written until then stays.
 */
export async function extract(
  stream: ReadableStream<Uint8Array>,
  rootFd: number,
  options: ExtractOptions & { signal?: AbortSignal } = {},
): Promise<ExtractResult> {
  const { signal, ...rest } = options;
  const fd = duplicate(rootFd);
  try {
    const plain = await preinflate(stream);
    const ring = createRing();
    const job = workers.run("extract", { source: { ring }, rootFd: fd, options: rest }, { streams: true });
    job.catch(() => {});
    try {
      await feed(plain, ring, { signal });
    } catch (error) {
      await job.catch(() => {});
      throw error;
    }
    return await job;
  } finally {
    close(fd);
  }
}
