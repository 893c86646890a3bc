import { mkdirSync } from "node:fs";
import { mountOverlay } from "@gantry/storage";
import { AT, MNT, MOVE_MOUNT, moveMount, umount } from "@gantry/sys";

/**
 * Mounts an overlay at a directory (made here) in the daemon's own namespace, where a runtime can bind it into a
 * container by path. `lower` topmost first, at least one; `scratch`: a directory that takes writes, thrown away later.
 */
export function mountOverlayAt(target: string, lower: readonly string[], scratch: string | null): void {
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const upper = scratch === null ? null : { upper: `${scratch}/upper`, work: `${scratch}/work` };
  if (upper) {
    mkdirSync(upper.upper, { recursive: true, mode: 0o755 });
    mkdirSync(upper.work, { recursive: true, mode: 0o700 });
  }
  const view = mountOverlay(lower, upper, `${target}-place`);
  try {
    moveMount(view.fd, "", AT.FDCWD, target, MOVE_MOUNT.F_EMPTY_PATH);
  } finally {
    view.close();
  }
}

/** Takes such a mount away; nothing mounted is no error. */
export function unmountAt(target: string): void {
  try {
    umount(target, MNT.DETACH);
  } catch {
    // Not mounted, or not there.
  }
}
