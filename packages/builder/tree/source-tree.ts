import { type FileStat, listDirectory, openAt, readlinkAt, statAt } from "@gantry/storage";
import { close, getxattr, O, read, S } from "@gantry/sys";
import { followInRoot, openDirectory, splitPath } from "./follow.ts";
import type { Pacer } from "./pacer.ts";
import { FileSum, headerOfStat } from "./sum.ts";

/**
 * A directory tree that COPY reads from: a build context, an image's or a stage's files, a download. Paths are relative
 * to its root and real: without links, `.` and `..`; `follow` gives them.
 */
export interface SourceTree {
  /**
   * There where its files may be linked into layers instead of being copied, since they are this build's own and thrown
   * away: how often each was, by device and inode.
   */
  readonly linked?: Map<string, number>;
  /** Whether it is the build context, for messages. */
  readonly context: boolean;
  /** The one file it is about, where it is a download; "" where that has no name. */
  readonly file?: string;
  /** The real path that a path leads to. */
  follow(path: string): string;
  /** Null where nothing is there. */
  stat(path: string): FileStat | null;
  /** Names in a directory, in byte order; none where it is no directory. */
  list(path: string): string[];
  /** Checksum of one file, link, device or (without its entries) directory. */
  sum(path: string, stat: FileStat, pacer: Pacer): Promise<string>;
  /** The tree's root directory on disk, borrowed. Lays it out there first, where it is not. */
  root(): Promise<number>;
  /** A directory of a tree that is on disk, borrowed until anything else is asked of the tree: for use at once. */
  folder(path: string): number;
  close(): void;
}

/** Stat of a real path below a root. Null where nothing is there. */
export function statPath(rootFd: number, path: string): FileStat | null {
  if (path === "") return statAt(rootFd, "");
  const [folder, name] = splitPath(path);
  let fd: number;
  try {
    fd = openDirectory(rootFd, folder);
  } catch {
    return null;
  }
  try {
    return statAt(fd, name);
  } finally {
    close(fd);
  }
}

/** A tree on disk, or one that is mounted. Entries are mostly asked for folder by folder: the last one stays open. */
export class DiskTree {
  private last: { path: string; fd: number } | null = null;

  constructor(
    readonly fd: number,
    private readonly sums: ReadonlyMap<string, string> | null,
  ) {}

  follow(path: string): string {
    return followInRoot(this.fd, path);
  }

  folder(path: string): number {
    if (this.last?.path === path) return this.last.fd;
    const fd = openDirectory(this.fd, path);
    if (this.last) close(this.last.fd);
    this.last = { path, fd };
    return fd;
  }

  stat(path: string): FileStat | null {
    if (path === "") return statAt(this.fd, "");
    const [folder, name] = splitPath(path);
    let fd: number;
    try {
      fd = this.folder(folder);
    } catch {
      return null;
    }
    return statAt(fd, name);
  }

  list(path: string): string[] {
    let fd: number;
    try {
      // Of its own, since reading a directory moves on in it.
      fd = openDirectory(this.fd, path);
    } catch {
      return [];
    }
    try {
      return listDirectory(fd)
        .map((entry) => entry.name)
        .sort();
    } finally {
      close(fd);
    }
  }

  async sum(path: string, stat: FileStat, pacer: Pacer): Promise<string> {
    const known = this.sums?.get(path);
    if (known !== undefined) return known;
    const type = stat.mode & S.IFMT;
    const [folder, name] = splitPath(path);
    if (type === S.IFLNK) {
      return new FileSum(headerOfStat(path, stat, readlinkAt(this.folder(folder), name), null)).digest();
    }
    if (type !== S.IFREG) return new FileSum(headerOfStat(path, stat, "", null)).digest();
    return sumFile(openAt(this.folder(folder), name, O.RDONLY | O.NOFOLLOW), path, stat, pacer);
  }

  /** Closes what it opened itself. */
  dispose(): void {
    if (this.last) close(this.last.fd);
    this.last = null;
  }
}

/** Closes the descriptor. */
async function sumFile(fd: number, path: string, stat: FileStat, pacer: Pacer): Promise<string> {
  try {
    const sum = new FileSum(headerOfStat(path, stat, "", getxattr(fd, "security.capability")));
    const buffer = new Uint8Array(Math.min(1 << 19, stat.size + 1));
    for (let n = read(fd, buffer); n > 0; n = read(fd, buffer)) {
      sum.update(n === buffer.length ? buffer : buffer.subarray(0, n));
      await pacer.tick();
    }
    return sum.digest();
  } finally {
    close(fd);
  }
}
