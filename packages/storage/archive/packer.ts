import { close, getxattr, listxattr, O, openat2, pread, RESOLVE, S, SysError } from "@gantry/sys";
import { type FileStat, listDirectory, openAt, readlinkAt, statAt } from "./at.ts";
import { type IdRange, toContainerId } from "./ids.ts";
import { compareNames } from "./names.ts";
import { hasOpaqueStandIn, isWhiteout, OPAQUE } from "./whiteout.ts";
import { encodeHeader, type MemberHeader, padding, TRAILER } from "./writer.ts";

/** What of a tree is packed and how it is called. All fields but `filter` can cross to a worker thread. */
export interface PackOptions {
  /** What to pack, below the root; links in it are followed inside the root, but for the last part. Default: the root. */
  path?: string;
  /** The name members get instead of `path`'s; "" packs a directory's content without itself. Default "". */
  rebase?: string;
  /** `overlay`: whiteout devices and opaque marks become AUFS whiteouts (.wh.*), as in image layers. */
  whiteouts?: "overlay";
  /** Names are relative to what is packed, without leading slash. `prune` leaves out a directory with all in it. */
  filter?: (name: string, isDirectory: boolean) => "keep" | "skip" | "prune";
  uidMap?: IdRange[];
  gidMap?: IdRange[];
  chown?: { uid: number; gid: number };
  /** Times to the nanosecond (pax headers for each member). */
  exactTimes?: boolean;
  /** All members get this time, in seconds since the epoch. */
  mtime?: number;
}

/** Who takes the archive. */
export interface PackSink {
  /** Bytes of the archive, valid only during the call. `payload`: of the file last announced. */
  write(bytes: Uint8Array, payload: boolean): void;
  /** The payload that now comes is the content of this file (path below what is packed), from its start. */
  file?(path: string, size: number): void;
}

/** Attributes worth keeping: the rest (labels, ACLs, overlay's marks) belongs to the machine, as in Docker's layers. */
const kept = (name: string) =>
  name === "security.capability" || (name.startsWith("user.") && !name.startsWith("user.overlay."));

const BUFFER = 1 << 18;

/**
 * Packs a directory tree into a tar: names sorted, hard links found by inode, no names of owners, so that the same tree gives
 * the same bytes. Sockets are left out. Synchronous in steps: `walk` yields after each piece.
 */
export class Packer {
  /** Sum of the sizes of files in bytes. */
  bytes = 0;
  entries = 0;
  private readonly links = new Map<string, string>();
  private readonly buffer = new Uint8Array(BUFFER);

  constructor(
    private readonly rootFd: number,
    private readonly sink: PackSink,
    private readonly options: PackOptions = {},
  ) {}

  *walk(): Generator<void> {
    const { path = "", rebase = "" } = this.options;
    const flags = { flags: O.PATH | O.NOFOLLOW, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS };
    const handle = openat2(this.rootFd, path === "" ? "." : path, flags);
    try {
      const stat = statAt(handle, "")!;
      if ((stat.mode & S.IFMT) !== S.IFDIR) {
        yield* this.other(handle, "", stat, rebase || lastPart(path), "");
      } else {
        const fd = openAt(handle, ".", O.RDONLY | O.DIRECTORY);
        try {
          if (rebase !== "") this.header(this.describe(fd, "", stat, rebase, "dir"));
          yield* this.directory(fd, rebase === "" ? "" : `${rebase.replace(/\/+$/, "")}/`, "");
        } finally {
          close(fd);
        }
      }
    } finally {
      close(handle);
    }
    this.sink.write(TRAILER, false);
  }

