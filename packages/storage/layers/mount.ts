import {
  AT,
  close,
  fsconfigCreate,
  fsconfigFlag,
  fsconfigString,
  fsmount,
  fsopen,
  MOUNT_ATTR,
  mountSetattr,
  O,
  OPEN_TREE,
  open,
  openTree,
  SysError,
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
 * An overlay as a detached mount: it is in no mount table and goes with its last descriptor. `lower` topmost first. Throws
 * SysError.
 */
export function mountOverlay(lower: readonly string[], writable?: { upper: string; work: string }): RootView {
  // An overlay of one lower layer alone is no overlay: a read-only bind mount is the same.
  if (!writable && lower.length === 1) return bindReadOnly(lower[0]!);
  const context = fsopen("overlay");
  const borrowed: number[] = [];
  const name = (path: string) => {
    if (Buffer.byteLength(path) <= MAX_VALUE) return path;
    const fd = open(path, O.PATH | O.DIRECTORY);
    borrowed.push(fd);
    return `/proc/self/fd/${fd}`;
  };
  try {
    setLower(context, lower, name);
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

function setLower(context: number, lower: readonly string[], name: (path: string) => string): void {
  try {
    for (const path of lower) fsconfigString(context, "lowerdir+", name(path));
  } catch (error) {
    // Kernels before 6.5 have only the joined form.
    if (!(error instanceof SysError) || error.errno !== 22) throw error;
    const short = lower.map((path) =>
      path.length * lower.length < MAX_VALUE ? path : name(path.padEnd(MAX_VALUE + 1, "/")),
    );
    fsconfigString(context, "lowerdir", short.join(":"));
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
