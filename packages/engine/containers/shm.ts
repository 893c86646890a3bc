import { mkdirSync, rmdirSync } from "node:fs";
import { MNT, MS, mount, umount } from "@gantry/sys";
import type { Container } from "./container.ts";

/**
 * /dev/shm of containers that share it: a tmpfs on the host, mounted into each of them. Private ones have their own,
 * mounted by the runtime.
 */
export const containerShm = {
  /** The host directory to mount at /dev/shm; null for a private one; "" for none. */
  acquire(container: Container): string | null {
    const { hostConfig } = container.record;
    const mode = hostConfig.IpcMode ?? "private";
    if (mode === "host") return "/dev/shm";
    if (mode === "none") return "";
    if (mode.startsWith("container:")) {
      const other = container.engine.containers.get(mode.slice(10));
      return other.record.hostConfig.IpcMode === "host" ? "/dev/shm" : other.shmPath;
    }
    if (mode !== "shareable") return null;
    mkdirSync(container.shmPath, { recursive: true, mode: 0o700 });
    mount(
      "shm",
      container.shmPath,
      "tmpfs",
      MS.NOEXEC | MS.NOSUID | MS.NODEV,
      `mode=1777,size=${hostConfig.ShmSize ?? 64 << 20}`,
    );
    return container.shmPath;
  },

  release(container: Container): void {
    if (container.record.hostConfig.IpcMode !== "shareable") return;
    try {
      umount(container.shmPath, MNT.DETACH);
    } catch {
      // Not mounted.
    }
    try {
      rmdirSync(container.shmPath);
    } catch {
      // Not there.
    }
  },
};
