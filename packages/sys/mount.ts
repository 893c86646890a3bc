import { address, check, cstr, libc, NR, syscall } from "./libc.ts";

/** mount(2) flags. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  SYNCHRONOUS: 16,
  REMOUNT: 32,
  MANDLOCK: 64,
  DIRSYNC: 128,
  NOATIME: 1024,
  NODIRATIME: 2048,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  SILENT: 32768,
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
  RELATIME: 1 << 21,
  STRICTATIME: 1 << 24,
  LAZYTIME: 1 << 25,
} as const;

export const MNT = { FORCE: 1, DETACH: 2, EXPIRE: 4 } as const;
export const UMOUNT_NOFOLLOW = 8;

/** mount(2). Empty strings are passed as NULL. */
export function mount(source: string, target: string, type: string, flags: number, data = ""): void {
  const text = (value: string) => (value === "" ? null : cstr(value));
  check(libc.mount(text(source), cstr(target), text(type), flags, text(data)), "mount", target);
}

/** umount2(2). */
export function umount(target: string, flags = 0): void {
  check(libc.umount2(cstr(target), flags), "umount", target);
}

/** fsopen(2): a new file system context; give it parameters by `fsconfig…`, then `fsmount`. */
export function fsopen(type: string): number {
  const name = cstr(type);
  return syscall("fsopen", NR.fsopen, [address(name), 1], type);
}

const FSCONFIG = { FLAG: 0, STRING: 1, BINARY: 2, PATH: 3, PATH_EMPTY: 4, FD: 5, CREATE: 6, RECONFIGURE: 7 };

export function fsconfigString(fd: number, key: string, value: string): void {
  const k = cstr(key);
  const v = cstr(value);
  syscall("fsconfig", NR.fsconfig, [fd, FSCONFIG.STRING, address(k), address(v), 0], `${key}=${value.slice(0, 200)}`);
}

export function fsconfigFlag(fd: number, key: string): void {
  const k = cstr(key);
  syscall("fsconfig", NR.fsconfig, [fd, FSCONFIG.FLAG, address(k), 0, 0], key);
}

export function fsconfigFd(fd: number, key: string, value: number): void {
  const k = cstr(key);
  syscall("fsconfig", NR.fsconfig, [fd, FSCONFIG.FD, address(k), 0, value], key);
}

export function fsconfigCreate(fd: number): void {
  syscall("fsconfig", NR.fsconfig, [fd, FSCONFIG.CREATE, 0, 0, 0], "create");
}

/** Mount attributes of fsmount(2) and mount_setattr(2). */
export const MOUNT_ATTR = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  NODIRATIME: 0x80,
  IDMAP: 0x100000,
  NOSYMFOLLOW: 0x200000,
} as const;

/** A detached mount of the context; in no mount table, gone when the descriptor (and all opened under it) is closed. */
export function fsmount(fd: number, attributes = 0): number {
  return syscall("fsmount", NR.fsmount, [fd, 1, attributes]);
}

/** open_tree(2) flags: CLONE makes a detached bind mount. */
export const OPEN_TREE = { CLONE: 1, CLOEXEC: 0o2000000 } as const;

export function openTree(dirfd: number, path: string, flags: number): number {
  const name = cstr(path);
  return syscall("open_tree", NR.open_tree, [dirfd, address(name), flags | OPEN_TREE.CLOEXEC], path);
}

export const MOVE_MOUNT = { F_EMPTY_PATH: 0x04, T_EMPTY_PATH: 0x40 } as const;

export function moveMount(fromFd: number, fromPath: string, toFd: number, toPath: string, flags: number): void {
  const a = cstr(fromPath);
  const b = cstr(toPath);
  syscall("move_mount", NR.move_mount, [fromFd, address(a), toFd, address(b), flags], toPath);
}

/** mount_setattr(2). `flags` e.g. AT.EMPTY_PATH | AT.RECURSIVE. */
export function mountSetattr(
  dirfd: number,
  path: string,
  flags: number,
  change: { set?: number; clear?: number; propagation?: number; usernsFd?: number },
): void {
  const attr = new BigUint64Array([
    BigInt(change.set ?? 0),
    BigInt(change.clear ?? 0),
    BigInt(change.propagation ?? 0),
    BigInt(change.usernsFd ?? 0),
  ]);
  const name = cstr(path);
  syscall("mount_setattr", NR.mount_setattr, [dirfd, address(name), flags, address(attr), 32], path);
}
