import { readlinkAt, statAt } from "@gantry/storage";
import { close, O, openat2, RESOLVE, S, SysError } from "@gantry/sys";
import { cleanPath } from "../ignore/clean.ts";

const ELOOP = 40;
const MAX_LINKS = 255;

/** Opens a directory by its real path (no links in it) below a root. The root itself for "". */
export function openDirectory(rootFd: number, path: string): number {
  return openat2(rootFd, path === "" ? "." : path, {
    flags: O.RDONLY | O.DIRECTORY | O.NOFOLLOW,
    resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS,
  });
}

/**
 * The real path, relative to the root, that a path leads to when the root is `/`: links are followed inside it, also
 * the last one; what does not exist stays as it is written. Never leads out. Throws SysError ELOOP.
 */
export function followInRoot(rootFd: number, path: string): string {
  return resolveLinks(path, (folder, name) => linkTarget(rootFd, folder, name));
}

/** The same, with links told by `target`: null for what is no link. */
export function resolveLinks(path: string, target: (folder: string, name: string) => string | null): string {
  let links = 0;
  let real: string[] = [];
  const rest = path.split("/").reverse();
  while (rest.length > 0) {
    const part = rest.pop()!;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      real.pop();
      continue;
    }
    const link = target(real.join("/"), part);
    if (link === null) {
      real.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw new SysError("open", ELOOP, path);
    if (link.startsWith("/")) real = [];
    rest.push(...link.split("/").reverse());
  }
  return real.join("/");
}

function linkTarget(rootFd: number, folder: string, name: string): string | null {
  let fd: number;
  try {
    fd = openDirectory(rootFd, folder);
  } catch (error) {
    if (error instanceof SysError && (error.errno === 2 || error.errno === 20)) return null;
    throw error;
  }
  try {
    const stat = statAt(fd, name);
    return stat && (stat.mode & S.IFMT) === S.IFLNK ? readlinkAt(fd, name) : null;
  } finally {
    close(fd);
  }
}

/** Splits a real path in folder and name. */
export function splitPath(path: string): [folder: string, name: string] {
  const clean = cleanPath(path);
  const slash = clean.lastIndexOf("/");
  return slash < 0 ? ["", clean] : [clean.slice(0, slash), clean.slice(slash + 1)];
}
