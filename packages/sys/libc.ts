import { dlopen, ptr, read, FFIType as T } from "bun:ffi";
import { SysError } from "./errno.ts";

/**
 * libc by FFI. Only raw symbols and the errno rule live here; typed calls are in the files named after their subject
 * (file.ts, mount.ts, namespace.ts, socket.ts, process.ts). A call costs about 0.2 µs; a path argument 1.5 µs more.
 */
const SYMBOLS = {
  syscall: { args: [T.i64, T.i64, T.i64, T.i64, T.i64, T.i64, T.i64], returns: T.i64_fast },
  __errno_location: { args: [], returns: T.ptr },
  openat: { args: [T.i32, T.ptr, T.i32, T.u32], returns: T.i32 },
  close: { args: [T.i32], returns: T.i32 },
  read: { args: [T.i32, T.ptr, T.u64], returns: T.i64_fast },
  write: { args: [T.i32, T.ptr, T.u64], returns: T.i64_fast },
  pread: { args: [T.i32, T.ptr, T.u64, T.i64], returns: T.i64_fast },
  pwrite: { args: [T.i32, T.ptr, T.u64, T.i64], returns: T.i64_fast },
  lseek: { args: [T.i32, T.i64, T.i32], returns: T.i64_fast },
  ftruncate: { args: [T.i32, T.i64], returns: T.i32 },
  fallocate: { args: [T.i32, T.i32, T.i64, T.i64], returns: T.i32 },
  fsync: { args: [T.i32], returns: T.i32 },
  fdatasync: { args: [T.i32], returns: T.i32 },
  syncfs: { args: [T.i32], returns: T.i32 },
  flock: { args: [T.i32, T.i32], returns: T.i32 },
  dup3: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
  fcntl: { args: [T.i32, T.i32, T.i64], returns: T.i32 },
  pipe2: { args: [T.ptr, T.i32], returns: T.i32 },
  memfd_create: { args: [T.ptr, T.u32], returns: T.i32 },
  eventfd: { args: [T.u32, T.i32], returns: T.i32 },
  mkdirat: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  mknodat: { args: [T.i32, T.ptr, T.u32, T.u64], returns: T.i32 },
  unlinkat: { args: [T.i32, T.ptr, T.i32], returns: T.i32 },
  linkat: { args: [T.i32, T.ptr, T.i32, T.ptr, T.i32], returns: T.i32 },
  symlinkat: { args: [T.ptr, T.i32, T.ptr], returns: T.i32 },
  readlinkat: { args: [T.i32, T.ptr, T.ptr, T.u64], returns: T.i64_fast },
  fchownat: { args: [T.i32, T.ptr, T.u32, T.u32, T.i32], returns: T.i32 },
  fchown: { args: [T.i32, T.u32, T.u32], returns: T.i32 },
  fchmod: { args: [T.i32, T.u32], returns: T.i32 },
  fchmodat: { args: [T.i32, T.ptr, T.u32, T.i32], returns: T.i32 },
  utimensat: { args: [T.i32, T.ptr, T.ptr, T.i32], returns: T.i32 },
  futimens: { args: [T.i32, T.ptr], returns: T.i32 },
  lsetxattr: { args: [T.ptr, T.ptr, T.ptr, T.u64, T.i32], returns: T.i32 },
  fsetxattr: { args: [T.i32, T.ptr, T.ptr, T.u64, T.i32], returns: T.i32 },
  lgetxattr: { args: [T.ptr, T.ptr, T.ptr, T.u64], returns: T.i64_fast },
  fgetxattr: { args: [T.i32, T.ptr, T.ptr, T.u64], returns: T.i64_fast },
  llistxattr: { args: [T.ptr, T.ptr, T.u64], returns: T.i64_fast },
  flistxattr: { args: [T.i32, T.ptr, T.u64], returns: T.i64_fast },
  lremovexattr: { args: [T.ptr, T.ptr], returns: T.i32 },
  copy_file_range: { args: [T.i32, T.ptr, T.i32, T.ptr, T.u64, T.u32], returns: T.i64_fast },
  sendfile: { args: [T.i32, T.i32, T.ptr, T.u64], returns: T.i64_fast },
  statfs: { args: [T.ptr, T.ptr], returns: T.i32 },
  mount: { args: [T.ptr, T.ptr, T.ptr, T.u64, T.ptr], returns: T.i32 },
  umount2: { args: [T.ptr, T.i32], returns: T.i32 },
  setns: { args: [T.i32, T.i32], returns: T.i32 },
  unshare: { args: [T.i32], returns: T.i32 },
  sethostname: { args: [T.ptr, T.u64], returns: T.i32 },
  ioctl: { args: [T.i32, T.u64, T.ptr], returns: T.i32 },
  socket: { args: [T.i32, T.i32, T.i32], returns: T.i32 },
  socketpair: { args: [T.i32, T.i32, T.i32, T.ptr], returns: T.i32 },
  bind: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  listen: { args: [T.i32, T.i32], returns: T.i32 },
  accept4: { args: [T.i32, T.ptr, T.ptr, T.i32], returns: T.i32 },
  connect: { args: [T.i32, T.ptr, T.u32], returns: T.i32 },
  getsockname: { args: [T.i32, T.ptr, T.ptr], returns: T.i32 },
  setsockopt: { args: [T.i32, T.i32, T.i32, T.ptr, T.u32], returns: T.i32 },
  getsockopt: { args: [T.i32, T.i32, T.i32, T.ptr, T.ptr], returns: T.i32 },
  send: { args: [T.i32, T.ptr, T.u64, T.i32], returns: T.i64_fast },
  splice: { args: [T.i32, T.ptr, T.i32, T.ptr, T.u64, T.u32], returns: T.i64_fast },
  recv: { args: [T.i32, T.ptr, T.u64, T.i32], returns: T.i64_fast },
  sendto: { args: [T.i32, T.ptr, T.u64, T.i32, T.ptr, T.u32], returns: T.i64_fast },
  recvfrom: { args: [T.i32, T.ptr, T.u64, T.i32, T.ptr, T.ptr], returns: T.i64_fast },
  sendmsg: { args: [T.i32, T.ptr, T.i32], returns: T.i64_fast },
  recvmsg: { args: [T.i32, T.ptr, T.i32], returns: T.i64_fast },
  shutdown: { args: [T.i32, T.i32], returns: T.i32 },
  poll: { args: [T.ptr, T.u64, T.i32], returns: T.i32 },
  epoll_create1: { args: [T.i32], returns: T.i32 },
  epoll_ctl: { args: [T.i32, T.i32, T.i32, T.ptr], returns: T.i32 },
  epoll_wait: { args: [T.i32, T.ptr, T.i32, T.i32], returns: T.i32 },
  kill: { args: [T.i32, T.i32], returns: T.i32 },
  waitpid: { args: [T.i32, T.ptr, T.i32], returns: T.i32 },
  prctl: { args: [T.i32, T.u64, T.u64, T.u64, T.u64], returns: T.i32 },
  umask: { args: [T.u32], returns: T.u32 },
  getuid: { args: [], returns: T.u32 },
} as const;

