import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { invalidParameter } from "@gantry/spec";
import { Extractor, type FileStat, Inflater, removeAt, setTimes, statAt, TarParser } from "@gantry/storage";
import { close, O, open, openat, openat2, RESOLVE, S } from "@gantry/sys";
import { openDirectory, resolveLinks, splitPath } from "./follow.ts";
import { ArchiveIndex } from "./memory-index.ts";
import { Pacer } from "./pacer.ts";
import { DiskTree, type SourceTree } from "./source-tree.ts";

/** More members than any context has; a hostile one must not fill the disk with inodes. */
const MAX_ENTRIES = 5_000_000;
/** Archives up to this are kept in memory until their files are wanted. Bytes. */
const IN_MEMORY = 4 << 20;
/** Bytes of an archive laid out in one go: some hundred small files at most. */
const PIECE = 32 << 10;

/**
 * The files of one build: its context, a download, a checkout. They are in a directory of their own, removed with all in
 * it by `close`; a small context is only put there when somebody needs it on disk.
 */
export class TemporaryTree implements SourceTree {
  readonly linked = new Map<string, number>();
  file?: string;
  private disk: { tree: DiskTree; name: string } | null = null;
  private index = new ArchiveIndex(IN_MEMORY);
  /** The archive so far, while it is in memory alone. */
  private archive: Uint8Array[] = [];
  private removed: string[] = [];
  private laying: Promise<number> | null = null;

  private constructor(
    private readonly parent: string,
    readonly context: boolean,
  ) {}

  /** Makes one below `parent`: empty, or of a directory that is moved here. */
  static create(parent: string, options: { context: boolean; from?: string }): TemporaryTree {
    const tree = new TemporaryTree(parent, options.context);
    tree.index.forget();
    tree.makeDirectory(options.from);
    return tree;
  }

  /**
   * Makes one of an archive (plain, gzip or zstd; told by its first bytes), all of it owned by root, taking checksums on
   * the way. Throws invalidParameter for what is no archive, or climbs out.
   */
  static async receive(
    parent: string,
    source: AsyncIterable<Uint8Array>,
    options: { context: boolean; signal: AbortSignal },
  ): Promise<TemporaryTree> {
    const tree = new TemporaryTree(parent, options.context);
    try {
      await tree.take(source, options.signal);
      return tree;
    } catch (error) {
      tree.close();
      throw error;
    }
  }

  /** Its directory on disk, once it is there. */
  get path(): string {
    return join(this.parent, this.disk!.name);
  }

  follow(path: string): string {
    if (this.disk) return this.disk.tree.follow(path);
    return resolveLinks(path, (folder, name) => {
      const file = this.index.files!.get(folder === "" ? name : `${folder}/${name}`);
      return file?.linkname || null;
    });
  }

  stat(path: string): FileStat | null {
    if (this.disk) return this.disk.tree.stat(path);
    return path === "" ? ROOT : (this.index.files!.get(path)?.stat ?? null);
  }

  list(path: string): string[] {
    return this.disk ? this.disk.tree.list(path) : this.index.list(path);
  }

  async sum(path: string, stat: FileStat, pacer: Pacer): Promise<string> {
    return this.disk ? this.disk.tree.sum(path, stat, pacer) : this.index.files!.get(path)!.sum;
  }

  root(): Promise<number> {
    if (this.disk && !this.laying) return Promise.resolve(this.disk.tree.fd);
    this.laying ??= this.layOut().finally(() => {
      this.laying = null;
    });
    return this.laying;
  }

  folder(path: string): number {
    return this.disk!.tree.folder(path);
  }

  /** Content of a regular file at a real path. Throws where it is larger than `limit` bytes. */
  read(path: string, limit: number): Uint8Array {
    const stat = this.stat(path);
    if (!stat || (stat.mode & S.IFMT) !== S.IFREG) throw invalidParameter(`${path} is not a regular file`);
    if (stat.size > limit) throw invalidParameter(`${path} is too large`);
    if (!this.disk) return this.index.files!.get(path)!.content;
    const fd = openat2(this.disk.tree.fd, path, {
      flags: O.RDONLY | O.NOFOLLOW,
      resolve: RESOLVE.IN_ROOT | RESOLVE.NO_SYMLINKS,
    });
    try {
      return readFileSync(fd);
    } finally {
      close(fd);
    }
  }

