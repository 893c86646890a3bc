import { GantryError } from "@gantry/spec";
import { close, O, open, SysError, syncfs } from "@gantry/sys";
import { copyUp } from "./copy-up.ts";
import { type ExtractOptions, Extractor, type ExtractResult } from "./extractor.ts";
import { collectChanges, flatten } from "./flatten.ts";
import { Packer, type PackOptions } from "./packer.ts";
import { TarParser } from "./parser.ts";
import { replay } from "./recipe.ts";
import { removeAt } from "./remove.ts";
import { type RingMemory, SyncRingWriter } from "./ring.ts";
import { seal } from "./seal.ts";
import { type ByteSource, drain, Inflater } from "./source.ts";
import { compareUpper, usage } from "./tree.ts";
import { type UnpackJob, type UnpackResult, unpack } from "./unpack.ts";

/** What workers do: one function a kind, all synchronous. Arguments and results can be cloned between threads. */
export const jobs = {
  unpack(job: UnpackJob): UnpackResult {
    return unpack(job);
  },

  /** Extracts an archive below an open directory (the descriptor is borrowed; threads share them). */
  extract(job: { source: ByteSource; rootFd: number; options: ExtractOptions }): ExtractResult {
    const extractor = new Extractor(job.rootFd, job.options);
    const parser = new TarParser(extractor);
    const inflater = new Inflater((chunk) => parser.push(chunk));
    try {
      drain(job.source, (chunk) => inflater.push(chunk));
      inflater.finish();
      parser.finish();
      extractor.finish();
      return extractor.result;
    } finally {
      inflater.dispose();
      extractor.dispose();
    }
  },

  /** Gives a layer's tar: from its recipe, or by undoing the compression of a file. */
  tar(job: { sink: RingMemory; recipe?: string; diff?: string; file?: string; expected: string }): void {
    const writer = new SyncRingWriter(job.sink);
    const hash = new Bun.CryptoHasher("sha256");
    const emit = (chunk: Uint8Array) => {
      hash.update(chunk);
      writer.write(chunk);
    };
    try {
      if (job.recipe !== undefined) {
        const diffFd = open(job.diff!, O.RDONLY | O.DIRECTORY);
        try {
          replay(job.recipe, diffFd, emit);
        } finally {
          close(diffFd);
        }
      } else {
        const inflater = new Inflater(emit);
        try {
          drain({ path: job.file! }, (chunk) => inflater.push(chunk));
          inflater.finish();
        } finally {
          inflater.dispose();
        }
      }
      const digest = `sha256:${hash.digest("hex")}`;
      if (digest !== job.expected) throw new GantryError("system", `layer ${job.expected} was altered on disk`);
    } catch (error) {
      writer.fail();
      throw error;
    }
    writer.end();
  },

  /** Undoes gzip or zstd. */
  inflate(job: { source: ByteSource; sink: RingMemory }): void {
    const writer = new SyncRingWriter(job.sink);
    const inflater = new Inflater((chunk) => writer.write(chunk));
    try {
      drain(job.source, (chunk) => inflater.push(chunk));
      inflater.finish();
    } catch (error) {
      writer.fail();
      throw error;
    } finally {
      inflater.dispose();
    }
    writer.end();
  },

  /** Packs a tree (the descriptor is borrowed). */
  pack(job: { rootFd: number; sink: RingMemory; options: PackOptions }): void {
    const writer = new SyncRingWriter(job.sink);
    try {
      for (const _ of new Packer(job.rootFd, { write: (bytes) => writer.write(bytes) }, job.options).walk());
    } catch (error) {
      writer.fail();
      throw error;
    }
    writer.end();
  },

  /** Waits until all that was written to the file system of `path` is on disk. */
  sync(job: { path: string }): void {
    const fd = open(job.path, O.RDONLY | O.DIRECTORY);
    try {
      syncfs(fd);
    } finally {
      close(fd);
    }
  },

  seal,
  usage,
  changes: compareUpper,
  copyUp,
  flatten,
  collectChanges,

  /** Removes a tree, at whatever path below the data root. */
  remove(job: { parent: string; name: string }): void {
    let fd: number;
    try {
      fd = open(job.parent, O.RDONLY | O.DIRECTORY);
    } catch (error) {
      if (error instanceof SysError && error.errno === 2) return;
      throw error;
    }
    try {
      removeAt(fd, job.name);
    } finally {
      close(fd);
    }
  },
};

export type Jobs = typeof jobs;
export type JobKind = keyof Jobs;
