import { SysError } from "./errno.ts";
import { address, check, cstr, errno, libc, NR, syscall } from "./libc.ts";

/** open(2) flags; the same on x86-64 and arm64 but for the four marked, which differ there. */
const arm = process.arch === "arm64";
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  DIRECTORY: arm ? 0o40000 : 0o200000,
  NOFOLLOW: arm ? 0o100000 : 0o400000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
  TMPFILE: arm ? 0o20040000 : 0o20200000,
} as const;

export const AT = {
  FDCWD: -100,
  SYMLINK_NOFOLLOW: 0x100,
  REMOVEDIR: 0x200,
  SYMLINK_FOLLOW: 0x400,
  NO_AUTOMOUNT: 0x800,
  EMPTY_PATH: 0x1000,
  RECURSIVE: 0x8000,
} as const;

/** openat2(2) resolve flags. */
export const RESOLVE = {
  NO_XDEV: 0x01,
  NO_MAGICLINKS: 0x02,
  NO_SYMLINKS: 0x04,
  BENEATH: 0x08,
  IN_ROOT: 0x10,
} as const;

/** File type bits of st_mode. */
export const S = {
  IFMT: 0o170000,
  IFSOCK: 0o140000,
  IFLNK: 0o120000,
  IFREG: 0o100000,
  IFBLK: 0o060000,
  IFDIR: 0o040000,
  IFCHR: 0o020000,
  IFIFO: 0o010000,
} as const;

export function openat(dirfd: number, path: string, flags: number, mode = 0): number {
  return check(libc.openat(dirfd, cstr(path), flags | O.CLOEXEC, mode), "openat", path);
}

export function open(path: string, flags: number, mode = 0): number {
  return check(libc.openat(AT.FDCWD, cstr(path), flags | O.CLOEXEC, mode), "open", path);
}

/** openat2(2): the confined open. `resolve` is a union of RESOLVE. Retries EAGAIN (a racing rename) a few times. */
export function openat2(
  dirfd: number,
  path: string,
  options: { flags: number; mode?: number; resolve: number },
): number {
  const how = new BigUint64Array([
    BigInt(options.flags | O.CLOEXEC),
    BigInt(options.mode ?? 0),
    BigInt(options.resolve),
  ]);
  const name = cstr(path);
  for (let tries = 0; ; tries++) {
    const fd = Number(libc.syscall(NR.openat2, dirfd, address(name), address(how), 24, 0, 0));
    if (fd >= 0) return fd;
    const code = errno();
    if (code !== 11 || tries >= 32) throw new SysError("openat2", code, path);
  }
}

/** Closes a descriptor; an already closed one is not an error. */
export function close(fd: number): void {
  libc.close(fd);
}

/** Bytes read; 0 at the end. Throws EAGAIN on empty non-blocking descriptors. */
export function read(fd: number, buffer: Uint8Array): number {
  return check(libc.read(fd, buffer, buffer.byteLength) as number, "read");
}

export function pread(fd: number, buffer: Uint8Array, offset: number): number {
  return check(libc.pread(fd, buffer, buffer.byteLength, offset) as number, "pread");
}

/** Writes once; may be short. */
export function write(fd: number, buffer: Uint8Array): number {
  return check(libc.write(fd, buffer, buffer.byteLength) as number, "write");
}

/** Writes all of it to a blocking descriptor. */
export function writeAll(fd: number, buffer: Uint8Array): void {
  for (let done = 0; done < buffer.byteLength; ) done += write(fd, done ? buffer.subarray(done) : buffer);
}

export function pwrite(fd: number, buffer: Uint8Array, offset: number): number {
  return check(libc.pwrite(fd, buffer, buffer.byteLength, offset) as number, "pwrite");
}

export const SEEK = { SET: 0, CUR: 1, END: 2, DATA: 3, HOLE: 4 } as const;

export function lseek(fd: number, offset: number, whence: number): number {
  return check(libc.lseek(fd, offset, whence) as number, "lseek");
}

export function ftruncate(fd: number, length: number): void {
  check(libc.ftruncate(fd, length), "ftruncate");
}

