import { type GantryError, invalidParameter } from "@gantry/spec";
import { type FileStat, readlinkAt, removeAt, setTimes, statAt } from "@gantry/storage";
import {
  AT,
  close,
  copyFileRange,
  fchmod,
  fchown,
  fchownat,
  getxattr,
  linkat,
  listxattr,
  makedev,
  mkdirat,
  mknodat,
  O,
  open,
  openat,
  read,
  S,
  SysError,
  setxattr,
  symlinkat,
  writeAll,
} from "@gantry/sys";
import { openDirectory, splitPath } from "../tree/follow.ts";
import type { Pacer } from "../tree/pacer.ts";
import { statPath } from "../tree/source-tree.ts";

export interface Owner {
  uid: number;
  gid: number;
}

const ROOT: Owner = { uid: 0, gid: 0 };

/**
 * Writes a layer's directory straight, without mounting anything. What lies below (the files the layer goes over) is
 * only read: a directory that exists there is repeated in the layer with the same owner, mode and attributes, as
 * overlay does when something in it changes; whatever else is put in the layer hides what was there.
 */
export class UpperWriter {
  private readonly fd: number;
  /** The folder last written in: most files come folder by folder. */
  private last: { path: string; fd: number } | null = null;
  /** Times of repeated directories, set when all is written. */
  private readonly times = new Map<string, { seconds: number; nanoseconds: number }>();

  constructor(
    upper: string,
    private readonly lowerFd: number,
  ) {
    this.fd = open(upper, O.RDONLY | O.DIRECTORY);
  }

  /** Sets directories' times and closes. */
  finish(): void {
    for (const [path, { seconds, nanoseconds }] of [...this.times].reverse()) {
      const fd = openDirectory(this.fd, path);
      try {
        setTimes(fd, null, seconds, nanoseconds);
      } finally {
        close(fd);
      }
    }
    this.dispose();
  }

  dispose(): void {
    this.forget();
    close(this.fd);
  }

  private forget(): void {
    if (this.last) close(this.last.fd);
    this.last = null;
  }

  private remember(path: string, fd: number): number {
    this.forget();
    this.last = { path, fd };
    return fd;
  }

  /** What is at a real path, in the layer or below it. */
  stat(path: string): FileStat | null {
    return statPath(this.fd, path) ?? (this.hiddenBelow(path) ? null : statPath(this.lowerFd, path));
  }

  /** Whether something in the layer that is no directory hides everything at and below a part of the path. */
  private hiddenBelow(path: string): boolean {
    const parts = path.split("/");
    for (let i = 1; i < parts.length; i++) {
      const stat = statPath(this.fd, parts.slice(0, i).join("/"));
      if (!stat) return false;
      if ((stat.mode & S.IFMT) !== S.IFDIR) return true;
    }
    return false;
  }

