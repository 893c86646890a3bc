import { createRing, feed, preinflate, ringStream } from "./feed.ts";
import { AsyncRingWriter } from "./ring.ts";
import { workers } from "./workers.ts";

/** The stream with its compression (gzip, zstd, xz, bzip2; told by its first bytes) undone on another thread. */
export function inflate(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const from = createRing();
  const to = createRing();
  const job = workers.run("inflate", { source: { ring: from }, sink: to }, { streams: true });
  const fed = preinflate(source).then(
    (stream) => feed(stream, from),
    (error) => {
      new AsyncRingWriter(from).fail();
      throw error;
    },
  );
  fed.catch(() => {});
  // The worker's error first: where it failed, the feeding just stopped.
  return ringStream(
    to,
    job.then(() => fed),
  );
}
