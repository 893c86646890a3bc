import { GantryError, invalidParameter } from "@gantry/spec";
import {
  AT,
  close,
  fchmod,
  fchmodat,
  fchown,
  ftruncate,
  makedev,
  O,
  pwrite,
  S,
  SysError,
  setxattr,
  write,
} from "@gantry/sys";
import {
  chownAt,
  createExclusive,
  listDirectory,
  openAt,
  setTimes,
  statAt,
  tryLinkat,
  tryMkdirat,
  tryMknodat,
  trySymlinkat,
} from "./at.ts";
import { Directories } from "./directories.ts";
import type { TarEntry } from "./entry.ts";
import { type IdRange, toHostId } from "./ids.ts";
import type { TarSink } from "./parser.ts";
import { breakout, cleanName, splitName } from "./path.ts";
import { removeAt } from "./remove.ts";
import { isWhiteout, makeOpaque, makeWhiteout, OPAQUE } from "./whiteout.ts";

/** How to lay an archive out on disk. All fields can cross to a worker thread. */
export interface ExtractOptions {
  /** Clean path below the root that members go to; links resolve in the root, not in this. */
  base?: string;
  /**
   * `overlay`: AUFS whiteouts (.wh.*) become overlay's character devices and opaque marks; `apply`: they remove what is
   * there. Default: plain names.
   */
  whiteouts?: "overlay" | "apply";
  /** Prefix of overlay's own attributes; `user.` in a user namespace. */
  overlayXattrs?: "trusted.overlay." | "user.overlay.";
  uidMap?: IdRange[];
  gidMap?: IdRange[];
  /** Everything gets this owner. */
  chown?: { uid: number; gid: number };
  /** Leaves owners as the kernel gives them to new files. */
  noLchown?: boolean;
  /** Refuses to replace a directory by something else and the other way round (`docker cp`). */
  noOverwriteDirNonDir?: boolean;
  /** Device nodes are left out (no privilege to make them). */
  skipDevices?: boolean;
  /** Refuses archives that would write more than this many bytes, or more than this many members. */
  maxBytes?: number;
  maxEntries?: number;
  /** How the root is called in messages. */
  rootName?: string;
}

/** What an extraction wrote. */
export interface ExtractResult {
  /** Sum of the sizes of files in bytes. */
  bytes: number;
  entries: number;
}

const WH = ".wh.";
const EPERM = 1;
const EOPNOTSUPP = 95;

/**
 * Writes the members of one archive below a directory. Nothing is written outside: folders are opened by
 * `Directories`, the last component never follows a link. For worker threads: every call is synchronous.
 */
export class Extractor implements TarSink {
  readonly result: ExtractResult = { bytes: 0, entries: 0 };
  /** Clean name of the file that `data` goes to; null while payload is dropped. */
  path: string | null = null;
  /** Called before something already there is taken away for a member. */
  onReplace: (() => void) | null = null;

  private readonly folders: Directories;
  private readonly xattrPrefix: string;
  private fd = -1;
  /** The member being written. */
  member: TarEntry | null = null;
  private segment = 0;
  private segmentDone = 0;

  constructor(
    rootFd: number,
    private readonly options: ExtractOptions,
  ) {
    this.folders = new Directories(rootFd, options.base);
    this.xattrPrefix = options.overlayXattrs ?? "trusted.overlay.";
  }

  entry(entry: TarEntry): void {
    this.member = entry;
    this.path = null;
    this.segment = this.segmentDone = 0;
    const { maxEntries, maxBytes } = this.options;
    if (++this.result.entries > (maxEntries ?? Number.POSITIVE_INFINITY))
      throw invalidParameter("archive: too many members");
    // Docker counts links by the length of their targets.
    this.result.bytes += entry.type === "symlink" ? Buffer.byteLength(entry.linkname) : entry.size;
    if (this.result.bytes > (maxBytes ?? Number.POSITIVE_INFINITY)) throw invalidParameter("archive: too large");
    if (String.fromCharCode(entry.flag) === "V") return;
    try {
      this.place(entry);
    } catch (error) {
      throw explain(error, entry.name);
    }
  }

