import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { isErrno } from "@gantry/sys";
import { workers } from "../archive/workers.ts";
import { clearPlace, mountOverlay } from "./mount.ts";
import type { Snapshotter } from "./snapshotter.ts";

/**
 * Layers stacked by the kernel's overlay file system: nothing is copied before it is written to. `place`: a directory of ours,
 * see mountOverlay.
 */
export function overlay(place: string): Snapshotter {
  clearPlace(place);
  return {
    name: "overlay2",
    async prepare() {},
    layer: (lower, upper, work) => ({ lower, upper, work }),
    // Read-only, the writable layer is just the topmost lower one: right beside a running container's own mount.
    view: async (lower, upper, work, readonly) =>
      readonly ? mountOverlay([upper, ...lower], null, place) : mountOverlay(lower, { upper, work }, place),
    viewImage: async (lower) => mountOverlay(lower, null, place),
    async changes(lower, upper) {
      const below = mountOverlay(lower, null, place);
      try {
        return await workers.run("changes", { lowerFd: below.fd, upper });
      } finally {
        below.close();
      }
    },
    diff: async (_lower, upper) => ({ path: upper, temporary: false }),
  };
}

/** Whether overlay can be mounted with its writable part below this directory, tried out. */
export function overlayWorks(directory: string): boolean {
  const base = `${directory}/.probe-${randomUUID()}`;
  try {
    for (const name of ["lower", "upper", "work"]) mkdirSync(`${base}/${name}`, { recursive: true, mode: 0o700 });
    mkdirSync(`${base}/lower/folder`);
    writeFileSync(`${base}/lower/folder/file`, "");
    const upper = { upper: `${base}/upper`, work: `${base}/work` };
    const view = mountOverlay([`${base}/lower`], upper, `${base}/at`);
    try {
      // A removal needs a whiteout, a folder made anew a mark, which not every file system can hold; one that lists no
      // types of files shows whiteouts by name.
      const folder = `/proc/self/fd/${view.fd}/folder`;
      rmSync(`${folder}/file`);
      if (readdirSync(folder).length > 0) return false;
      rmdirSync(folder);
      mkdirSync(folder);
      return readdirSync(folder).length === 0;
    } finally {
      view.close();
    }
  } catch (error) {
    // A disk that is full at the moment says nothing about overlay.
    return isErrno(error, "ENOSPC", "EDQUOT");
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}
