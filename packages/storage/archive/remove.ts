import { AT, close, lseek, O, renameat2, SEEK, SysError } from "@gantry/sys";
import { listDirectory, openAt, tryUnlinkat } from "./at.ts";

const ENOENT = 2;
const EISDIR = 21;
const ENOTDIR = 20;
const ELOOP = 40;

/** Levels descended at a time, each with an open descriptor. A container can nest directories without bound. */
const MAX_DEPTH = 64;

let moved = 0;

/**
 * Removes `name` under `dirfd`, a directory with all it holds, never following a link. Nothing there is no error. What is
 * nested too deeply is moved up to the top of the tree and removed from there.
 */
export function removeAt(dirfd: number, name: string): void {
  const code = tryUnlinkat(dirfd, name);
  if (code === 0 || code === ENOENT) return;
  if (code !== EISDIR) throw new SysError("unlink", code, name);
  const top = openChild(dirfd, name);
  if (top === null) return removeAt(dirfd, name);
  try {
    while (empty(top, top, 0));
  } finally {
    close(top);
  }
  removeEmpty(dirfd, name);
}

/** Removes what a directory holds. Returns whether something was moved to the top, to be removed in another round. */
function empty(fd: number, top: number, depth: number): boolean {
  let again = false;
  for (const { name } of listDirectory(fd)) {
    const code = tryUnlinkat(fd, name);
    if (code === 0 || code === ENOENT) continue;
    if (code !== EISDIR) throw new SysError("unlink", code, name);
    if (depth >= MAX_DEPTH) {
      renameat2(fd, name, top, `.gantry-remove-${process.pid}-${moved++}`);
      again = true;
      continue;
    }
    const child = openChild(fd, name);
    if (child === null) {
      again = true;
      continue;
    }
    try {
      again = empty(child, top, depth + 1) || again;
    } finally {
      close(child);
    }
    removeEmpty(fd, name);
  }
  if (again && depth === 0) lseek(fd, 0, SEEK.SET);
  return again;
}

/** Null where a racing change made it no directory. */
function openChild(dirfd: number, name: string): number | null {
  try {
    return openAt(dirfd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  } catch (error) {
    if (error instanceof SysError && [ENOENT, ENOTDIR, ELOOP].includes(error.errno)) return null;
    throw error;
  }
}

function removeEmpty(dirfd: number, name: string): void {
  const code = tryUnlinkat(dirfd, name, AT.REMOVEDIR);
  if (code !== 0 && code !== ENOENT) throw new SysError("rmdir", code, name);
}
