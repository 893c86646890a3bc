import { mkdirSync } from "node:fs";
import {
  AT,
  close,
  fsconfigCreate,
  fsconfigString,
  fsmount,
  fsopen,
  MNT,
  MOVE_MOUNT,
  moveMount,
  umount,
} from "@gantry/sys";

/**
 * Mounts an overlay at a directory (made here) in the daemon's own namespace, where a runtime can bind it into a
 * container by path. `lower` topmost first, at least one; `scratch`: a directory that takes writes, thrown away later.
 */
export function mountOverlayAt(target: string, lower: readonly string[], scratch: string | null): void {
  mkdirSync(target, { recursive: true, mode: 0o700 });
  const context = fsopen("overlay");
  try {
    for (const path of lower) fsconfigString(context, "lowerdir+", path);
    if (scratch !== null) {
      mkdirSync(`${scratch}/upper`, { recursive: true, mode: 0o755 });
      mkdirSync(`${scratch}/work`, { recursive: true, mode: 0o700 });
      fsconfigString(context, "upperdir", `${scratch}/upper`);
      fsconfigString(context, "workdir", `${scratch}/work`);
    }
    fsconfigCreate(context);
    const mount = fsmount(context);
    try {
      moveMount(mount, "", AT.FDCWD, target, MOVE_MOUNT.F_EMPTY_PATH);
    } finally {
      close(mount);
    }
  } finally {
    close(context);
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
