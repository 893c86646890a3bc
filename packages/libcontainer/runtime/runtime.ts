import { existsSync } from "node:fs";
import { conflict, invalidParameter } from "@gantry/spec";
import { type CgroupManager, openCgroups, type PreparedCgroup } from "../cgroups/index.ts";
import type { CreateRequest, Runtime, Task } from "../contract.ts";
import { compilePlan } from "../plan/compile.ts";
import { shimBinary } from "../shim/binary.ts";
import { adoptTask } from "./adopt.ts";
import { ControlConnection } from "./control.ts";
import { asStartError } from "./exec.ts";
import { type ExternalOptions, ExternalRuntime } from "./external.ts";
import { decodePid, Op } from "./protocol.ts";
import { ShimProgram, spawnShim } from "./spawn.ts";
import {
  forgetExit,
  makeStateDir,
  mountPointOf,
  readRecord,
  removeStateDir,
  type TaskRecord,
  writeRecord,
} from "./state.ts";
import { GantryTask } from "./task.ts";

export const TASK_ID = /^[a-zA-Z0-9_.-]{1,64}$/;

export interface RuntimeOptions {
  /** The shim's executable; `npm run build:shim` makes it at packages/libcontainer/shim/build/gantry-shim. */
  shimPath?: string;
  cgroups?: CgroupManager;
}

/** The cgroup's path: absolute as given, systemd's "slice:prefix:name" as its directories, else by the id. */
export function cgroupPathOf(given: string | undefined, id: string): string {
  if (!given) return `/gantry/${id}`;
  const [slice, prefix, name, more] = given.split(":");
  if (name === undefined || more !== undefined) return given;
  return `/${slice || "system.slice"}/${prefix}-${name}.scope`;
}

/** Our own runtime: one gantry-shim per container. */
export class GantryRuntime implements Runtime {
  readonly name = "gantry";
  readonly #program: ShimProgram;
  readonly #cgroups: CgroupManager;

  constructor(options: Required<RuntimeOptions>) {
    this.#program = new ShimProgram(options.shimPath);
    this.#cgroups = options.cgroups;
  }

  async create(request: CreateRequest): Promise<Task> {
    const { id, spec, stateDir } = request;
    if (!TASK_ID.test(id)) throw invalidParameter(`invalid task id: ${JSON.stringify(id.slice(0, 80))}`);
    if (existsSync(stateDir) && readRecord(stateDir)) throw conflict(`task ${id} already exists`);
    const cgroup = cgroupPathOf(spec.linux?.cgroupsPath, id);
    const record: TaskRecord = { version: 1, id, exitFile: request.exitFile, cgroup, terminal: request.terminal };
    let prepared: PreparedCgroup | null = null;
    let control: ControlConnection | null = null;
    try {
      makeStateDir(stateDir);
      // First of all: whatever is left when we are killed from here on, cgroup or shim, is found again by it.
      writeRecord(stateDir, record);
      forgetExit(request.exitFile);
      prepared = this.#cgroups.prepare(cgroup, spec.linux?.resources ?? {});
      const plan = compilePlan({
        ...request,
        mountPoint: mountPointOf(stateDir),
        bundle: stateDir,
        cgroup: prepared,
        makeCwd: true,
      });
      spawnShim(this.#program, stateDir, plan);
      control = await ControlConnection.open(stateDir);
      const pid = decodePid(await control.request(Op.created));
      return new GantryTask(record, stateDir, this.#cgroups, control, pid);
    } catch (error) {
      await control?.request(Op.quit).catch(() => {});
      control?.close();
      if (prepared) {
        await this.#cgroups.killAll(cgroup).catch(() => {});
        await this.#cgroups.remove(cgroup).catch(() => {});
      }
      removeStateDir(stateDir);
      throw asStartError(error);
    }
  }

  /** Another OCI runtime behind the same interface, under the same shim. */
  external(options: ExternalOptions): Runtime {
    return new ExternalRuntime(options, this.#program, this.#cgroups);
  }

  find(id: string, stateDir: string, pid = 0): Promise<Task | null> {
    return adoptTask(id, stateDir, this.#cgroups, pid);
  }
}

/** Opens the runtime. Throws where the shim or the cgroups are missing. */
export function openRuntime(options: RuntimeOptions = {}): GantryRuntime {
  return new GantryRuntime({
    shimPath: options.shimPath ?? shimBinary,
    cgroups: options.cgroups ?? openCgroups(),
  });
}