export function fsync(fd: number): void {
  check(libc.fsync(fd), "fsync");
}

/** Syncs the whole file system that the descriptor is on. */
export function syncfs(fd: number): void {
  check(libc.syncfs(fd), "syncfs");
}

export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;

export function flock(fd: number, operation: number): void {
  check(libc.flock(fd, operation), "flock");
}

export function mkdirat(dirfd: number, path: string, mode: number): void {
  check(libc.mkdirat(dirfd, cstr(path), mode), "mkdirat", path);
}

/** Device number as the kernel packs it in 64 bits (glibc's makedev). */
export function makedev(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
}

/** `mode` holds the type (S.IFCHR, …) and the permissions. */
export function mknodat(dirfd: number, path: string, mode: number, device: bigint = 0n): void {
  check(libc.mknodat(dirfd, cstr(path), mode, device), "mknodat", path);
}

export function unlinkat(dirfd: number, path: string, flags = 0): void {
  check(libc.unlinkat(dirfd, cstr(path), flags), "unlinkat", path);
}

export function linkat(oldDirfd: number, oldPath: string, newDirfd: number, newPath: string, flags = 0): void {
  check(libc.linkat(oldDirfd, cstr(oldPath), newDirfd, cstr(newPath), flags), "linkat", newPath);
}

export function symlinkat(target: string, dirfd: number, path: string): void {
  check(libc.symlinkat(cstr(target), dirfd, cstr(path)), "symlinkat", path);
}

/** renameat2(2) flags. */
export const RENAME = { NOREPLACE: 1, EXCHANGE: 2, WHITEOUT: 4 } as const;

export function renameat2(oldDirfd: number, oldPath: string, newDirfd: number, newPath: string, flags = 0): void {
  const a = cstr(oldPath);
  const b = cstr(newPath);
  syscall("renameat2", NR.renameat2, [oldDirfd, address(a), newDirfd, address(b), flags], newPath);
}

const decoder = new TextDecoder();

export function readlinkat(dirfd: number, path: string): string {
  const buffer = new Uint8Array(4096);
  const n = check(libc.readlinkat(dirfd, cstr(path), buffer, buffer.length) as number, "readlinkat", path);
  return decoder.decode(buffer.subarray(0, n));
}

export function fchownat(
  dirfd: number,
  path: string,
  uid: number,
  gid: number,
  flags = AT.SYMLINK_NOFOLLOW as number,
): void {
  check(libc.fchownat(dirfd, cstr(path), uid, gid, flags), "fchownat", path);
}

export function fchown(fd: number, uid: number, gid: number): void {
  check(libc.fchown(fd, uid, gid), "fchown");
}

export function fchmod(fd: number, mode: number): void {
  check(libc.fchmod(fd, mode), "fchmod");
}

/** Follows a symlink at the last component: the kernel has no other kind here. */
export function fchmodat(dirfd: number, path: string, mode: number): void {
  check(libc.fchmodat(dirfd, cstr(path), mode, 0), "fchmodat", path);
}

/** Sets access and modification time; nanoseconds since the epoch. */
export function utimensat(
  dirfd: number,
  path: string,
  atimeNs: bigint,
  mtimeNs: bigint,
  flags = AT.SYMLINK_NOFOLLOW as number,
): void {
  const split = (ns: bigint): [bigint, bigint] => {
    const seconds = ns >= 0n ? ns / 1000000000n : (ns - 999999999n) / 1000000000n;
    return [seconds, ns - seconds * 1000000000n];
  };
  const times = new BigInt64Array([...split(atimeNs), ...split(mtimeNs)]);
  // glibc's utimensat refuses a null path.
  check(path === "" ? libc.futimens(dirfd, times) : libc.utimensat(dirfd, cstr(path), times, flags), "utimensat", path);
}

