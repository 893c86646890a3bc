import type { Descriptor } from "@gantry/spec";
import { chunksOf } from "./body.ts";
import { responseFailure } from "./failure.ts";
import { type Backoff, delayBefore, sleep, TransientError, tooLong } from "./retry.ts";

/** Where downloaded bytes go. */
export interface BlobSink {
  /** Bytes taken so far; a resumed download begins above 0. */
  readonly offset: number;
  write(chunk: Uint8Array): Promise<void> | void;
  /** Forgets everything: what came so far is not what was asked for. */
  restart(): Promise<void>;
}

/** A place to get the blob from: sends a GET with these headers. */
export type BlobSource = (headers: Record<string, string>, signal?: AbortSignal) => Promise<Response>;

export interface DownloadOptions {
  backoff: Backoff;
  /** Milliseconds without a byte that make a stall. */
  stall: number;
  signal?: AbortSignal;
  onProgress?: (bytes: number) => void;
  onRetry?: (error: TransientError, delay: number) => void;
}

/** A try that brought at least this much does not count against the tries. */
const HEADWAY = 1024 * 1024;
const MAX_TRIES = 100;

/**
 * Fills the sink with exactly `descriptor.size` bytes, from the first source that can give them: resumes after cuts and
 * stalls by Range, begins again where a registry sends other than what was asked. The digest is the caller's to check.
 * Throws what the last source failed with.
 */
export async function downloadBlob(
  sources: readonly BlobSource[],
  descriptor: Descriptor,
  sink: BlobSink,
  options: DownloadOptions,
): Promise<void> {
  let failure: unknown;
  for (const source of sources) {
    try {
      return await fromSource(source, descriptor, sink, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof SinkError) throw error.cause;
      failure ??= error;
    }
  }
  throw failure;
}

async function fromSource(
  source: BlobSource,
  descriptor: Descriptor,
  sink: BlobSink,
  options: DownloadOptions,
): Promise<void> {
  const { backoff, signal } = options;
  for (let tries = 1, all = 1; ; tries++, all++) {
    const before = sink.offset;
    try {
      return await once(source, descriptor, sink, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TransientError) || all >= MAX_TRIES) throw error;
      if (sink.offset - before >= HEADWAY) tries = 1;
      if (tries >= backoff.attempts || tooLong(error, backoff)) throw error;
      const delay = delayBefore(tries, backoff, error.retryAfter);
      options.onRetry?.(error, delay);
      await sleep(delay, signal);
    }
  }
}

async function once(
  source: BlobSource,
  descriptor: Descriptor,
  sink: BlobSink,
  options: DownloadOptions,
): Promise<void> {
  const { size } = descriptor;
  if (sink.offset > size) await sink.restart();
  if (sink.offset === size && size > 0) return;
  const offset = sink.offset;
  // gzip as transfer encoding would make lengths and ranges mean something else.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (offset > 0) headers["range"] = `bytes=${offset}-`;
  const response = await source(headers, options.signal);
  const refuse = async (why: string) => {
    await response.body?.cancel().catch(() => {});
    if (sink.offset > 0) await sink.restart();
    throw new TransientError(why);
  };
  let skip = 0;
  if (response.status === 206) {
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
    const right = range && Number(range[1]) === offset && (range[3] === "*" || Number(range[3]) === size);
    if (!right)
      await refuse(`registry answered bytes=${offset}- with ${response.headers.get("content-range") ?? "no range"}`);
  } else if (response.status === 200) {
    // The whole again: what we have already is passed over, the digest will tell whether it was the same.
    skip = offset;
    const length = response.headers.get("content-length");
    if (length !== null && Number(length) !== size)
      await refuse(`registry announces ${length} bytes instead of ${size}`);
  } else if (response.status === 416) {
    await refuse(`registry refused bytes=${offset}-`);
  } else {
    throw await responseFailure(response);
  }
  for await (const chunk of chunksOf(response, options.stall, options.signal)) {
    let piece = chunk;
    if (skip > 0) {
      const passed = Math.min(skip, chunk.length);
      skip -= passed;
      piece = chunk.subarray(passed);
      if (piece.length === 0) continue;
    }
    if (sink.offset + piece.length > size) await refuse(`registry sends more than the ${size} bytes of the blob`);
    await intoSink(sink, piece);
    options.onProgress?.(sink.offset);
  }
  if (sink.offset < size) throw new TransientError(`unexpected end of blob: ${sink.offset} of ${size} bytes`);
}

/** Trouble on our own side (a full disk): no other source can help. */
class SinkError extends Error {}

async function intoSink(sink: BlobSink, piece: Uint8Array): Promise<void> {
  try {
    const written = sink.write(piece);
    if (written) await written;
  } catch (error) {
    throw new SinkError("", { cause: error });
  }
}
