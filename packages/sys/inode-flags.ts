import { close, O, open } from "./file.ts";
import { libc } from "./libc.ts";

const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;

/** Flags of inodes (ioctl_iflags(2)). */
export const FS_FL = {
  /** ext4 puts the directories in this one into block groups far from each other, as if they had nothing to do with one another. */
  TOPDIR: 0x20000,
  /** btrfs writes to a file in place; goes for an empty file only. */
  NOCOW: 0x800000,
} as const;

/** The flags of what is at a path; null where its file system has none. Throws SysError where it cannot be opened. */
export function inodeFlags(path: string): number | null {
  return withFlags(path, (_, flags) => flags);
}

/** Adds flags to what is at a path. False where the file system does not know them. Throws SysError where it cannot be opened. */
export function addInodeFlags(path: string, add: number): boolean {
  return (
    withFlags(path, (fd, flags) => libc.ioctl(fd, FS_IOC_SETFLAGS, new Int32Array([flags | add, 0])) === 0) ?? false
  );
}

function withFlags<T>(path: string, use: (fd: number, flags: number) => T): T | null {
  const fd = open(path, O.RDONLY | O.NONBLOCK | O.CLOEXEC);
  try {
    const flags = new Int32Array(2);
    return libc.ioctl(fd, FS_IOC_GETFLAGS, flags) < 0 ? null : use(fd, flags[0]!);
  } finally {
    close(fd);
  }
}
