import { existsSync } from "node:fs";
import { conflict, type LinuxDeviceCgroup, type LinuxResources, notFound, systemError } from "@gantry/spec";
import { isErrno } from "@gantry/sys";
import type { CgroupStats } from "../contract.ts";
import { CpusetParents } from "./cpuset-v1.ts";
import type { CgroupLayout, Hierarchy } from "./detect.ts";
import { setDevicesV1 } from "./devices-v1.ts";
import { makeDirectory, readText, removeDirectory, tryRead, writeValue } from "./file.ts";
import { cgroupPath } from "./path.ts";
import { allPids, killUntilEmpty, removeTrees, signalPids, until } from "./processes.ts";
import { applyV1 } from "./settings-v1.ts";
import { statsV1 } from "./stats-v1.ts";
import type { CgroupManager, CgroupMode, PreparedCgroup } from "./types.ts";

const SIGKILL = 9;
const FREEZE_LIMIT = 10_000;
const KILL_LIMIT = 10_000;
const REMOVE_LIMIT = 5_000;

/**
 * Drives v1 hierarchies: one directory of the same path in each, those without limits too. Programs look for them
 * (the JVM wants cpuset), and a process must not stay in the daemon's, be it systemd's.
 */
export class CgroupsV1 implements CgroupManager {
  readonly mode: CgroupMode;
  readonly controllers: ReadonlySet<string>;
  readonly #hierarchies: Hierarchy[];
  readonly #cpusets = new CpusetParents();

  constructor(layout: CgroupLayout) {
    this.mode = layout.mode;
    this.#hierarchies = layout.hierarchies;
    this.controllers = new Set(layout.hierarchies.flatMap((one) => one.controllers));
  }