  data(chunk: Uint8Array): void {
    if (this.fd < 0) return;
    try {
      if (this.member!.sparse) this.writeSparse(chunk);
      else for (let done = 0; done < chunk.length; ) done += write(this.fd, done ? chunk.subarray(done) : chunk);
    } catch (error) {
      throw explain(error, this.member!.name);
    }
  }

  end(): void {
    if (this.fd < 0) return;
    const entry = this.member!;
    try {
      if (entry.sparse) ftruncate(this.fd, entry.size);
      this.describe(this.fd, entry);
      setTimes(this.fd, null, entry.mtime, entry.mtimeNsec);
    } catch (error) {
      throw explain(error, entry.name);
    } finally {
      close(this.fd);
      this.fd = -1;
    }
  }

  /** All members are in: sets the times of directories. */
  finish(): void {
    this.folders.finish();
  }

  /** Closes what is open; to be called whether or not all went well. */
  dispose(): void {
    if (this.fd >= 0) close(this.fd);
    this.fd = -1;
    this.folders.forget();
  }

  private place(entry: TarEntry): void {
    const name = cleanName(entry.name);
    if (name === null || entry.name.includes("\0")) throw breakout(entry.name, this.options.rootName ?? "/");
    if (name === "") {
      if (entry.type !== "dir") throw breakout(entry.name, this.options.rootName ?? "/");
      this.describeFolder("", this.folders.get(""), entry);
      return;
    }
    const [folder, base] = splitName(name);
    if (base.startsWith(WH) && this.options.whiteouts) {
      this.whiteout(entry, folder, base);
      return;
    }
    const parent = this.folders.get(folder);
    switch (entry.type) {
      case "file":
        this.fd = this.retry(parent, base, name, false, () => createExclusive(parent, base, O.WRONLY, 0o600));
        this.path = name;
        break;
      case "dir":
        this.directory(parent, base, name, entry);
        break;
      case "symlink": {
        this.checkSymlink(entry, folder);
        this.retry(parent, base, name, false, () => trySymlinkat(entry.linkname, parent, base) || null);
        this.own(parent, base, entry);
        this.attributes(`/proc/self/fd/${parent}/${base}`, entry);
        setTimes(parent, base, entry.mtime, entry.mtimeNsec);
        break;
      }
      case "link":
        this.hardLink(parent, base, name, entry);
        break;
      case "char":
      case "block":
      case "fifo":
        this.node(parent, base, name, entry);
        break;
      default:
        throw invalidParameter(`unhandled tar header type ${entry.flag}`);
    }
  }

  /** Docker refuses links whose target, taken lexically, climbs out of the root. */
  private checkSymlink(entry: TarEntry, folder: string): void {
    const from = entry.linkname.startsWith("/") ? entry.linkname : `${folder}/${entry.linkname}`;
    if (entry.linkname === "" || cleanName(from) === null) {
      throw invalidParameter(`invalid symlink ${JSON.stringify(entry.name)} -> ${JSON.stringify(entry.linkname)}`);
    }
  }

