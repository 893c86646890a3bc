import { makeDirectory, readText, writeValue } from "./file.ts";

/**
 * Fills cpuset.cpus and cpuset.mems of each cgroup on the way down, and of the last one, from the one above: v1 leaves
 * them empty, and takes no process into a cgroup where they are.
 */
export function ensureCpuset(mountPoint: string, relative: string): void {
  let parent = mountPoint;
  for (const part of relative.split("/")) {
    const directory = `${parent}/${part}`;
    makeDirectory(directory, () => {});
    for (const name of ["cpuset.cpus", "cpuset.mems"]) {
      if (readText(`${directory}/${name}`).trim() === "")
        writeValue(`${directory}/${name}`, readText(`${parent}/${name}`).trim());
    }
    parent = directory;
  }
}
