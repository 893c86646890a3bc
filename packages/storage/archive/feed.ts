import { GantryError, unavailable } from "@gantry/spec";
import { type Compression, detectCompression, MAGIC_LENGTH } from "./decompress.ts";
import { badArchive } from "./entry.ts";
import { AsyncRingReader, AsyncRingWriter, createRing, RingClosed, type RingMemory } from "./ring.ts";

/**
 * Sends a stream into a ring. Resolves when all is sent or the reader gave up (its own error tells why, so that is none
 * here); where the source fails or the signal fires, the reader is told and the reason thrown.
 */
export async function feed(
  stream: ReadableStream<Uint8Array>,
  ring: RingMemory,
  options: { onProgress?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<void> {
  const writer = new AsyncRingWriter(ring);
  const reader = stream.getReader();
  const abort = () => {
    writer.fail();
    void reader.cancel(options.signal?.reason).catch(() => {});
  };
  options.signal?.addEventListener("abort", abort, { once: true });
  let sent = 0;
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      await writer.write(value);
      sent += value.length;
      options.onProgress?.(sent);
    }
    options.signal?.throwIfAborted();
    writer.end();
  } catch (error) {
    writer.fail();
    void reader.cancel(error).catch(() => {});
    if (error instanceof RingClosed) return;
    throw options.signal?.aborted ? new GantryError("cancelled", "context canceled", { cause: error }) : error;
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

/** A stream of what a worker writes into the ring. `done`: the worker's job, whose error is the stream's. */
export function ringStream(ring: RingMemory, done: Promise<unknown>): ReadableStream<Uint8Array> {
  const reader = new AsyncRingReader(ring);
  // Told below, where the stream ends; without this an early failure would count as unhandled.
  done.catch(() => {});
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const chunk = await reader.read();
          if (chunk) return controller.enqueue(chunk);
          await done;
          controller.close();
        } catch (error) {
          // The job's own error says more than "closed".
          await done.catch((reason) => controller.error(reason));
          controller.error(error);
        }
      },
      cancel() {
        reader.cancel();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stream, which fails as soon as the signal fires, also while its source is silent. */
export function abortable(stream: ReadableStream<Uint8Array>, signal?: AbortSignal): ReadableStream<Uint8Array> {
  if (!signal) return stream;
  const reader = stream.getReader();
  let abort = () => {};
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        abort = () => {
          controller.error(new GantryError("cancelled", "context canceled", { cause: signal.reason }));
          void reader.cancel(signal.reason).catch(() => {});
        };
        if (signal.aborted) abort();
        else signal.addEventListener("abort", abort, { once: true });
      },
      // Not Promise.race with one promise of the abort: that keeps each piece ever read until the end.
      async pull(controller) {
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (!done) return controller.enqueue(value);
        signal.removeEventListener("abort", abort);
        controller.close();
      },
      cancel(reason) {
        signal.removeEventListener("abort", abort);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Splits off the first bytes of a stream: [head, a stream of everything with the head in it]. */
export async function peek(
  stream: ReadableStream<Uint8Array>,
  length = MAGIC_LENGTH,
): Promise<[head: Uint8Array, whole: ReadableStream<Uint8Array>]> {
  const reader = stream.getReader();
  const pieces: Uint8Array[] = [];
  let have = 0;
  let ended = false;
  while (have < length && !ended) {
    const { done, value } = await reader.read();
    if (done) ended = true;
    else {
      pieces.push(value);
      have += value.length;
    }
  }
  const head = pieces.length === 1 ? pieces[0]! : new Uint8Array(Buffer.concat(pieces));
  const whole = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = pieces.shift();
        if (piece) return controller.enqueue(piece);
        const { done, value } = ended ? { done: true, value: undefined } : await reader.read();
        if (done) controller.close();
        else controller.enqueue(value!);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return [head.subarray(0, length), whole];
}

/** Programs for the formats that the runtime has no codec of; both are rare in images and off the hot path. */
const PROGRAMS: Partial<Record<Compression, string>> = { xz: "xz", bzip2: "bzip2" };

/** Whether a format needs a program of the host to be read. */
export const needsProgram = (kind: Compression) => kind in PROGRAMS;

/** Undoes xz or bzip2 by the host's program. Throws unavailable where it is not installed. */
export function decompressByProgram(
  kind: Compression,
  source: ReadableStream<Uint8Array> | { path: string },
): ReadableStream<Uint8Array> {
  const program = PROGRAMS[kind]!;
  const path = Bun.which(program);
  if (!path)
    throw unavailable(
      `this archive is compressed by ${kind}: install the program ${JSON.stringify(program)} to read it`,
    );
  const child = Bun.spawn([path, "-dc"], {
    stdin: "path" in source ? Bun.file(source.path) : source,
    stdout: "pipe",
    stderr: "pipe",
    env: {},
  });
  const reader = child.stdout.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
        const code = await child.exited;
        if (code === 0) return controller.close();
        const words = (await new Response(child.stderr).text()).trim().split("\n")[0]?.slice(0, 300);
        controller.error(badArchive(`${program}: ${words || `exit status ${code}`}`));
      },
      async cancel(reason) {
        child.kill();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stream with xz or bzip2 undone; anything else as it is (workers undo gzip and zstd themselves). */
export async function preinflate(stream: ReadableStream<Uint8Array>): Promise<ReadableStream<Uint8Array>> {
  const [head, whole] = await peek(stream);
  const kind = detectCompression(head);
  return needsProgram(kind) ? decompressByProgram(kind, whole) : whole;
}

export { createRing };
