import { AT, address, check, errno, libc, NR, O, SysError } from "@gantry/sys";
import { decodeName } from "./names.ts";

/**
 * The *at calls for the many small files of an archive: names are byte-exact (see names.ts) and encoded into standing
 * buffers, since an own buffer for each path costs more than the call. Each worker thread has its own copy of this
 * module, hence of the buffers.
 */
const scratch = [new Uint8Array(8192), new Uint8Array(8192)] as const;
const encoder = new TextEncoder();

function cname(name: string, slot: 0 | 1 = 0): Uint8Array {
  const buffer = scratch[slot];
  // 4096 is the kernel's PATH_MAX; the encoding of a character takes at most three bytes.
  if (name.length > 2600) {
    if (name.length >= 4096) throw new SysError("path", 36, name.slice(0, 80));
  }
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0) throw new SysError("path", 22, JSON.stringify(name.slice(0, 80)));
    if (code >= 0x80) return wide(name, buffer);
    buffer[i] = code;
  }
  buffer[name.length] = 0;
  return buffer;
}

function wide(name: string, buffer: Uint8Array): Uint8Array {
  let at = 0;
  if (name.includes("\0")) throw new SysError("path", 22, JSON.stringify(name.slice(0, 80)));
  if (name.isWellFormed()) {
    const { read, written } = encoder.encodeInto(name, buffer.subarray(0, 8191));
    if (read < name.length) throw new SysError("path", 36, name.slice(0, 80));
    at = written;
  } else {
    for (const char of name) {
      const code = char.codePointAt(0)!;
      if (at > 8180) throw new SysError("path", 36, name.slice(0, 80));
      if (code >= 0xdc80 && code <= 0xdcff) buffer[at++] = code - 0xdc00;
      else at += encoder.encodeInto(char, buffer.subarray(at)).written;
    }
  }
  buffer[at] = 0;
  return buffer;
}

const EEXIST = 17;
const EAGAIN = 11;

/** openat(2); null where O_EXCL found something there. */
export function createExclusive(dirfd: number, name: string, flags: number, mode: number): number | null {
  const fd = libc.openat(dirfd, cname(name), flags | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC, mode);
  if (fd >= 0) return fd;
  const code = errno();
  if (code === EEXIST) return null;
  throw new SysError("open", code, name);
}

export function openAt(dirfd: number, name: string, flags: number): number {
  return check(libc.openat(dirfd, cname(name), flags | O.CLOEXEC, 0), "open", name);
}

const how = new BigUint64Array(3);
const howAddress = address(how);

/** openat2(2). Returns the descriptor, or minus errno. */
export function tryOpenat2(dirfd: number, path: string, flags: number, resolve: number): number {
  const name = cname(path);
  how[0] = BigInt(flags | O.CLOEXEC);
  how[1] = 0n;
  how[2] = BigInt(resolve);
  for (let tries = 0; ; tries++) {
    const fd = Number(libc.syscall(NR.openat2, dirfd, address(name), howAddress, 24, 0, 0));
    if (fd >= 0) return fd;
    const code = errno();
    if (code !== EAGAIN || tries >= 32) return -code;
  }
}

/** False where the name is taken. */
export function tryMkdirat(dirfd: number, name: string, mode: number): boolean {
  if (libc.mkdirat(dirfd, cname(name), mode) === 0) return true;
  const code = errno();
  if (code === EEXIST) return false;
  throw new SysError("mkdir", code, name);
}

/** False where the name is taken. */
export function trySymlinkat(target: string, dirfd: number, name: string): boolean {
  if (libc.symlinkat(cname(target, 1), dirfd, cname(name)) === 0) return true;
  const code = errno();
  if (code === EEXIST) return false;
  throw new SysError("symlink", code, name);
}

/** False where the name is taken. */
export function tryLinkat(fromDir: number, from: string, dirfd: number, name: string): boolean {
  if (libc.linkat(fromDir, cname(from, 1), dirfd, cname(name), 0) === 0) return true;
  const code = errno();
  if (code === EEXIST) return false;
  throw new SysError("link", code, name);
}

/** False where the name is taken. */
export function tryMknodat(dirfd: number, name: string, mode: number, device: bigint): boolean {
  if (libc.mknodat(dirfd, cname(name), mode, device) === 0) return true;
  const code = errno();
  if (code === EEXIST) return false;
  throw new SysError("mknod", code, name);
}

