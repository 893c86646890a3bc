import { invalidParameter } from "@gantry/spec";
import { TransientError } from "./retry.ts";

/** The whole body of a response. Throws invalidParameter above `limit` bytes, and stops reading there. */
export async function readAtMost(response: Response, limit: number, stall = 30_000): Promise<Uint8Array> {
  const declared = Number(response.headers.get("content-length") ?? 0);
  if (declared > limit) {
    await response.body?.cancel().catch(() => {});
    throw invalidParameter(`response of ${declared} bytes is larger than the limit of ${limit}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunksOf(response, stall)) {
    size += chunk.length;
    if (size > limit) throw invalidParameter(`response is larger than the limit of ${limit} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

/**
 * The chunks of a body as they come. Throws TransientError where it is cut, or where nothing comes for `stall`
 * milliseconds while we wait for it. Leaving the loop early cancels the body.
 */
export async function* chunksOf(response: Response, stall: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let waitingSince = 0;
  let stalled = false;
  const end = () => void reader.cancel().catch(() => {});
  const watch = setInterval(
    () => {
      if (waitingSince === 0 || performance.now() - waitingSince < stall) return;
      stalled = true;
      end();
    },
    Math.max(10, Math.min(1000, stall / 4)),
  );
  signal?.addEventListener("abort", end, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      waitingSince = performance.now();
      let part: { done: boolean; value?: Uint8Array };
      try {
        part = await reader.read();
      } catch (error) {
        signal?.throwIfAborted();
        throw new TransientError(`connection cut: ${error instanceof Error ? error.message.split(". ")[0] : error}`, {
          cause: error,
        });
      }
      waitingSince = 0;
      if (stalled) throw new TransientError(`no data received for ${Math.round(stall / 100) / 10} seconds`);
      signal?.throwIfAborted();
      if (part.done) return;
      if (part.value) yield part.value;
    }
  } finally {
    clearInterval(watch);
    signal?.removeEventListener("abort", end);
    end();
  }
}
