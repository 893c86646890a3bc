import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { Extractor, Inflater, removeAt, type TarEntry, TarParser, type TarSink } from "@gantry/storage";
import { close, O, open, openat, SysError } from "@gantry/sys";
import { cleanPath } from "../ignore/clean.ts";
import { FileSum, headerOfEntry } from "./sum.ts";
import type { SourceTree } from "./source-tree.ts";

/** More members than any context has; a hostile one must not fill the disk with inodes. */
const MAX_ENTRIES = 5_000_000;

/** A temporary directory of one build, removed with all in it by `close`. */
export class TemporaryTree implements SourceTree {
  readonly sums: Map<string, string> = new Map();
  readonly linkable = true;
  readonly fd: number;
  private open = true;

  private constructor(
    private readonly parent: string,
    private readonly name: string,
    readonly context: boolean,
  ) {
    this.fd = open(join(parent, name), O.RDONLY | O.DIRECTORY);
  }

  /** Makes one below `parent`: empty, or of a directory that is moved here. */
  static create(parent: string, options: { context: boolean; from?: string }): TemporaryTree {
    const name = randomBytes(12).toString("hex");
    if (options.from !== undefined) renameSync(options.from, join(parent, name));
    else mkdirSync(join(parent, name), { recursive: true, mode: 0o700 });
    return new TemporaryTree(parent, name, options.context);
  }

  get path(): string {
    return join(this.parent, this.name);
  }

  /** Removes it. Large trees take a while: the caller decides when. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    close(this.fd);
    const parent = open(this.parent, O.RDONLY | O.DIRECTORY);
    try {
      removeAt(parent, this.name);
    } finally {
      close(parent);
    }
  }

  /** Removes a file, if it is there, from the top directory. */
  remove(name: string): void {
    removeAt(this.fd, name);
    this.sums.delete(name);
  }

  /**
   * Lays an archive (plain, gzip or zstd; told by its first bytes) out here, all of it owned by root, taking checksums
   * on the way. Throws invalidParameter for what is no archive, or climbs out.
   */
  async receive(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
    const extractor = new Extractor(this.fd, {
      chown: { uid: 0, gid: 0 },
      maxEntries: MAX_ENTRIES,
      rootName: "/",
    });
    const parser = new TarParser(new SummingSink(extractor, this.sums));
    const inflater = new Inflater((chunk) => parser.push(chunk));
    try {
      for await (const chunk of source) {
        signal?.throwIfAborted();
        inflater.push(chunk);
      }
      inflater.finish();
      parser.finish();
      extractor.finish();
    } finally {
      inflater.dispose();
      extractor.dispose();
    }
  }

  /** Makes a file in the top directory, for the caller to write and close. */
  createFile(name: string): number {
    return openat(this.fd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
  }
}

/** Hands members on, keeping their checksums by path. */
class SummingSink implements TarSink {
  private sum: FileSum | null = null;
  private path = "";

  constructor(
    private readonly next: Extractor,
    private readonly sums: Map<string, string>,
  ) {}

  entry(entry: TarEntry): void {
    this.next.entry(entry);
    this.path = cleanPath(`/${entry.name}`).slice(1);
    this.sum = new FileSum(headerOfEntry(entry));
  }

  data(chunk: Uint8Array): void {
    this.next.data(chunk);
    this.sum?.update(chunk);
  }

  end(): void {
    this.next.end();
    if (this.sum) this.sums.set(this.path, this.sum.digest());
    this.sum = null;
  }
}

/** Whether the error says that nothing is there. */
export function isMissing(error: unknown): boolean {
  return error instanceof SysError && (error.errno === 2 || error.errno === 20);
}