  private directory(parent: number, base: string, name: string, entry: TarEntry): void {
    let opaque = false;
    if (!tryMkdirat(parent, base, 0o700)) {
      const there = statAt(parent, base);
      if (there && (there.mode & S.IFMT) !== S.IFDIR) {
        opaque = this.options.whiteouts === "overlay" && isWhiteout(there);
        this.retry(parent, base, name, true, () => tryMkdirat(parent, base, 0o700) || null);
      }
    }
    const fd = openAt(parent, base, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    this.folders.keep(name, fd);
    this.describeFolder(name, fd, entry);
    if (opaque) makeOpaque(fd, this.xattrPrefix);
  }

  private describeFolder(name: string, fd: number, entry: TarEntry): void {
    this.describe(fd, entry);
    this.folders.setTimesLater(name, entry.mtime, entry.mtimeNsec);
  }

  private hardLink(parent: number, base: string, name: string, entry: TarEntry): void {
    const target = cleanName(entry.linkname);
    if (target === null || target === "") {
      throw invalidParameter(`invalid hardlink ${JSON.stringify(entry.name)} -> ${JSON.stringify(entry.linkname)}`);
    }
    const [targetFolder, targetBase] = splitName(target);
    const from = this.folders.find(targetFolder);
    const source = from === null ? null : statAt(from, targetBase);
    if (from === null || source === null) throw invalidParameter(`link ${entry.linkname}: no such file or directory`);
    // Linking a member to itself must not take it away first.
    const there = statAt(parent, base);
    if (there && there.ino === source.ino && there.dev === source.dev) return;
    this.retry(parent, base, name, false, () => {
      const again = this.folders.find(targetFolder);
      return again !== null && tryLinkat(again, targetBase, parent, base) ? true : null;
    });
  }

  private node(parent: number, base: string, name: string, entry: TarEntry): void {
    if (entry.type !== "fifo" && this.options.skipDevices) return;
    const kind = entry.type === "fifo" ? S.IFIFO : entry.type === "char" ? S.IFCHR : S.IFBLK;
    if (entry.devMajor < 0 || entry.devMajor > 0xfff || entry.devMinor < 0 || entry.devMinor > 0xfffff) {
      throw invalidParameter("archive/tar: device number out of range");
    }
    const device = entry.type === "fifo" ? 0n : makedev(entry.devMajor, entry.devMinor);
    this.retry(parent, base, name, false, () => tryMknodat(parent, base, kind | 0o600, device) || null);
    // Never opened (a fifo would block, a device would act): by its path descriptor.
    const fd = openAt(parent, base, O.PATH | O.NOFOLLOW);
    try {
      const path = `/proc/self/fd/${fd}`;
      this.own(parent, base, entry);
      fchmodat(AT.FDCWD, path, entry.mode);
      if (entry.xattrs) this.attributes(`/proc/self/fd/${parent}/${base}`, entry);
    } finally {
      close(fd);
    }
    setTimes(parent, base, entry.mtime, entry.mtimeNsec);
  }

  private whiteout(entry: TarEntry, folder: string, base: string): void {
    const parent = this.folders.get(folder);
    if (this.options.whiteouts === "apply") {
      this.applyWhiteout(entry, parent, base);
      return;
    }
    if (base === OPAQUE) {
      makeOpaque(parent, this.xattrPrefix);
      return;
    }
    // Other names of this kind are AUFS's own bookkeeping.
    if (base.startsWith(WH + WH)) return;
    const hidden = base.slice(WH.length);
    if (hidden === "" || hidden === "." || hidden === "..") throw breakout(entry.name, this.options.rootName ?? "/");
    if (makeWhiteout(parent, hidden)) return;
    // A whiteout is about lower layers only: what this layer has stays, and hides what is below.
    const there = statAt(parent, hidden);
    if (there && (there.mode & S.IFMT) === S.IFDIR) {
      const fd = openAt(parent, hidden, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      try {
        makeOpaque(fd, this.xattrPrefix);
      } finally {
        close(fd);
      }
    }
  }

  private applyWhiteout(entry: TarEntry, parent: number, base: string): void {
    const hidden = base.slice(WH.length);
    if (base === OPAQUE) {
      const fd = openAt(parent, ".", O.RDONLY | O.DIRECTORY);
      try {
        for (const { name } of listDirectory(fd)) removeAt(parent, name);
      } finally {
        close(fd);
      }
    } else if (!base.startsWith(WH + WH)) {
      if (hidden === "" || hidden === "." || hidden === "..") throw breakout(entry.name, this.options.rootName ?? "/");
      removeAt(parent, hidden);
    }
    this.folders.forgetExcept(parent);
  }

  /** Runs `make`; where the name is taken (null), removes what is there and runs it again. */
  private retry<T>(parent: number, base: string, name: string, isDir: boolean, make: () => T | null): T {
    const first = make();
    if (first !== null) return first;
    const there = statAt(parent, base);
    if (there) {
      const thereIsDir = (there.mode & S.IFMT) === S.IFDIR;
      if (this.options.noOverwriteDirNonDir && thereIsDir !== isDir) {
        throw invalidParameter(
          isDir
            ? `cannot overwrite non-directory ${JSON.stringify(name)} with directory ${JSON.stringify(name)}`
            : `cannot overwrite directory ${JSON.stringify(name)} with non-directory ${JSON.stringify(name)}`,
        );
      }
      if (!isWhiteout(there)) this.onReplace?.();
      removeAt(parent, base);
      // Descriptors of what was below, or reached through, the removed name would be stale.
      if (thereIsDir || (there.mode & S.IFMT) === S.IFLNK) this.folders.forgetExcept(parent);
    }
    const second = make();
    if (second === null) throw new SysError("create", 17, name);
    return second;
  }

  /** Owner, mode and attributes by descriptor. Owner first: it clears set-id bits and capabilities. */
  private describe(fd: number, entry: TarEntry): void {
    if (!this.options.noLchown) {
      const [uid, gid] = this.owner(entry);
      fchown(fd, uid, gid);
    }
    fchmod(fd, entry.mode);
    if (entry.xattrs) this.attributes(fd, entry);
  }

  private own(parent: number, base: string, entry: TarEntry): void {
    if (this.options.noLchown) return;
    const [uid, gid] = this.owner(entry);
    chownAt(parent, base, uid, gid);
  }

  private owner(entry: TarEntry): [uid: number, gid: number] {
    const { chown, uidMap, gidMap } = this.options;
    if (chown) return [chown.uid, chown.gid];
    return [toHostId(entry.uid, uidMap), toHostId(entry.gid, gidMap)];
  }

  private attributes(target: number | string, entry: TarEntry): void {
    if (!entry.xattrs) return;
    for (const [name, value] of entry.xattrs) {
      // Overlay's own marks are made by us alone: an archive could redirect a directory elsewhere with them.
      if (name.startsWith("trusted.overlay.") || name.startsWith("user.overlay.")) continue;
      try {
        setxattr(target, name, value);
      } catch (error) {
        // As Docker: attributes that the file system or our privileges do not allow are left out.
        if (!(error instanceof SysError && (error.errno === EOPNOTSUPP || error.errno === EPERM))) throw error;
      }
    }
  }

  private writeSparse(chunk: Uint8Array): void {
    const map = this.member!.sparse!;
    for (let at = 0; at < chunk.length; ) {
      const piece = map[this.segment]!;
      const length = Math.min(piece.length - this.segmentDone, chunk.length - at);
      const n = pwrite(this.fd, chunk.subarray(at, at + length), piece.offset + this.segmentDone);
      at += n;
      this.segmentDone += n;
      if (this.segmentDone === piece.length) {
        this.segment++;
        this.segmentDone = 0;
      }
    }
  }
}

/** ENOTDIR, EINVAL, ENAMETOOLONG, ELOOP: the archive's fault, not the machine's. */
const THEIRS = new Set([20, 22, 36, 40]);

/** A kernel's refusal told as Docker tells it, with the member's name; ours pass. */
function explain(error: unknown, name: string): unknown {
  if (!(error instanceof SysError) || error instanceof GantryError) return error;
  return new GantryError(
    THEIRS.has(error.errno) ? "invalidParameter" : "system",
    `${error.message} (archive member ${JSON.stringify(name)})`,
    {
      cause: error,
    },
  );
}