  /** Takes away what is at a real path; its directory's times stay. */
  remove(path: string): void {
    this.index.remove(path);
    if (this.disk) removeKeepingTimes(this.disk.tree.fd, path);
    else this.removed.push(path);
  }

  /** Makes a file in the top directory, for the caller to write and close. */
  createFile(name: string): number {
    return openat(this.disk!.tree.fd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
  }

  /** Removes it; from the disk in the background, since a large tree takes a while. */
  close(): void {
    this.archive = [];
    const { disk } = this;
    if (!disk) return;
    const { path } = this;
    this.disk = null;
    disk.tree.dispose();
    close(disk.tree.fd);
    // What cannot be removed now goes at the next start.
    void rm(path, { recursive: true, force: true }).catch(() => {});
  }

  private makeDirectory(from?: string): number {
    const name = randomBytes(12).toString("hex");
    const path = join(this.parent, name);
    if (from !== undefined) renameSync(from, path);
    else mkdirSync(path, { mode: 0o700 });
    const fd = open(path, O.RDONLY | O.DIRECTORY);
    this.disk = { tree: new DiskTree(fd, this.index.sums), name };
    return fd;
  }

  private async take(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    let layer: Layer | null = null;
    const parser = new TarParser(this.index);
    const take = (lent: Uint8Array) => {
      if (layer) {
        parser.push(lent);
        return layer.push(lent);
      }
      // Kept, and the index's contents are parts of it.
      const chunk = Uint8Array.from(lent);
      this.archive.push(chunk);
      parser.push(chunk);
      if (this.index.files) return;
      layer = new Layer(this.makeDirectory());
      for (const before of this.archive.splice(0)) layer.push(before);
    };
    const inflater = new Inflater(take);
    const pacer = new Pacer();
    try {
      for await (const chunk of source) {
        signal.throwIfAborted();
        for (let at = 0; at < chunk.length; at += PIECE) {
          inflater.push(chunk.length <= PIECE ? chunk : chunk.subarray(at, at + PIECE));
          await pacer.tick();
        }
      }
      inflater.finish();
      parser.finish();
      (layer as Layer | null)?.finish();
    } finally {
      inflater.dispose();
      (layer as Layer | null)?.dispose();
    }
  }

  private async layOut(): Promise<number> {
    const fd = this.makeDirectory();
    const layer = new Layer(fd);
    try {
      const pacer = new Pacer();
      for (const chunk of this.archive.splice(0)) {
        layer.push(chunk);
        await pacer.tick();
      }
      layer.finish();
    } finally {
      layer.dispose();
    }
    for (const path of this.removed.splice(0)) removeKeepingTimes(fd, path);
    this.index.forget();
    return fd;
  }
}

/** An archive on its way into a directory. */
class Layer {
  private readonly extractor: Extractor;
  private readonly parser: TarParser;

  constructor(fd: number) {
    this.extractor = new Extractor(fd, { chown: { uid: 0, gid: 0 }, maxEntries: MAX_ENTRIES, rootName: "/" });
    this.parser = new TarParser(this.extractor);
  }

  push(chunk: Uint8Array): void {
    this.parser.push(chunk);
  }

  finish(): void {
    this.parser.finish();
    this.extractor.finish();
  }

  dispose(): void {
    this.extractor.dispose();
  }
}

const ROOT: FileStat = {
  mode: S.IFDIR | 0o755,
  size: 0,
  mtime: 0,
  mtimeNsec: 0,
  uid: 0,
  gid: 0,
  nlink: 2,
  ino: 0,
  dev: 0,
  blocks: 0,
  ctime: 0,
  ctimeNsec: 0,
  rdevMajor: 0,
  rdevMinor: 0,
};

function removeKeepingTimes(rootFd: number, path: string): void {
  const [folder, name] = splitPath(path);
  const fd = openDirectory(rootFd, folder);
  try {
    const before = statAt(fd, "");
    removeAt(fd, name);
    if (before) setTimes(fd, null, before.mtime, before.mtimeNsec);
  } finally {
    close(fd);
  }
}
