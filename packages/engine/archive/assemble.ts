import { mkdirSync, rmdirSync } from "node:fs";
import { posix } from "node:path";
import type { RootView } from "@gantry/storage";
import {
  AT,
  close,
  isErrno,
  MNT,
  MOUNT_ATTR,
  MOVE_MOUNT,
  MS,
  mkdirat,
  mknodat,
  mount as mountAt,
  mountSetattr,
  moveMount,
  O,
  OPEN_TREE,
  open,
  openat2,
  openTree,
  RESOLVE,
  S,
  statx,
  umount,
} from "@gantry/sys";
import type { Container } from "../containers/container.ts";
import type { ContainerMount } from "../containers/record.ts";
import type { Engine } from "../engine.ts";
import { acquireHostMounts, mountedAt, releaseHostMounts } from "../volumes/host-mounts.ts";

/**
 * The root of a container that does not run, as it would be seen inside: its volumes, bind mounts and images in their places (what is
 * in memory only, a tmpfs, is not there). A detached mount; `close` does away with it.
 */
export async function assembleRoot(engine: Engine, container: Container, write: boolean): Promise<RootView> {
  await container.prepared?.discard();
  const { layers } = engine.storage;
  const mounts = container.record.mounts
    .map((mount, index) => ({ mount, index }))
    .filter(({ mount }) => mount.type !== "tmpfs")
    .sort((a, b) => a.mount.destination.length - b.mount.destination.length);
  const see = () => layers.view(container.id, write ? {} : { readonly: true });
  if (mounts.length === 0) return see();

  await acquireHostMounts(engine, container);
  const sources: Source[] = [];
  try {
    for (const { mount, index } of mounts) {
      const source = mountedAt(engine, container, mount, index);
      const fd = openTree(AT.FDCWD, source, OPEN_TREE.CLONE | AT.RECURSIVE);
      sources.push({ fd, mount, directory: (statx(fd, "").mode & S.IFMT) === S.IFDIR });
    }
    let view = await see();
    if (sources.some((source) => !hasPlace(view.fd, source))) {
      // A container that never ran has no places for them yet.
      view.close();
      const writable = await layers.view(container.id);
      try {
        for (const source of sources) makePlace(writable.fd, source);
      } finally {
        writable.close();
      }
      view = await see();
    }
    try {
      const fd = joined(`${engine.config.execRoot}/copies-${container.id}`, view.fd, sources);
      return { fd, close: () => close(fd) };
    } finally {
      view.close();
    }
  } finally {
    for (const { fd } of sources) close(fd);
    releaseHostMounts(engine, container);
  }
}

interface Source {
  fd: number;
  mount: ContainerMount;
  directory: boolean;
}

/** Puts the sources into their places in a root, and returns all as one detached mount. Nothing waits in between. */
function joined(at: string, root: number, sources: Source[]): number {
  detach(at);
  mkdirSync(at, { recursive: true, mode: 0o700 });
  try {
    moveMount(root, "", AT.FDCWD, at, MOVE_MOUNT.F_EMPTY_PATH);
    mountAt("", at, "", MS.PRIVATE);
    const fd = open(at, O.PATH | O.DIRECTORY);
    try {
      for (const source of sources) attach(fd, source);
    } finally {
      close(fd);
    }
    return openTree(AT.FDCWD, at, OPEN_TREE.CLONE | AT.RECURSIVE);
  } finally {
    detach(at);
    rmdirSync(at);
  }
}

function detach(path: string): void {
  try {
    umount(path, MNT.DETACH);
  } catch {
    // Nothing there.
  }
}

function attach(root: number, source: Source): void {
  if (!source.mount.rw) {
    try {
      mountSetattr(source.fd, "", AT.EMPTY_PATH | AT.RECURSIVE, { set: MOUNT_ATTR.RDONLY });
    } catch (error) {
      // Before Linux 5.12 the check of the path has to do.
      if (!isErrno(error, "ENOSYS")) throw error;
    }
  }
  const target = place(root, source);
  if (target === null) return;
  try {
    moveMount(source.fd, "", target, "", MOVE_MOUNT.F_EMPTY_PATH | MOVE_MOUNT.T_EMPTY_PATH);
  } finally {
    close(target);
  }
}

/** Where a source goes in a root; null where nothing, or something of the other kind, is there. */
function place(root: number, { mount, directory }: Source): number | null {
  try {
    return openat2(root, mount.destination, {
      flags: O.PATH | (directory ? O.DIRECTORY : 0),
      resolve: RESOLVE.IN_ROOT,
    });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return null;
    throw error;
  }
}

function hasPlace(root: number, source: Source): boolean {
  const found = place(root, source);
  if (found !== null) close(found);
  return found !== null;
}

/** Makes the directories down to a place, and the place itself: a directory or an empty file. */
function makePlace(root: number, source: Source): void {
  const parts = source.mount.destination.split("/").filter((part) => part !== "");
  for (let depth = 1; depth <= parts.length; depth++) {
    const parent = openat2(root, posix.join("/", ...parts.slice(0, depth - 1)), {
      flags: O.PATH | O.DIRECTORY,
      resolve: RESOLVE.IN_ROOT,
    });
    const name = parts[depth - 1] as string;
    try {
      if (depth === parts.length && !source.directory) mknodat(parent, name, S.IFREG | 0o755);
      else mkdirat(parent, name, 0o755);
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    } finally {
      close(parent);
    }
  }
}