function load() {
  const musl = `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;
  for (const name of ["libc.so.6", musl]) {
    try {
      return dlopen(name, SYMBOLS).symbols;
    } catch {}
  }
  throw new Error(`no libc found (tried libc.so.6, ${musl})`);
}

/** The raw symbols. Pointers are typed arrays or `null`. Prefer the typed calls. */
export const libc = load();

const errnoPointer = libc.__errno_location()!;

/** errno of the call that just failed on this thread. */
export function errno(): number {
  return read.i32(errnoPointer, 0);
}

/** Passes a result through; throws SysError where it is negative. */
export function check(result: number | bigint, syscall: string, subject?: string): number {
  if (result < 0) throw new SysError(syscall, errno(), subject);
  return Number(result);
}

const encoder = new TextEncoder();

/** A NUL-terminated UTF-8 string for a pointer argument. Throws EINVAL where the text holds a NUL. */
export function cstr(text: string): Uint8Array {
  if (text.includes("\0")) throw new SysError("path", 22, JSON.stringify(text));
  return encoder.encode(text + "\0");
}

/** Address of a buffer as a number, for syscalls' integer arguments. The caller keeps the buffer alive. */
export function address(buffer: NodeJS.TypedArray | null): number {
  return buffer === null ? 0 : (ptr(buffer) as number);
}

/** A system call by number; -1 is thrown as SysError named `name`. */
export function syscall(name: string, number: number, args: (number | bigint)[], subject?: string): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = args;
  return check(libc.syscall(number, a, b, c, d, e, f) as number | bigint, name, subject);
}

/** From pidfd_send_signal on they are the same on all architectures. */
const SHARED = {
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  fspick: 433,
  pidfd_open: 434,
  close_range: 436,
  openat2: 437,
  pidfd_getfd: 438,
  mount_setattr: 442,
};

/** Numbers of system calls that libc has no wrapper for everywhere, by architecture. */
export const NUMBERS = {
  x64: { ...SHARED, bpf: 321, getdents64: 217, madvise: 28, pivot_root: 155, renameat2: 316, statx: 332 },
  arm64: { ...SHARED, bpf: 280, getdents64: 61, madvise: 233, pivot_root: 41, renameat2: 276, statx: 291 },
} as const;

/** This machine's. */
export const NR = NUMBERS[process.arch === "arm64" ? "arm64" : "x64"];