  /** `name` and `path` end in a slash or are empty: what members are called, and where they are. */
  private *directory(fd: number, name: string, path: string): Generator<void> {
    const entries = listDirectory(fd).sort((a, b) => compareNames(a.name, b.name));
    if (this.options.whiteouts && path !== "" && isOpaque(fd)) {
      this.header({ name: `${name}${OPAQUE}`, type: "file", mode: 0o600 });
    }
    for (const entry of entries) {
      const stat = statAt(fd, entry.name);
      if (!stat) continue;
      const isDirectory = (stat.mode & S.IFMT) === S.IFDIR;
      const verdict = this.options.filter?.(path + entry.name, isDirectory) ?? "keep";
      if (!isDirectory) {
        if (verdict === "keep") yield* this.other(fd, entry.name, stat, name + entry.name, path);
        continue;
      }
      if (verdict === "prune") continue;
      const child = openLive(fd, entry.name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      if (child === null) continue;
      try {
        if (verdict === "keep") this.header(this.describe(child, "", stat, name + entry.name, "dir"));
        yield;
        yield* this.directory(child, `${name}${entry.name}/`, `${path}${entry.name}/`);
      } finally {
        close(child);
      }
    }
  }

  /** Anything but a directory: `base` in `dirfd`, or `dirfd` itself where `base` is empty. */
  private *other(dirfd: number, base: string, stat: FileStat, name: string, folder: string): Generator<void> {
    const type = TYPES[stat.mode & S.IFMT];
    if (!type) return;
    if (this.options.whiteouts && isWhiteout(stat)) {
      // Told with its directory.
      if (base === OPAQUE) return;
      const slash = name.lastIndexOf("/") + 1;
      this.header({ name: `${name.slice(0, slash)}.wh.${name.slice(slash)}`, type: "file", mode: 0o600 });
      return;
    }
    if (stat.nlink > 1) {
      const key = `${stat.dev}:${stat.ino}`;
      const first = this.links.get(key);
      if (first !== undefined) {
        this.header({ ...this.describe(-1, "", stat, name, "link"), linkname: first });
        return;
      }
      this.links.set(key, name);
    }
    if (type !== "file") {
      const member = this.describe(dirfd, base, stat, name, type);
      if (type === "symlink") {
        member.linkname = readlinkAt(dirfd, base);
        // As Docker counts a layer's size.
        this.bytes += stat.size;
      }
      if (type === "char" || type === "block") {
        member.devMajor = stat.rdevMajor;
        member.devMinor = stat.rdevMinor;
      }
      this.header(member);
      yield;
      return;
    }
    // Not blocking: a container may put a fifo in the file's place meanwhile.
    const fd =
      base === ""
        ? openLive(dirfd, `/proc/self/fd/${dirfd}`, O.RDONLY | O.NOCTTY | O.NONBLOCK)
        : openLive(dirfd, base, O.RDONLY | O.NOFOLLOW | O.NOCTTY | O.NONBLOCK);
    if (fd === null) return;
    try {
      const now = statAt(fd, "")!;
      if ((now.mode & S.IFMT) !== S.IFREG) return;
      this.header({ ...this.describe(fd, "", now, name, "file"), size: now.size });
      this.bytes += now.size;
      if (now.size > 0) yield* this.payload(fd, folder + (base || lastPart(name)), now.size);
    } finally {
      close(fd);
    }
  }

  private *payload(fd: number, path: string, size: number): Generator<void> {
    this.sink.file?.(path, size);
    for (let done = 0; done < size; ) {
      const want = Math.min(BUFFER, size - done);
      const piece = want === BUFFER ? this.buffer : this.buffer.subarray(0, want);
      let n = pread(fd, piece, done);
      // The header has told the size; a file that shrank meanwhile is filled up.
      if (n === 0) n = piece.fill(0).length;
      this.sink.write(n === piece.length ? piece : piece.subarray(0, n), true);
      done += n;
      yield;
    }
    const rest = padding(size);
    if (rest.length > 0) this.sink.write(rest, false);
  }

  private header(member: MemberHeader): void {
    this.entries++;
    this.sink.write(encodeHeader(member, this.options.exactTimes), false);
  }

  /** `fd` -1: no attributes. `base` non-empty: of the name in `fd`. */
  private describe(fd: number, base: string, stat: FileStat, name: string, type: MemberHeader["type"]): MemberHeader {
    const { chown, uidMap, gidMap, mtime } = this.options;
    return {
      name,
      type,
      mode: stat.mode & 0o7777,
      uid: chown ? chown.uid : toContainerId(stat.uid, uidMap),
      gid: chown ? chown.gid : toContainerId(stat.gid, gidMap),
      mtime: mtime ?? stat.mtime,
      mtimeNsec: mtime === undefined ? stat.mtimeNsec : 0,
      xattrs: fd >= 0 && base === "" && (type === "file" || type === "dir") ? attributes(fd) : undefined,
    };
  }
}

const TYPES: Record<number, Exclude<MemberHeader["type"], "dir" | "link">> = {
  [S.IFREG]: "file",
  [S.IFLNK]: "symlink",
  [S.IFCHR]: "char",
  [S.IFBLK]: "block",
  [S.IFIFO]: "fifo",
};

/** Opens what a running container may take away or replace at any moment: then null, and it is left out. */
function openLive(dirfd: number, name: string, flags: number): number | null {
  try {
    return openAt(dirfd, name, flags);
  } catch (error) {
    // ENOENT, ENXIO (a socket), ENOTDIR, ELOOP (a link now).
    if (error instanceof SysError && [2, 6, 20, 40].includes(error.errno)) return null;
    throw error;
  }
}

const lastPart = (path: string) => path.replace(/\/+$/, "").replace(/^.*\//, "") || ".";

function attributes(fd: number): Map<string, Uint8Array> | undefined {
  let found: Map<string, Uint8Array> | undefined;
  for (const name of listxattr(fd)) {
    if (!kept(name)) continue;
    const value = getxattr(fd, name);
    if (!value) continue;
    found ??= new Map();
    found.set(name, Uint8Array.from(value));
  }
  return found;
}

/** Whether overlay would hide what lies below this directory. */
export function isOpaque(fd: number): boolean {
  const mark = getxattr(fd, "trusted.overlay.opaque") ?? getxattr(fd, "user.overlay.opaque");
  return mark === null ? hasOpaqueStandIn(fd) : mark.length === 1 && mark[0] === 0x79;
}
