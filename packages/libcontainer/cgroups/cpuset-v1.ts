import { readText, tryRead, writeValue } from "./file.ts";

const FILES = ["cpuset.cpus", "cpuset.mems"];

/**
 * v1 leaves cpuset.cpus and cpuset.mems of a new cgroup empty, and takes no process into one where they are. In a
 * parent that we made the kernel is told to copy them to each child (cgroup.clone_children), which spares the start
 * of a container six file operations; elsewhere they are copied here.
 */
export class CpusetParents {
  readonly #cloning = new Set<string>();

  /** Fills what `made` says is new of the directories down to `relative`. */
  fill(mountPoint: string, relative: string, made: readonly string[]): void {
    const directory = `${mountPoint}/${relative}`;
    const parent = directory.slice(0, directory.lastIndexOf("/"));
    const parentIsNew = made.includes(parent);
    if (parentIsNew) this.#cloning.delete(parent);
    else if (this.#clones(mountPoint, parent)) return;
    let above = mountPoint;
    for (const part of relative.split("/")) {
      const current = `${above}/${part}`;
      for (const name of FILES)
        if (readText(`${current}/${name}`).trim() === "")
          writeValue(`${current}/${name}`, readText(`${above}/${name}`).trim());
      above = current;
    }
    if (parentIsNew) {
      writeValue(`${parent}/cgroup.clone_children`, "1");
      this.#cloning.add(parent);
    }
  }

  #clones(mountPoint: string, parent: string): boolean {
    if (this.#cloning.has(parent)) return true;
    if (parent === mountPoint || tryRead(`${parent}/cgroup.clone_children`)?.trim() !== "1") return false;
    this.#cloning.add(parent);
    return true;
  }
}
