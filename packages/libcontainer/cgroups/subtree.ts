import { isErrno } from "@gantry/sys";
import { makeDirectory, readText, tryRead, writeValue } from "./file.ts";

/** Where the processes of an inner cgroup go, since v2 allows them in the leaves only. */
const EVACUATED = "gantry-init";

const words = (text: string) => text.trim().split(/\s+/).filter(Boolean);

function evacuate(directory: string): void {
  makeDirectory(`${directory}/${EVACUATED}`, () => {});
  for (const pid of words(readText(`${directory}/cgroup.procs`))) {
    try {
      writeValue(`${directory}/${EVACUATED}/cgroup.procs`, pid);
    } catch (error) {
      // It is gone, or it is a kernel thread that cannot be moved.
      if (!isErrno(error, "ESRCH", "EINVAL")) throw error;
    }
  }
}

function enable(directory: string, names: string[]): void {
  const file = `${directory}/cgroup.subtree_control`;
  const all = names.map((name) => `+${name}`).join(" ");
  try {
    writeValue(file, all);
    return;
  } catch (error) {
    // "No internal processes": as in a container that has no cgroup of its own above the daemon's.
    if (isErrno(error, "EBUSY")) evacuate(directory);
  }
  // One that is not to be had must not keep the others out; a limit that needs it fails by itself.
  for (const name of names) {
    try {
      writeValue(file, `+${name}`);
    } catch {}
  }
}

/** Enables controllers in each cgroup from the root down to the parent of `relative`, as far as each can have them. */
export function enableControllers(root: string, relative: string, controllers: ReadonlySet<string>): void {
  const parts = relative.split("/").slice(0, -1);
  const lacking = (directory: string) => {
    const enabled = words(tryRead(`${directory}/cgroup.subtree_control`) ?? "");
    return [...controllers].filter((name) => !enabled.includes(name));
  };
  // Usually the parent, made for the first container, has them all: one read.
  if (lacking([root, ...parts].join("/")).length === 0) return;
  let directory = root;
  for (const part of ["", ...parts]) {
    if (part) directory += `/${part}`;
    const available = words(tryRead(`${directory}/cgroup.controllers`) ?? "");
    const missing = lacking(directory).filter((name) => available.includes(name));
    if (missing.length) enable(directory, missing);
  }
}
