import { posix } from "node:path";
import { invalidParameter, notFound } from "@gantry/spec";
import { close, isErrno, O, open, openat2, RESOLVE, readlinkat, S, type Stat, statx } from "@gantry/sys";
import type { Container } from "../containers/container.ts";
import type { Engine } from "../engine.ts";
import { assembleRoot } from "./assemble.ts";

/** A root directory and a path in it. `close` gives everything back. */
export interface Located {
  rootFd: number;
  /** Absolute in the root. */
  path: string;
  /** Whether what is there may be written. */
  writable: "yes" | "rootfs" | "volume";
  close(): void;
}

/** A container's path made absolute and clean, but for a trailing "/" or "/." that means "the directory itself". */
export function containerPath(path: string): string {
  if (path === "") throw invalidParameter("missing path");
  if (path.includes("\0")) throw invalidParameter("invalid path: it contains a NUL byte");
  const clean = posix.join("/", path);
  const bare = clean.replace(/(.)\/+$/, "$1");
  if (/(^|\/)\.$/.test(path)) return bare === "/" ? "/." : `${bare}/.`;
  if (path.endsWith("/") && bare !== "/") return `${bare}/`;
  return bare;
}

/** Opens the root that a path of a container is in: the live one of a running container; of a stopped one, what it would see. */
export async function locate(engine: Engine, container: Container, path: string, write: boolean): Promise<Located> {
  const { record } = container;
  const mount = record.mounts
    .filter((entry) => path === entry.destination || path.startsWith(`${entry.destination}/`))
    .sort((a, b) => b.destination.length - a.destination.length)[0];
  const writable: Located["writable"] =
    mount !== undefined ? (mount.rw ? "yes" : "volume") : record.hostConfig.ReadonlyRootfs === true ? "rootfs" : "yes";
  const root =
    liveRoot(container) ??
    // While it is looked at, nobody starts it.
    (await container.lock.run(async () => liveRoot(container) ?? assembleRoot(engine, container, write)));
  return { rootFd: root.fd, path, writable, close: () => root.close() };
}

/** The root of a container that runs; null where it does not, or has just ended without our having heard of it. */
function liveRoot(container: Container): { fd: number; close(): void } | null {
  if (!container.running || container.state.pid <= 0) return null;
  try {
    const fd = open(`/proc/${container.state.pid}/root`, O.PATH | O.DIRECTORY);
    return { fd, close: () => close(fd) };
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return null;
    throw error;
  }
}

export interface PathStat {
  stat: Stat;
  /** Target of a symbolic link, as an absolute path in the container; "" for others. */
  linkTarget: string;
}

/** What is at the path; its last part is not followed, unless it ends in "/" or "/.". Throws notFound, the container named as given. */
export function statPath(container: string, located: Located, shown: string): PathStat {
  let fd: number;
  try {
    const follow = /\/\.?$/.test(located.path);
    fd = openat2(located.rootFd, located.path, {
      flags: O.PATH | (follow ? 0 : O.NOFOLLOW),
      resolve: RESOLVE.IN_ROOT,
    });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")) throw missing(container, shown);
    throw error;
  }
  try {
    const stat = statx(fd, "");
    let linkTarget = "";
    if ((stat.mode & S.IFMT) === S.IFLNK) {
      const target = readlinkat(fd, "");
      linkTarget = posix.normalize(target.startsWith("/") ? target : posix.join(posix.dirname(shown), target));
    }
    return { stat, linkTarget };
  } finally {
    close(fd);
  }
}

export function missing(container: string, path: string): Error {
  return notFound(`Could not find the file ${path} in container ${container}`);
}

// Go's os.FileMode bits.
const GO_MODE: [number, number][] = [
  [S.IFDIR, 2 ** 31],
  [S.IFLNK, 2 ** 27],
  [S.IFIFO, 2 ** 25],
  [S.IFSOCK, 2 ** 24],
];

/** A file's mode as Go writes it. */
export function goFileMode(mode: number): number {
  let result = mode & 0o777;
  const type = mode & S.IFMT;
  for (const [kind, bit] of GO_MODE) if (type === kind) result += bit;
  if (type === S.IFBLK) result += 2 ** 26;
  if (type === S.IFCHR) result += 2 ** 26 + 2 ** 21;
  if ((mode & 0o4000) !== 0) result += 2 ** 23;
  if ((mode & 0o2000) !== 0) result += 2 ** 22;
  if ((mode & 0o1000) !== 0) result += 2 ** 20;
  return result;
}
