import { readdirSync } from "node:fs";
import type { Digest } from "@gantry/spec";
import {
  AT,
  close,
  copyFileRange,
  fchmod,
  fchown,
  fchownat,
  getdents,
  isErrno,
  listxattr,
  getxattr,
  makedev,
  mkdirat,
  mknodat,
  O,
  open,
  openat,
  openat2,
  RESOLVE,
  readlinkat,
  S,
  type Stat,
  setxattr,
  statx,
  symlinkat,
  utimensat,
} from "@gantry/sys";
import type { Engine } from "../engine.ts";

/** Copies what the image has at each target into its (empty) volume: content, owners, modes, times, attributes. */
export async function copyUp(
  engine: Engine,
  diffIds: Digest[],
  volumes: { volume: string; target: string }[],
): Promise<void> {
  const wanted = volumes.filter(({ volume }) => readdirSync(volume).length === 0);
  if (wanted.length === 0) return;
  const view = await engine.storage.layers.viewImage(diffIds);
  try {
    for (const { volume, target } of wanted) {
      let from: number;
      try {
        from = openat2(view.fd, target, { flags: O.RDONLY | O.DIRECTORY, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS });
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) continue;
        throw error;
      }
      const to = open(volume, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
      try {
        await copyDirectory(from, to);
        finish(to, statx(from, ""));
      } finally {
        close(from);
        close(to);
      }
    }
  } finally {
    view.close();
  }
}

/** Entries copied between two turns of the event loop. */
const BATCH = 64;
let copied = 0;

async function copyDirectory(from: number, to: number): Promise<void> {
  for (const { name } of getdents(from)) {
    if (++copied % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
    const stat = statx(from, name);
    switch (stat.mode & S.IFMT) {
      case S.IFDIR: {
        mkdirat(to, name, 0o700);
        const source = openat(from, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
        const target = openat(to, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
        try {
          await copyDirectory(source, target);
          copyAttributes(source, target);
          finish(target, stat);
        } finally {
          close(source);
          close(target);
        }
        break;
      }
      case S.IFREG: {
        const source = openat(from, name, O.RDONLY | O.NOFOLLOW);
        const target = openat(to, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
        try {
          await copyBytes(source, target, stat.size);
          copyAttributes(source, target);
          finish(target, stat);
        } finally {
          close(source);
          close(target);
        }
        break;
      }
      case S.IFLNK:
        symlinkat(readlinkat(from, name), to, name);
        fchownat(to, name, stat.uid, stat.gid, AT.SYMLINK_NOFOLLOW);
        break;
      default:
        mknodat(to, name, stat.mode, makedev(stat.rdevMajor, stat.rdevMinor));
        fchownat(to, name, stat.uid, stat.gid, AT.SYMLINK_NOFOLLOW);
    }
  }
}

async function copyBytes(source: number, target: number, size: number): Promise<void> {
  for (let done = 0; done < size; ) {
    const count = copyFileRange(source, target, Math.min(size - done, 16 << 20));
    if (count === 0) break;
    done += count;
    if (done < size) await new Promise((resolve) => setImmediate(resolve));
  }
}

function copyAttributes(source: number, target: number): void {
  for (const name of listxattr(source)) {
    if (name.startsWith("trusted.overlay.")) continue;
    const value = getxattr(source, name);
    if (value === null) continue;
    try {
      setxattr(target, name, value);
    } catch (error) {
      if (!isErrno(error, "ENOTSUP", "EPERM")) throw error;
    }
  }
}

function finish(fd: number, stat: Stat): void {
  fchown(fd, stat.uid, stat.gid);
  fchmod(fd, stat.mode & 0o7777);
  utimensat(fd, "", stat.atimeNs, stat.mtimeNs);
}
