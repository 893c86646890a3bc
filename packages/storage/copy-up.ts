import { close } from "@gantry/sys";
import { duplicate } from "./archive/descriptor.ts";
import { workers } from "./archive/workers.ts";

/**
 * Fills a new volume with what an image has at the mount's path: content, owners, modes, times and attributes, those of the
 * directory itself too. `rootFd`: a view of the container's root (may be closed after the call); `path` is resolved inside
 * it. A volume that holds anything is left alone, as is one for a path that is no directory. Returns whether it was filled.
 */
export async function copyUp(rootFd: number, path: string, volumeDirectory: string): Promise<boolean> {
  const fd = duplicate(rootFd);
  try {
    return await workers.run("copyUp", { rootFd: fd, path, target: volumeDirectory });
  } finally {
    close(fd);
  }
}
