import { existsSync } from "node:fs";
import { conflict, type LinuxDeviceCgroup, type LinuxResources, notFound, systemError } from "@gantry/spec";
import { isErrno } from "@gantry/sys";
import type { CgroupStats } from "../contract.ts";
import { setDeviceProgram } from "./bpf.ts";
import { devicePolicy } from "./devices.ts";
import { compileDevicePolicy } from "./devices-ebpf.ts";
import { makeDirectory, readFlatKeyed, removeDirectory, tryRead, writeValue } from "./file.ts";
import { cgroupPath } from "./path.ts";
import { allPids, killUntilEmpty, removeTrees, signalPids, until } from "./processes.ts";
import { applyV2 } from "./settings-v2.ts";
import { statsV2 } from "./stats-v2.ts";
import { enableControllers } from "./subtree.ts";
import type { CgroupManager, CgroupMode, PreparedCgroup } from "./types.ts";

const FREEZE_LIMIT = 10_000;
const KILL_LIMIT = 10_000;
const REMOVE_LIMIT = 5_000;

/** Sets or lifts the device program of a cgroup directory. A seam for trees that are not the kernel's. */
export type SetDevices = (directory: string, program: Uint8Array | null) => void;

/** In a user namespace (rootless) bpf(2) is refused, and devices cannot be made there anyhow. */
function inUserNamespace(): boolean {
  const [inside, outside, size] = (tryRead("/proc/self/uid_map") ?? "0 0 4294967295").trim().split(/\s+/).map(Number);
  return inside !== 0 || outside !== 0 || size !== 4294967295;
}

/** Drives the one hierarchy of v2. */
export class CgroupsV2 implements CgroupManager {
  readonly mode: CgroupMode = "v2";
  readonly controllers: ReadonlySet<string>;
  readonly #root: string;
  readonly #setProgram: SetDevices;

  constructor(root: string, setProgram: SetDevices = setDeviceProgram) {
    this.#root = root;
    this.#setProgram = setProgram;
    this.controllers = new Set((tryRead(`${root}/cgroup.controllers`) ?? "").trim().split(/\s+/).filter(Boolean));
  }

  #directory(path: string): string {
    return `${this.#root}/${cgroupPath(path)}`;
  }

  #existing(path: string): string {
    const directory = this.#directory(path);
    if (!existsSync(directory)) throw notFound(`cgroup ${cgroupPath(path)} does not exist`);
    return directory;
  }

  #describe(directory: string): PreparedCgroup {
    return {
      directories: new Map([["", directory]]),
      joinFiles: [],
      procsFiles: [`${directory}/cgroup.procs`],
      directory,
      oom: this.controllers.has("memory") ? { file: `${directory}/memory.events`, eventControl: null } : null,
    };
  }

  prepare(path: string, resources: LinuxResources): PreparedCgroup {
    const relative = cgroupPath(path);
    const directory = `${this.#root}/${relative}`;
    const made: string[] = [];
    const note = (one: string) => made.push(one);
    try {
      if (!makeDirectory(directory, note)) this.#makeAnew(directory, note);
      enableControllers(this.#root, relative, this.controllers);
      applyV2(directory, resources, this.controllers);
      if (resources.devices?.length) this.#setDevices(directory, resources.devices);
    } catch (error) {
      for (const one of made.reverse()) {
        try {
          removeDirectory(one);
        } catch {
          // A parent that another container has come to in the meantime.
        }
      }
      throw error;
    }
    return this.#describe(directory);
  }

  /** What a crash left of it would bring old limits with it. */
  #makeAnew(directory: string, made: (path: string) => void): void {
    try {
      removeDirectory(directory);
      makeDirectory(directory, made);
    } catch (error) {
      if (!isErrno(error, "EBUSY")) throw error;
      const count = allPids(directory).length;
      if (count) throw conflict(`container's cgroup is not empty: ${count} process(es) found`);
    }
  }

  #setDevices(directory: string, rules: LinuxDeviceCgroup[]): void {
    const policy = devicePolicy(rules);
    const everything = policy.allowByDefault && policy.exceptions.length === 0;
    try {
      this.#setProgram(directory, everything ? null : compileDevicePolicy(policy));
    } catch (error) {
      if (!isErrno(error, "EPERM") || !inUserNamespace()) throw error;
    }
  }

  find(path: string): PreparedCgroup {
    return this.#describe(this.#existing(path));
  }

  update(path: string, resources: LinuxResources): void {
    const directory = this.#existing(path);
    applyV2(directory, resources, this.controllers);
    if (resources.devices?.length) this.#setDevices(directory, resources.devices);
  }

  stats(path: string): CgroupStats {
    return statsV2(this.#existing(path));
  }

  pids(path: string): number[] {
    return allPids(this.#directory(path));
  }

  async freeze(path: string): Promise<void> {
    const directory = this.#existing(path);
    writeValue(`${directory}/cgroup.freeze`, "1");
    if (await until(() => readFlatKeyed(`${directory}/cgroup.events`).frozen === 1, FREEZE_LIMIT)) return;
    writeValue(`${directory}/cgroup.freeze`, "0");
    throw systemError("unable to freeze");
  }

  async thaw(path: string): Promise<void> {
    const directory = this.#existing(path);
    writeValue(`${directory}/cgroup.freeze`, "0");
    if (!(await until(() => readFlatKeyed(`${directory}/cgroup.events`).frozen !== 1, FREEZE_LIMIT)))
      throw systemError("unable to thaw");
  }

  isFrozen(path: string): boolean {
    return tryRead(`${this.#directory(path)}/cgroup.freeze`)?.trim() === "1";
  }

  signalAll(path: string, signal: number): void {
    signalPids(this.#directory(path), signal);
  }

  async killAll(path: string): Promise<void> {
    const directory = this.#directory(path);
    if (!existsSync(directory)) return;
    // Linux 5.14; it takes frozen and forking processes too.
    if (existsSync(`${directory}/cgroup.kill`)) writeValue(`${directory}/cgroup.kill`, "1");
    else if (this.isFrozen(path)) await this.#killFrozen(path, directory);
    await killUntilEmpty(directory, KILL_LIMIT);
  }

  async #killFrozen(path: string, directory: string): Promise<void> {
    signalPids(directory, 9);
    await this.thaw(path);
  }

  async remove(path: string): Promise<void> {
    await removeTrees([this.#directory(path)], REMOVE_LIMIT);
  }

  exists(path: string): boolean {
    return existsSync(this.#directory(path));
  }
}
