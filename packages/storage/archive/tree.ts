import { close, O, open, openat2, RESOLVE, S } from "@gantry/sys";
import { type FileStat, listDirectory, openAt, statAt } from "./at.ts";
import { compareNames } from "./names.ts";
import { isOpaque } from "./packer.ts";

/** Sum of the sizes of all files below a directory in bytes; a file of several names counts once. */
export function usage(job: { path: string }): number {
  const seen = new Set<string>();
  let total = 0;
  const visit = (fd: number) => {
    for (const { name } of listDirectory(fd)) {
      const stat = statAt(fd, name);
      if (!stat) continue;
      const kind = stat.mode & S.IFMT;
      if (kind === S.IFDIR) {
        const child = tryOpen(fd, name);
        if (child === null) continue;
        try {
          visit(child);
        } finally {
          close(child);
        }
        continue;
      }
      if (stat.nlink > 1) {
        const key = `${stat.dev}:${stat.ino}`;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      if (kind === S.IFREG || kind === S.IFLNK) total += stat.size;
    }
  };
  const fd = open(job.path, O.RDONLY | O.DIRECTORY);
  try {
    visit(fd);
  } finally {
    close(fd);
  }
  return total;
}

/** A container may remove a directory while it is looked at. */
function tryOpen(dirfd: number, name: string): number | null {
  try {
    return openAt(dirfd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
  } catch {
    return null;
  }
}

interface Change {
  kind: 0 | 1 | 2;
  path: string;
}

/**
 * Docker's diff of an overlay upper directory against the layers below it (`lowerFd`: those mounted as one): added, deleted,
 * and modified, where a directory counts as modified when anything in it changed. What was copied up but is the same
 * as below does not count. `whole`: not an upper directory but a whole tree, where what is missing was deleted.
 */
export function compareUpper(job: { lowerFd: number; upper: string; whole?: boolean }): Change[] {
  const changes: Change[] = [];
  const visit = (fd: number, folder: string, below: number | null) => {
    const names = listDirectory(fd).sort((a, b) => compareNames(a.name, b.name));
    // An opaque directory hides all that was below, but what it has again.
    if (below !== null && (job.whole || isOpaque(fd))) {
      const present = new Set(names.map(({ name }) => name));
      for (const { name } of reread(below))
        if (!present.has(name)) changes.push({ kind: 2, path: `${folder}/${name}` });
    }
    for (const { name } of names) {
      const stat = statAt(fd, name);
      if (!stat) continue;
      const path = `${folder}/${name}`;
      const before = below === null ? null : statAt(below, name);
      const kind = stat.mode & S.IFMT;
      if (kind === S.IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0) {
        if (before) changes.push({ kind: 2, path });
        continue;
      }
      const at = changes.length;
      const change: Change | null = !before ? { kind: 1, path } : differs(stat, before) ? { kind: 0, path } : null;
      if (change) changes.push(change);
      if (kind !== S.IFDIR) continue;
      const child = tryOpen(fd, name);
      if (child === null) continue;
      const wasDirectory = before !== null && (before.mode & S.IFMT) === S.IFDIR;
      const childBelow = wasDirectory ? tryOpen(below!, name) : null;
      try {
        const inside = changes.length;
        visit(child, path, childBelow);
        if (!change && changes.length > inside) changes.splice(at, 0, { kind: 0, path });
      } finally {
        close(child);
        if (childBelow !== null) close(childBelow);
      }
    }
  };
  const upper = open(job.upper, O.RDONLY | O.DIRECTORY);
  const below = openat2(job.lowerFd, ".", { flags: O.RDONLY | O.DIRECTORY, resolve: RESOLVE.BENEATH });
  try {
    visit(upper, "", below);
  } finally {
    close(below);
    close(upper);
  }
  return changes.sort((a, b) => compareNames(a.path, b.path));
}

const reread = (fd: number) => {
  const again = openAt(fd, ".", O.RDONLY | O.DIRECTORY);
  try {
    return listDirectory(again);
  } finally {
    close(again);
  }
};

function differs(now: FileStat, before: FileStat): boolean {
  if (now.mode !== before.mode || now.uid !== before.uid || now.gid !== before.gid) return true;
  if (now.rdevMajor !== before.rdevMajor || now.rdevMinor !== before.rdevMinor) return true;
  if ((now.mode & S.IFMT) === S.IFDIR) return false;
  return now.mtime !== before.mtime || now.mtimeNsec !== before.mtimeNsec || now.size !== before.size;
}