/** What statx(2) gives. Times in nanoseconds since the epoch. */
export interface Stat {
  mode: number;
  uid: number;
  gid: number;
  size: number;
  blocks: number;
  nlink: number;
  ino: bigint;
  /** Of the file system. */
  devMajor: number;
  devMinor: number;
  /** Of the device node itself. */
  rdevMajor: number;
  rdevMinor: number;
  atimeNs: bigint;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

const statBuffer = new Uint8Array(256);
const statView = new DataView(statBuffer.buffer);
const statAddress = address(statBuffer);

/** statx(2) on `path` under `dirfd`; an empty path means the descriptor itself. Does not follow by default. */
export function statx(dirfd: number, path: string, flags = AT.SYMLINK_NOFOLLOW as number): Stat {
  const name = cstr(path);
  const all = path === "" ? flags | AT.EMPTY_PATH : flags;
  syscall("statx", NR.statx, [dirfd, address(name), all | AT.NO_AUTOMOUNT, 0x7ff, statAddress], path);
  const v = statView;
  const time = (at: number) => v.getBigInt64(at, true) * 1000000000n + BigInt(v.getUint32(at + 8, true));
  return {
    nlink: v.getUint32(16, true),
    uid: v.getUint32(20, true),
    gid: v.getUint32(24, true),
    mode: v.getUint16(28, true),
    ino: v.getBigUint64(32, true),
    size: Number(v.getBigUint64(40, true)),
    blocks: Number(v.getBigUint64(48, true)),
    atimeNs: time(64),
    ctimeNs: time(96),
    mtimeNs: time(112),
    rdevMajor: v.getUint32(128, true),
    rdevMinor: v.getUint32(132, true),
    devMajor: v.getUint32(136, true),
    devMinor: v.getUint32(140, true),
  };
}

export interface DirectoryEntry {
  name: string;
  ino: bigint;
  /** DT_* of dirent(3): 4 directory, 8 file, 10 symlink, 2 character, 6 block, 1 fifo, 12 socket, 0 unknown. */
  type: number;
}

/** All entries of an open directory but `.` and `..`, in the file system's order. Reads from the current position. */
export function getdents(fd: number): DirectoryEntry[] {
  const buffer = new Uint8Array(65536);
  const view = new DataView(buffer.buffer);
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const n = syscall("getdents64", NR.getdents64, [fd, address(buffer), buffer.length]);
    if (n === 0) return entries;
    for (let at = 0; at < n; ) {
      const length = view.getUint16(at + 16, true);
      let end = at + 19;
      while (buffer[end] !== 0) end++;
      const name = decoder.decode(buffer.subarray(at + 19, end));
      if (name !== "." && name !== "..") {
        entries.push({ name, ino: view.getBigUint64(at, true), type: buffer[at + 18]! });
      }
      at += length;
    }
  }
}

/** Copies bytes between files in the kernel, by reflink where the file system can. Returns how many. */
export function copyFileRange(from: number, to: number, length: number): number {
  return check(libc.copy_file_range(from, null, to, null, length, 0) as number, "copy_file_range");
}

export function pipe(flags = O.CLOEXEC as number): [number, number] {
  const fds = new Int32Array(2);
  check(libc.pipe2(fds, flags), "pipe2");
  return [fds[0]!, fds[1]!];
}

/** An anonymous file in memory. */
export function memfd(name: string, flags = 1): number {
  return check(libc.memfd_create(cstr(name), flags), "memfd_create", name);
}

/** Makes a file in memory, created with MFD_ALLOW_SEALING (2), one that never changes again. */
export function sealMemory(fd: number): void {
  check(libc.fcntl(fd, 1033, 0xf), "fcntl");
}

/** Type number (statfs(2) f_type) and free space of the file system at `path`. Sizes in bytes. */
export function statfs(path: string): { type: number; total: number; free: number; available: number } {
  const buffer = new Uint8Array(120);
  check(libc.statfs(cstr(path), buffer), "statfs", path);
  const v = new DataView(buffer.buffer);
  const block = Number(v.getBigInt64(8, true));
  return {
    type: Number(v.getBigInt64(0, true)),
    total: Number(v.getBigUint64(16, true)) * block,
    free: Number(v.getBigUint64(24, true)) * block,
    available: Number(v.getBigUint64(32, true)) * block,
  };
}
