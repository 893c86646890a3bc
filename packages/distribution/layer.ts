import { type Descriptor, type Digest, messageOf, systemError } from "@gantry/spec";
import type { Ingest, Storage } from "@gantry/storage";
import { isErrno } from "@gantry/sys";
import { Blocks } from "./blocks.ts";
import { type BlobSink, type BlobSource, type DownloadOptions, downloadBlob } from "./download.ts";
import { finalError } from "./errors.ts";
import { Feed } from "./feed.ts";
import type { Limiter } from "./limiter.ts";
import { sleep } from "./retry.ts";

/** What is going on with a layer; `Docker's` words for these are the listener's to find. */
export type LayerEvent =
  | { state: "waiting" | "verifying" | "downloaded" | "done" }
  | { state: "downloading" | "extracting"; current: number; total: number }
  | { state: "retrying"; seconds: number };

export interface LayerJob {
  storage: Storage;
  descriptor: Descriptor;
  diffId: Digest;
  sources: readonly BlobSource[];
  limiter: Limiter;
  download: Omit<DownloadOptions, "signal" | "onProgress" | "onRetry">;
  signal: AbortSignal;
  onEvent: (event: LayerEvent) => void;
}

/** Times that a blob is fetched whole before its registry is held to be wrong. */
const WHOLE_TRIES = 3;

/**
 * Brings a layer in: the blob is downloaded, verified and kept while the same bytes are unpacked in passing. A resumed
 * download is unpacked from its file afterwards. Killed or aborted, the partial blob stays for the next try.
 */
export async function bringLayer(job: LayerJob): Promise<void> {
  const { storage, descriptor, diffId, signal, onEvent } = job;
  const { digest, size } = descriptor;
  const blob: Descriptor = { mediaType: descriptor.mediaType, digest, size, urls: descriptor.urls };
  let unpacked = false;
  if (!storage.content.has(digest)) {
    if (job.limiter.full) onEvent({ state: "waiting" });
    unpacked = await job.limiter.run(() => fetchBlob(job, blob), signal);
  }
  onEvent({ state: "downloaded" });
  if (!unpacked) {
    signal.throwIfAborted();
    await storage.layers.unpack(
      { path: storage.content.path(digest) },
      {
        expected: diffId,
        blob,
        signal,
        onProgress: (current) => onEvent({ state: "extracting", current, total: size }),
      },
    );
  }
  onEvent({ state: "done" });
}

/** Downloads and verifies the blob. Returns whether the layer was unpacked in passing. */
async function fetchBlob(job: LayerJob, blob: Descriptor): Promise<boolean> {
  const { storage, descriptor, signal, onEvent } = job;
  const { digest, size } = descriptor;
  for (let whole = 1; ; whole++) {
    // Another pull may have brought it while this one waited for its turn.
    if (storage.content.has(digest)) return false;
    const sink = await LayerSink.open(job, blob);
    try {
      await downloadBlob(job.sources, descriptor, sink, {
        ...job.download,
        signal,
        onProgress: (current) => onEvent({ state: "downloading", current, total: size }),
        onRetry: (_, delay) => onEvent({ state: "retrying", seconds: Math.max(1, Math.round(delay / 1000)) }),
      });
      onEvent({ state: "verifying" });
    } catch (error) {
      await sink.leave(error);
      throw finalError(error);
    }
    try {
      await sink.commit();
    } catch (error) {
      if (isLocal(error)) throw error;
      if (whole >= WHOLE_TRIES) throw systemError(`filesystem layer verification failed for digest ${digest}`, error);
      onEvent({ state: "retrying", seconds: 1 });
      continue;
    }
    onEvent({ state: "downloaded" });
    return sink.finishUnpack();
  }
}

/** Whether the system, not the content, is to blame (a full disk, no permission). */
function isLocal(error: unknown): boolean {
  const code = (error as { code?: unknown })?.code;
  return typeof code === "string" && /^E[A-Z]+$/.test(code);
}

/** Whether there is no room for more. */
const isFull = (error: unknown) => isErrno(error, "ENOSPC", "EDQUOT");

/**
 * Under the blob's own key, where the next pull goes on with it; beside it where the same blob is just coming out of an archive, whose end
 * nobody knows.
 */