  /**
   * A directory of the layer for writing in it, made where it is missing (0755, `owner`), repeated where it lies below.
   * Borrowed until the next call. Throws invalidParameter where something on the way is no directory.
   */
  openFolder(path: string, owner: Owner = ROOT): number {
    if (this.last?.path === path) return this.last.fd;
    try {
      return this.remember(path, openDirectory(this.fd, path));
    } catch (error) {
      if (!(error instanceof SysError) || error.errno === 20) throw notDirectory(path, error);
      if (error.errno !== 2) throw error;
    }
    const [folder, name] = splitPath(path);
    const below = this.hiddenBelow(path) ? null : statPath(this.lowerFd, path);
    if (below && (below.mode & S.IFMT) !== S.IFDIR) throw notDirectory(path);
    const parent = this.openFolder(folder, owner);
    mkdirat(parent, name, 0o755);
    const fd = this.remember(path, openat(parent, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
    if (below) this.repeat(path, fd, below);
    else {
      fchown(fd, owner.uid, owner.gid);
      fchmod(fd, 0o755);
    }
    return fd;
  }

  private repeat(path: string, fd: number, below: FileStat): void {
    fchown(fd, below.uid, below.gid);
    fchmod(fd, below.mode & 0o7777);
    const lower = openDirectory(this.lowerFd, path);
    try {
      for (const name of listxattr(lower)) {
        const value = name.startsWith("trusted.overlay.") ? null : getxattr(lower, name);
        if (value) setxattr(fd, name, value);
      }
    } finally {
      close(lower);
    }
    this.times.set(path, { seconds: below.mtime, nanoseconds: below.mtimeNsec });
  }

  /** The folder of a path, with nothing in the layer at its name; a directory may stay where one is wanted. */
  private place(path: string, owner: Owner, keepDirectory = false): { parent: number; name: string; there: boolean } {
    const [folder, name] = splitPath(path);
    const parent = this.openFolder(folder, owner);
    const there = statAt(parent, name);
    if (!there) return { parent, name, there: false };
    const isDirectory = (there.mode & S.IFMT) === S.IFDIR;
    if (keepDirectory && isDirectory) return { parent, name, there: true };
    removeAt(parent, name);
    return { parent, name, there: false };
  }

  /** A directory with the given metadata; a present one gets it, too. */
  putDirectory(path: string, source: FileStat, owner: Owner, mode: number): void {
    if (path === "") return;
    const { parent, name, there } = this.place(path, owner, true);
    if (!there) mkdirat(parent, name, 0o700);
    const fd = this.remember(path, openat(parent, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW));
    fchown(fd, owner.uid, owner.gid);
    fchmod(fd, mode & 0o7777);
    this.times.set(path, { seconds: source.mtime, nanoseconds: source.mtimeNsec });
  }

  /** A regular file, linked where `mayLink` and it stays what it is, else copied. Returns whether it was linked. */
  async putFile(
    path: string,
    source: { dirFd: number; name: string; stat: FileStat; mayLink: boolean },
    owner: Owner,
    mode: number,
    pacer: Pacer,
  ): Promise<boolean> {
    const { dirFd, name: sourceName, stat } = source;
    const { parent, name } = this.place(path, owner);
    // A link shares owner and mode with the source: only a file that keeps both can be linked.
    const same = stat.uid === owner.uid && stat.gid === owner.gid && ((stat.mode ^ mode) & 0o7777) === 0;
    if (source.mayLink && same && tryLink(dirFd, sourceName, parent, name)) return true;
    // Both folders are borrowed: from here on only the files are used.
    const from = openat(dirFd, sourceName, O.RDONLY | O.NOFOLLOW);
    try {
      const to = openat(parent, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
      try {
        await copyBytes(from, to, stat.size, pacer);
        fchown(to, owner.uid, owner.gid);
        fchmod(to, mode & 0o7777);
        copyAttributes(from, to);
        setTimes(to, null, stat.mtime, stat.mtimeNsec);
        return false;
      } finally {
        close(to);
      }
    } finally {
      close(from);
    }
  }

  /** A file with given content. */
  putContent(path: string, content: Uint8Array, owner: Owner, mode: number): void {
    const { parent, name } = this.place(path, owner);
    const fd = openat(parent, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    try {
      writeAll(fd, content);
      fchown(fd, owner.uid, owner.gid);
      fchmod(fd, mode & 0o7777);
    } finally {
      close(fd);
    }
  }

  /** A link, device, or fifo. Sockets are left out. */
  putSpecial(path: string, source: { dirFd: number; name: string; stat: FileStat }, owner: Owner): void {
    const { stat } = source;
    const type = stat.mode & S.IFMT;
    if (type === S.IFSOCK) return;
    const { parent, name } = this.place(path, owner);
    if (type === S.IFLNK) symlinkat(readlinkAt(source.dirFd, source.name), parent, name);
    else mknodat(parent, name, stat.mode, makedev(stat.rdevMajor, stat.rdevMinor));
    fchownat(parent, name, owner.uid, owner.gid, AT.SYMLINK_NOFOLLOW);
    setTimes(parent, name, stat.mtime, stat.mtimeNsec);
  }

  /** One more name for a file this layer has already. */
  putHardLink(path: string, target: string, owner: Owner): void {
    const [targetFolder, targetName] = splitPath(target);
    const { parent, name } = this.place(path, owner);
    const from = openDirectory(this.fd, targetFolder);
    try {
      linkat(from, targetName, parent, name);
    } finally {
      close(from);
    }
  }
}

function tryLink(fromDir: number, from: string, toDir: number, to: string): boolean {
  try {
    linkat(fromDir, from, toDir, to);
    return true;
  } catch (error) {
    // Another file system, or a limit of this one: it is copied instead.
    if (error instanceof SysError && [1, 18, 31].includes(error.errno)) return false;
    throw error;
  }
}

/** Bytes the kernel copies in one call: so many that the daemon is held up for a few milliseconds at most. */
const KERNEL_CHUNK = 8 << 20;

async function copyBytes(from: number, to: number, size: number, pacer: Pacer): Promise<void> {
  try {
    // Within one file system the kernel copies, by reference where it can.
    for (let done = 0; done < size; ) {
      const n = copyFileRange(from, to, Math.min(KERNEL_CHUNK, size - done));
      if (n === 0) break;
      done += n;
      await pacer.tick();
    }
  } catch (error) {
    if (!(error instanceof SysError) || ![18, 22, 38, 95].includes(error.errno)) throw error;
  }
  const buffer = new Uint8Array(Math.min(1 << 19, size + 1));
  for (let n = read(from, buffer); n > 0; n = read(from, buffer)) {
    writeAll(to, n === buffer.length ? buffer : buffer.subarray(0, n));
    await pacer.tick();
  }
}

/** File capabilities and users' own attributes; whatever else belongs to the system a file is on. */
function copyAttributes(from: number, to: number): void {
  for (const name of listxattr(from)) {
    if (name !== "security.capability" && !name.startsWith("user.")) continue;
    const value = name.startsWith("user.overlay.") ? null : getxattr(from, name);
    try {
      if (value) setxattr(to, name, value);
    } catch (error) {
      if (!(error instanceof SysError && (error.errno === 95 || error.errno === 1))) throw error;
    }
  }
}

function notDirectory(path: string, cause?: unknown): GantryError {
  return invalidParameter(`cannot create directory /${path}: not a directory`, cause);
}
