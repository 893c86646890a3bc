import { randomUUID } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { workers } from "../archive/workers.ts";
import { mountOverlay } from "./mount.ts";
import type { Snapshotter } from "./snapshotter.ts";

/** Layers stacked by the kernel's overlay file system: nothing is copied before it is written to. */
export const overlay: Snapshotter = {
  name: "overlay2",
  async prepare() {},
  layer: (lower, upper, work) => ({ lower, upper, work }),
  // Read-only, the writable layer is just the topmost lower one: right beside a running container's own mount.
  view: async (lower, upper, work, readonly) =>
    readonly ? mountOverlay([upper, ...lower]) : mountOverlay(lower, { upper, work }),
  viewImage: async (lower) => mountOverlay(lower),
  async changes(lower, upper) {
    const below = mountOverlay(lower);
    try {
      return await workers.run("changes", { lowerFd: below.fd, upper });
    } finally {
      below.close();
    }
  },
  diff: async (_lower, upper) => ({ path: upper, temporary: false }),
};

/** Whether overlay can be mounted with its writable part below this directory, tried out. */
export function overlayWorks(directory: string): boolean {
  const base = `${directory}/.probe-${randomUUID()}`;
  try {
    for (const name of ["lower", "upper", "work"]) mkdirSync(`${base}/${name}`, { recursive: true, mode: 0o700 });
    writeFileSync(`${base}/lower/file`, "");
    const view = mountOverlay([`${base}/lower`], { upper: `${base}/upper`, work: `${base}/work` });
    try {
      // A removal needs a whiteout, which not every file system can hold.
      rmSync(`/proc/self/fd/${view.fd}/file`);
    } finally {
      view.close();
    }
    return true;
  } catch {
    return false;
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}