/** Zero, or the errno. */
export function tryUnlinkat(dirfd: number, name: string, flags = 0): number {
  return libc.unlinkat(dirfd, cname(name), flags) === 0 ? 0 : errno();
}

export function chownAt(dirfd: number, name: string, uid: number, gid: number): void {
  check(libc.fchownat(dirfd, cname(name), uid, gid, AT.SYMLINK_NOFOLLOW), "chown", name);
}

const times = new BigInt64Array(4);

/** Sets both times of an open file, or of `name` itself (never of a link's target). */
export function setTimes(dirfd: number, name: string | null, seconds: number, nanoseconds: number): void {
  times[0] = times[2] = BigInt(seconds);
  times[1] = times[3] = BigInt(nanoseconds);
  const result =
    name === null ? libc.futimens(dirfd, times) : libc.utimensat(dirfd, cname(name), times, AT.SYMLINK_NOFOLLOW);
  check(result, "utimensat", name ?? undefined);
}

export interface FileStat {
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  ino: number;
  size: number;
  blocks: number;
  mtime: number;
  mtimeNsec: number;
  ctime: number;
  ctimeNsec: number;
  rdevMajor: number;
  rdevMinor: number;
  /** Device of the file system, major and minor in one number. */
  dev: number;
}

const statBuffer = new Uint8Array(256);
const statView = new DataView(statBuffer.buffer);
const statAddress = address(statBuffer);

/** statx(2) without following a link; `name` "" is the descriptor itself. Null where nothing is there. */
export function statAt(dirfd: number, name: string): FileStat | null {
  const flags = AT.SYMLINK_NOFOLLOW | AT.NO_AUTOMOUNT | (name === "" ? AT.EMPTY_PATH : 0);
  const path = cname(name);
  if (libc.syscall(NR.statx, dirfd, address(path), flags, 0x7ff, statAddress, 0) < 0) {
    const code = errno();
    if (code === 2 || code === 20) return null;
    throw new SysError("statx", code, name);
  }
  const v = statView;
  return {
    nlink: v.getUint32(16, true),
    uid: v.getUint32(20, true),
    gid: v.getUint32(24, true),
    mode: v.getUint16(28, true),
    ino: Number(v.getBigUint64(32, true)),
    size: Number(v.getBigUint64(40, true)),
    blocks: Number(v.getBigUint64(48, true)),
    ctime: Number(v.getBigInt64(96, true)),
    ctimeNsec: v.getUint32(104, true),
    mtime: Number(v.getBigInt64(112, true)),
    mtimeNsec: v.getUint32(120, true),
    rdevMajor: v.getUint32(128, true),
    rdevMinor: v.getUint32(132, true),
    dev: v.getUint32(136, true) * 0x100000 + v.getUint32(140, true),
  };
}

const linkBuffer = new Uint8Array(4097);

/** Target of a symbolic link, byte-exact; name "" with an O_PATH descriptor of the link. */
export function readlinkAt(dirfd: number, name: string): string {
  const n = check(libc.readlinkat(dirfd, cname(name), linkBuffer, linkBuffer.length) as number, "readlink", name);
  return decodeName(linkBuffer, 0, n);
}

const direntBuffer = new Uint8Array(1 << 16);
const direntView = new DataView(direntBuffer.buffer);
const direntAddress = address(direntBuffer);

export interface Dirent {
  name: string;
  /** DT_* of dirent(3). */
  type: number;
}

/** Names in an open directory, from its current position, byte-exact, without `.` and `..`. */
export function listDirectory(fd: number): Dirent[] {
  const entries: Dirent[] = [];
  for (;;) {
    const n = check(
      libc.syscall(NR.getdents64, fd, direntAddress, direntBuffer.length, 0, 0, 0) as number,
      "getdents64",
    );
    if (n === 0) return entries;
    for (let at = 0; at < n; at += direntView.getUint16(at + 16, true)) {
      let end = at + 19;
      while (direntBuffer[end] !== 0) end++;
      const first = direntBuffer[at + 19];
      const dots = first === 0x2e && (end === at + 20 || (end === at + 21 && direntBuffer[at + 20] === 0x2e));
      if (!dots) entries.push({ name: decodeName(direntBuffer, at + 19, end), type: direntBuffer[at + 18]! });
    }
  }
}