async function openIngest(job: LayerJob, digest: Digest): Promise<{ ingest: Ingest; resumable: boolean }> {
  // A pull that was just given up lets go of it in a moment.
  for (let left = 100; left > 0; left--) {
    try {
      return { ingest: await job.storage.content.ingest(digest), resumable: true };
    } catch (error) {
      if (!/locked/.test(messageOf(error))) throw error;
      await sleep(20, job.signal);
    }
  }
  return { ingest: await job.storage.content.ingest(`pull-${crypto.randomUUID()}`), resumable: false };
}

/** Writes to the content store and, where the download begins at 0, to the unpacker. */
class LayerSink implements BlobSink {
  readonly #job: LayerJob;
  readonly #blob: Descriptor;
  readonly #blocks: Blocks;
  #ingest: Ingest;
  #resumable: boolean;
  #offset: number;
  #feed: Feed | undefined;
  #unpacking: Promise<boolean> | undefined;
  #downloaded = false;

  private constructor(job: LayerJob, blob: Descriptor, { ingest, resumable }: { ingest: Ingest; resumable: boolean }) {
    this.#job = job;
    this.#blob = blob;
    this.#ingest = ingest;
    this.#resumable = resumable;
    this.#offset = ingest.offset;
    // A feed takes a block once the one before is used up; a store has written it when it says so.
    this.#blocks = new Blocks(async (block) => {
      const written = this.#ingest.write(block);
      await Promise.all([written, this.#feed?.write(block)]);
    });
    this.#beginUnpack();
  }

  static async open(job: LayerJob, blob: Descriptor): Promise<LayerSink> {
    return new LayerSink(job, blob, await openIngest(job, blob.digest));
  }

  get offset(): number {
    return this.#offset;
  }

  write(chunk: Uint8Array): Promise<void> {
    this.#offset += chunk.byteLength;
    return this.#blocks.write(chunk);
  }

  async restart(): Promise<void> {
    await this.#endUnpack(new Error("download begins again"));
    this.#blocks.clear();
    this.#ingest.discard();
    const { ingest, resumable } = await openIngest(this.#job, this.#blob.digest);
    this.#ingest = ingest;
    this.#resumable = resumable;
    this.#offset = this.#ingest.offset;
    this.#beginUnpack();
  }

  /** Gives up for now; what was downloaded stays for a resume, but not where it is what fills the disk. */
  async leave(error: unknown): Promise<void> {
    await this.#endUnpack(error instanceof Error ? error : new Error(String(error)));
    let full = isFull(error);
    await this.#blocks.flush().catch((late) => {
      full ||= isFull(late);
    });
    if (full || !this.#resumable) this.#ingest.discard();
    else this.#ingest.close();
  }

  async commit(): Promise<void> {
    this.#downloaded = true;
    try {
      await this.#blocks.flush();
      await this.#ingest.commit(this.#blob.digest, this.#blob.size);
    } catch (error) {
      this.#ingest.discard();
      await this.#endUnpack(new Error("blob does not have its digest"));
      throw error;
    }
  }

  /** After the commit: whether the unpacking in passing came to a good end. */
  async finishUnpack(): Promise<boolean> {
    this.#feed?.close();
    const unpacked = (await this.#unpacking) ?? false;
    this.#blocks.recycle();
    return unpacked;
  }

  #beginUnpack(): void {
    this.#feed = undefined;
    this.#unpacking = undefined;
    if (this.#offset > 0) return;
    const { storage, diffId, signal, onEvent } = this.#job;
    const feed = new Feed();
    this.#feed = feed;
    const onProgress = (current: number) => {
      if (this.#downloaded) onEvent({ state: "extracting", current, total: this.#blob.size });
    };
    this.#unpacking = storage.layers
      .unpack(feed.stream, { expected: diffId, blob: this.#blob, signal, onProgress })
      .then(
        () => true,
        // Whether the blob or its unpacking is at fault shows once the digest is known; see bringLayer.
        () => false,
      )
      .finally(() => feed.drop());
  }

  async #endUnpack(error: Error): Promise<void> {
    this.#feed?.fail(error);
    await this.#unpacking;
  }
}
