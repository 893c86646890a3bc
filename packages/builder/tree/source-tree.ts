import { type FileStat, listDirectory, openAt, readlinkAt, statAt } from "@gantry/storage";
import { close, getxattr, O, read, S } from "@gantry/sys";
import { openDirectory, splitPath } from "./follow.ts";
import type { Pacer } from "./pacer.ts";
import { FileSum, headerOfStat } from "./sum.ts";

/** A directory tree that COPY reads from: a build context, an image's or a stage's files, a download. */
export interface SourceTree {
  /** Its root directory, borrowed. */
  readonly fd: number;
  /** Checksums known already, by path. */
  readonly sums: Map<string, string> | null;
  /** Whether its files may be linked into layers instead of being copied: they are this build's own, and thrown away. */
  readonly linkable: boolean;
  /** Whether it is the build context, for messages. */
  readonly context: boolean;
  close(): void;
}

/** Stat of a real path. Null where nothing is there. */
export function statPath(rootFd: number, path: string): FileStat | null {
  if (path === "") return statAt(rootFd, "");
  const [folder, name] = splitPath(path);
  let fd: number;
  try {
    fd = openDirectory(rootFd, folder);
  } catch {
    return null;
  }
  try {
    return statAt(fd, name);
  } finally {
    close(fd);
  }
}

/** Checksum of one file, link, device or (without its entries) directory. */
export async function sumOf(
  tree: SourceTree,
  dirFd: number,
  name: string,
  path: string,
  stat: FileStat,
  pacer: Pacer,
): Promise<string> {
  const known = tree.sums?.get(path);
  if (known !== undefined) return known;
  const type = stat.mode & S.IFMT;
  if (type === S.IFLNK) return new FileSum(headerOfStat(path, stat, readlinkAt(dirFd, name), null)).digest();
  if (type !== S.IFREG) return new FileSum(headerOfStat(path, stat, "", null)).digest();
  const fd = openAt(dirFd, name, O.RDONLY | O.NOFOLLOW);
  try {
    const sum = new FileSum(headerOfStat(path, stat, "", getxattr(fd, "security.capability")));
    const buffer = new Uint8Array(Math.min(1 << 19, stat.size + 1));
    for (let n = read(fd, buffer); n > 0; n = read(fd, buffer)) {
      sum.update(n === buffer.length ? buffer : buffer.subarray(0, n));
      await pacer.tick();
    }
    return sum.digest();
  } finally {
    close(fd);
  }
}

/** Entries of a directory in byte order. The descriptor is borrowed. */
export function sortedEntries(fd: number): string[] {
  return listDirectory(fd)
    .map((entry) => entry.name)
    .sort();
}
