import { AT, close, O, SysError } from "@gantry/sys";
import { listDirectory, openAt, tryUnlinkat } from "./at.ts";

const ENOENT = 2;
const EISDIR = 21;
const ENOTDIR = 20;
const ELOOP = 40;

/**
 * Removes `name` under `dirfd`, a directory with all it holds, never following a link. Nothing there is no error.
 * Iterative in effect: depth is bounded by the descriptors a tree of PATH_MAX can need.
 */
export function removeAt(dirfd: number, name: string): void {
  const code = tryUnlinkat(dirfd, name);
  if (code === 0 || code === ENOENT) return;
  if (code !== EISDIR) throw new SysError("unlink", code, name);
  let fd: number;
  try {
    fd = openAt(dirfd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  } catch (error) {
    const raced = error instanceof SysError && [ENOENT, ENOTDIR, ELOOP].includes(error.errno);
    if (raced) return removeAt(dirfd, name);
    throw error;
  }
  try {
    for (const entry of listDirectory(fd)) removeAt(fd, entry.name);
  } finally {
    close(fd);
  }
  const last = tryUnlinkat(dirfd, name, AT.REMOVEDIR);
  if (last !== 0 && last !== ENOENT) throw new SysError("rmdir", last, name);
}