  #hierarchyOf(controller: string): Hierarchy {
    const hierarchy = this.#hierarchies.find((one) => one.controllers.includes(controller));
    if (!hierarchy) throw systemError(`cannot set ${controller} limit: container could not join or create cgroup`);
    return hierarchy;
  }

  #directoryOf(relative: string): (controller: string) => string {
    return (controller) => `${this.#hierarchyOf(controller).mountPoint}/${relative}`;
  }

  /** The hierarchies in which this cgroup is. */
  #existing(relative: string): Hierarchy[] {
    return this.#hierarchies.filter((one) => existsSync(`${one.mountPoint}/${relative}`));
  }

  /** A directory in which there is one for certain, to list processes. */
  #listing(relative: string): string | null {
    for (const controller of ["pids", "memory", "devices", "freezer", "cpu"]) {
      const hierarchy = this.#hierarchies.find((one) => one.controllers.includes(controller));
      if (hierarchy) return `${hierarchy.mountPoint}/${relative}`;
    }
    const [any] = this.#existing(relative);
    return any ? `${any.mountPoint}/${relative}` : null;
  }

  #describe(relative: string, hierarchies: Iterable<Hierarchy>): PreparedCgroup {
    const directories = new Map<string, string>();
    const unique = new Set<string>();
    for (const one of hierarchies) {
      const directory = `${one.mountPoint}/${relative}`;
      unique.add(directory);
      for (const controller of one.controllers) directories.set(controller, directory);
    }
    const memory = directories.get("memory");
    return {
      directories,
      joinFiles: [...unique].map((directory) => `${directory}/tasks`),
      procsFiles: [...unique].map((directory) => `${directory}/cgroup.procs`),
      directory: null,
      oom: memory ? { file: `${memory}/memory.oom_control`, eventControl: `${memory}/cgroup.event_control` } : null,
    };
  }

  /** Makes the directory anew: what a crash left of it would bring old limits with it. */
  #make(hierarchy: Hierarchy, relative: string, made: string[]): void {
    const directory = `${hierarchy.mountPoint}/${relative}`;
    const before = made.length;
    const note = (path: string) => made.push(path);
    if (!makeDirectory(directory, note)) {
      try {
        removeDirectory(directory);
        makeDirectory(directory, note);
      } catch (error) {
        if (!isErrno(error, "EBUSY")) throw error;
        const count = allPids(directory).length;
        if (count) throw conflict(`container's cgroup is not empty: ${count} process(es) found`);
      }
    }
    if (hierarchy.controllers.includes("cpuset"))
      this.#cpusets.fill(hierarchy.mountPoint, relative, made.slice(before));
  }

  prepare(path: string, resources: LinuxResources): PreparedCgroup {
    const relative = cgroupPath(path);
    const made: string[] = [];
    try {
      for (const hierarchy of this.#hierarchies) this.#make(hierarchy, relative, made);
      applyV1(this.#directoryOf(relative), resources);
      if (resources.devices?.length) this.#setDevices(relative, resources.devices, true);
    } catch (error) {
      for (const directory of made.reverse()) {
        try {
          removeDirectory(directory);
        } catch {
          // A parent that another container has come to in the meantime.
        }
      }
      throw error;
    }
    return this.#describe(relative, this.#hierarchies);
  }

  #setDevices(relative: string, rules: LinuxDeviceCgroup[], fresh: boolean): void {
    setDevicesV1(this.#directoryOf(relative)("devices"), rules, fresh);
  }

  find(path: string): PreparedCgroup {
    const relative = cgroupPath(path);
    const existing = this.#existing(relative);
    if (existing.length === 0) throw notFound(`cgroup ${relative} does not exist`);
    return this.#describe(relative, existing);
  }

  update(path: string, resources: LinuxResources): void {
    const relative = cgroupPath(path);
    if (this.#existing(relative).length === 0) throw notFound(`cgroup ${relative} does not exist`);
    applyV1(this.#directoryOf(relative), resources);
    if (resources.devices?.length) this.#setDevices(relative, resources.devices, false);
  }

  stats(path: string): CgroupStats {
    return statsV1(this.find(path).directories);
  }

  pids(path: string): number[] {
    const directory = this.#listing(cgroupPath(path));
    return directory ? allPids(directory) : [];
  }

  #freezer(path: string): string {
    return `${this.#directoryOf(cgroupPath(path))("freezer")}/freezer.state`;
  }

  async freeze(path: string): Promise<void> {
    const file = this.#freezer(path);
    // The state stays FREEZING while a process is in a call that cannot be stopped, or new ones keep coming. Now and then
    // (one in some twenty containers that were just started, 6.18) it stays so for good, until thawed once.
    let attempts = 0;
    const attempt = () => {
      // Thawed until the next attempt: a process must get to run to come out of where it cannot be stopped.
      writeValue(file, ++attempts % 6 === 0 ? "THAWED" : "FROZEN");
      return readText(file).trim() === "FROZEN";
    };
    if (await until(attempt, FREEZE_LIMIT)) return;
    writeValue(file, "THAWED");
    throw systemError("unable to freeze");
  }

  async thaw(path: string): Promise<void> {
    writeValue(this.#freezer(path), "THAWED");
  }

  isFrozen(path: string): boolean {
    const state = tryRead(this.#freezer(path))?.trim();
    return state === "FROZEN" || state === "FREEZING";
  }

  signalAll(path: string, signal: number): void {
    const directory = this.#listing(cgroupPath(path));
    if (directory) signalPids(directory, signal);
  }

  async killAll(path: string): Promise<void> {
    const relative = cgroupPath(path);
    const directory = this.#listing(relative);
    if (!directory || !existsSync(directory)) return;
    const freezer = this.controllers.has("freezer") ? this.#freezer(path) : null;
    if (freezer && existsSync(freezer)) {
      // Frozen ones cannot fork away from the signal; it is taken when they thaw.
      writeValue(freezer, "FROZEN");
      try {
        signalPids(directory, SIGKILL);
      } finally {
        writeValue(freezer, "THAWED");
      }
    }
    await killUntilEmpty(directory, KILL_LIMIT);
  }

  async remove(path: string): Promise<void> {
    const relative = cgroupPath(path);
    const directories = new Set(this.#hierarchies.map((one) => `${one.mountPoint}/${relative}`));
    await removeTrees(directories, REMOVE_LIMIT);
  }

  exists(path: string): boolean {
    const directory = this.#listing(cgroupPath(path));
    return directory !== null && existsSync(directory);
  }
}
