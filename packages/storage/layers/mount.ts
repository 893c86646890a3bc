import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import {
  AT,
  close,
  fsconfigCreate,
  fsconfigFlag,
  fsconfigString,
  fsmount,
  fsopen,
  isErrno,
  MNT,
  MOUNT_ATTR,
  MS,
  mount,
  mountSetattr,
  O,
  OPEN_TREE,
  open,
  openTree,
  umount,
} from "@gantry/sys";
import type { RootView } from "../contract.ts";

/**
 * Options every overlay of ours has, whoever mounts it: what is written to an upper directory must be valid as a lower
 * one afterwards, by itself, and readable as a plain diff (no renamed directories by reference, no metadata-only copies).
 */
export const OVERLAY_OPTIONS = { index: "off", redirect_dir: "off", metacopy: "off" } as const;

/** fsconfig(2) takes values of up to 255 bytes. */
const MAX_VALUE = 255;

/**
 * An overlay as a detached mount: it is in no mount table and goes with its last descriptor. `lower` topmost first. `place`:
 * a directory of ours (made here) where kernels before 6.7 mount it for the moment that it takes to detach it. Throws SysError.
 */
export function mountOverlay(lower: readonly string[], writable: UpperDirectories | null, place: string): RootView {
  // An overlay of one lower layer alone is no overlay: a read-only bind mount is the same.
  if (!writable && lower.length === 1) return bindReadOnly(lower[0]!);
  return mountByContext(lower, writable) ?? mountByPage(lower, writable, place);
}

/** Where an overlay's writes go, and the directory beside it that the kernel works in. */
export interface UpperDirectories {
  upper: string;
  work: string;
}

/** By fsconfig(2), a layer a call; null where the kernel has not that way. */
function mountByContext(lower: readonly string[], writable: UpperDirectories | null): RootView | null {
  const context = fsopen("overlay");
  const borrowed: number[] = [];
  const name = (path: string) => {
    if (Buffer.byteLength(path) <= MAX_VALUE) return path;
    const fd = open(path, O.PATH | O.DIRECTORY);
    borrowed.push(fd);
    return `/proc/self/fd/${fd}`;
  };
  try {
    if (!appendsLayers(context, () => name(lower[0]!))) return null;
    for (const path of lower.slice(1)) fsconfigString(context, "lowerdir+", name(path));
    if (writable) {
      fsconfigString(context, "upperdir", name(writable.upper));
      fsconfigString(context, "workdir", name(writable.work));
    } else {
      fsconfigFlag(context, "ro");
    }
    for (const [key, value] of Object.entries(OVERLAY_OPTIONS)) fsconfigString(context, key, value);
    fsconfigCreate(context);
    return viewOf(fsmount(context, writable ? 0 : MOUNT_ATTR.RDONLY));
  } finally {
    close(context);
    for (const fd of borrowed) close(fd);
  }
}

/**
 * Gives the first layer, and tells whether that went. Before 6.5 overlay had a context that takes any word and judges at the
 * end; before 6.7 none by which layers are given one at a time.
 */
function appendsLayers(context: number, first: () => string): boolean {
  const refused = (ask: () => void): boolean => {
    try {
      ask();
      return false;
    } catch (error) {
      if (isErrno(error, "EINVAL")) return true;
      throw error;
    }
  };
  if (!refused(() => fsconfigFlag(context, "no-such-option"))) return false;
  return !refused(() => fsconfigString(context, "lowerdir+", first()));
}

/** By mount(2), which takes all options on one page: directories are named by descriptors, which keeps them short. */
export function mountByPage(lower: readonly string[], writable: UpperDirectories | null, place: string): RootView {
  const borrowed: number[] = [];
  const name = (path: string) => {
    const fd = open(path, O.PATH | O.DIRECTORY);
    borrowed.push(fd);
    return `/proc/self/fd/${fd}`;
  };
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const at = mkdtempSync(`${place}/`);
  try {
    const options = [`lowerdir=${lower.map(name).join(":")}`];
    if (writable) options.push(`upperdir=${name(writable.upper)}`, `workdir=${name(writable.work)}`);
    for (const [key, value] of Object.entries(OVERLAY_OPTIONS)) options.push(`${key}=${value}`);
    mount("overlay", at, "overlay", writable ? 0 : MS.RDONLY, options.join(","));
    try {
      return viewOf(openTree(AT.FDCWD, at, OPEN_TREE.CLONE));
    } finally {
      umount(at, MNT.DETACH);
    }
  } finally {
    for (const fd of borrowed) close(fd);
    rmdirSync(at);
  }
}

/** Takes away what a daemon left in `place` that was killed in that moment. */
export function clearPlace(place: string): void {
  for (const name of existsSync(place) ? readdirSync(place) : []) {
    try {
      umount(`${place}/${name}`, MNT.DETACH);
    } catch {
      // Not mounted: only the directory was made.
    }
    rmdirSync(`${place}/${name}`);
  }
}

/** A directory by itself as a detached mount. */
export function bind(path: string): RootView {
  return viewOf(openTree(AT.FDCWD, path, OPEN_TREE.CLONE));
}

/** The same, read-only. */
export function bindReadOnly(path: string): RootView {
  const fd = openTree(AT.FDCWD, path, OPEN_TREE.CLONE);
  try {
    mountSetattr(fd, "", AT.EMPTY_PATH, { set: MOUNT_ATTR.RDONLY });
  } catch (error) {
    close(fd);
    throw error;
  }
  return viewOf(fd);
}

function viewOf(mountFd: number): RootView {
  // The mount's own descriptor is O_PATH; one that can be read is what callers want. The mount lives as long as it.
  let fd: number;
  try {
    fd = open(`/proc/self/fd/${mountFd}`, O.RDONLY | O.DIRECTORY);
  } catch (error) {
    close(mountFd);
    throw error;
  }
  let open_ = true;
  return {
    fd,
    close() {
      if (!open_) return;
      open_ = false;
      close(fd);
      close(mountFd);
    },
  };
}
