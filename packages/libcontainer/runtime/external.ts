import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { conflict, invalidParameter } from "@gantry/spec";
import type { CgroupManager, PreparedCgroup } from "../cgroups/index.ts";
import { type CreateRequest, type ExecRequest, type Runtime, StartError, type Task } from "../contract.ts";
import { compileExternal, compileExternalExec } from "../plan/external.ts";
import { adoptTask } from "./adopt.ts";
import { ControlConnection, ShimError } from "./control.ts";
import { decodePid, Op } from "./protocol.ts";
import { cgroupPathOf, TASK_ID } from "./runtime.ts";
import { type ShimProgram, spawnShim } from "./spawn.ts";
import { specText } from "./spec-text.ts";
import {
  forgetExit,
  makeStateDir,
  mountPointOf,
  readRecord,
  removeStateDir,
  type TaskRecord,
  writeRecord,
} from "./state.ts";
import { GantryTask, type TaskMaker } from "./task.ts";

export interface ExternalOptions {
  /** As `--runtime` names it. */
  name: string;
  /** Absolute path of the OCI runtime. */
  path: string;
  /** Arguments before the command, from daemon.json's `runtimeArgs`. */
  args?: readonly string[];
}

const LOG = "runtime.json";
const ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR=/run"];

/** The last error that a runtime wrote into its log. */
function lastError(directory: string): string | null {
  try {
    const lines = readFileSync(`${directory}/${LOG}`, "utf8").trim().split("\n").reverse();
    for (const line of lines) {
      const { level, msg } = JSON.parse(line) as { level?: string; msg?: string };
      if (level === "error" && msg) return msg;
    }
  } catch {
    // no log, or not JSON
  }
  return null;
}

/** Docker's exit code for what a runtime says: it has words only (moby maps them in the same way). */
function exitCodeOf(message: string): 125 | 126 | 127 {
  if (/executable file .*not found|no such file or directory|system cannot find/i.test(message)) return 127;
  if (/permission denied|not a directory|is a directory|exec format error/i.test(message)) return 126;
  return 125;
}

function failure(error: unknown, directory: string): unknown {
  if (!(error instanceof ShimError)) return error;
  const message = lastError(directory) ?? error.failure.message;
  return new StartError(message, exitCodeOf(message));
}

/** What differs from a container of ours: who starts execs, and who clears up. */
class ExternalMaker implements TaskMaker {
  readonly #command: string[];
  readonly #directory: string;
  readonly #id: string;

  constructor(command: string[], directory: string, id: string) {
    this.#command = command;
    this.#directory = directory;
    this.#id = id;
  }

  execPlan({ id, process }: ExecRequest): Uint8Array {
    const file = `${this.#directory}/${id}.process`;
    writeFileSync(file, specText(process), { mode: 0o600 });
    const console = process.terminal ? ["--console-socket", `${this.#directory}/${id}.tty`] : [];
    const pidFile = `${this.#directory}/${id}.pid`;
    return compileExternalExec([
      ...this.#command,
      "exec",
      "--detach",
      "--process",
      file,
      "--pid-file",
      pidFile,
      ...console,
      this.#id,
    ]);
  }

  startFailure(error: unknown): unknown {
    return failure(error, this.#directory);
  }

  async cleanUp(): Promise<void> {
    const child = Bun.spawn({
      cmd: [...this.#command, "delete", "--force", this.#id],
      stdio: ["ignore", "ignore", "ignore"],
      timeout: 30_000,
    });
    await child.exited;
  }
}

/** runc, crun or any other OCI runtime behind the same interface: our shim runs it and owns the container's stdio. */
export class ExternalRuntime implements Runtime {
  readonly name: string;
  readonly #options: ExternalOptions;
  readonly #program: ShimProgram;
  readonly #cgroups: CgroupManager;

  constructor(options: ExternalOptions, program: ShimProgram, cgroups: CgroupManager) {
    this.name = options.name;
    this.#options = options;
    this.#program = program;
    this.#cgroups = cgroups;
  }

  #command(stateDir: string): string[] {
    const { path, args = [] } = this.#options;
    const log = ["--log", `${stateDir}/external/${LOG}`, "--log-format", "json"];
    return [path, ...args, "--root", `${stateDir}/external/root`, ...log];
  }

  async create(request: CreateRequest): Promise<Task> {
    const { id, spec, rootfs, stateDir } = request;
    if (!TASK_ID.test(id)) throw invalidParameter(`invalid task id: ${JSON.stringify(id.slice(0, 80))}`);
    if (readRecord(stateDir)) throw conflict(`task ${id} already exists`);
    const cgroup = cgroupPathOf(spec.linux?.cgroupsPath, id);
    const directory = `${stateDir}/external`;
    const record: TaskRecord = { version: 1, id, exitFile: request.exitFile, cgroup, terminal: request.terminal };
    const command = this.#command(stateDir);
    const maker = new ExternalMaker(command, directory, id);
    let prepared: PreparedCgroup | null = null;
    let control: ControlConnection | null = null;
    try {
      makeStateDir(stateDir);
      // Before there is anything to find: as with our own.
      writeRecord(stateDir, record);
      forgetExit(request.exitFile);
      mkdirSync(`${directory}/root`, { recursive: true, mode: 0o700 });
      const path = rootfs.type === "overlay" ? mountPointOf(stateDir) : rootfs.path;
      const bundle = {
        ...spec,
        // the version that every runtime in use takes; newer fields are read regardless of it
        ociVersion: "1.0.2",
        root: { path, readonly: rootfs.readonly ?? spec.root?.readonly },
        process: { ...spec.process!, terminal: request.terminal, consoleSize: request.consoleSize },
        linux: { ...spec.linux, cgroupsPath: cgroup },
      };
      writeFileSync(`${directory}/config.json`, specText(bundle), { mode: 0o600 });
      prepared = this.#cgroups.prepare(cgroup, spec.linux?.resources ?? {});
      const console = request.terminal ? ["--console-socket", `${directory}/init.tty`] : [];
      const plan = compileExternal({
        request,
        rootfs,
        mountPoint: mountPointOf(stateDir),
        create: [...command, "create", "--bundle", directory, "--pid-file", `${directory}/init.pid`, ...console, id],
        start: [...command, "start", id],
        environment: ENVIRONMENT,
        directory,
        oomFile: prepared.oom?.file ?? "",
      });
      spawnShim(this.#program, stateDir, plan);
      control = await ControlConnection.open(stateDir);
      const pid = decodePid(await control.request(Op.created));
      return new GantryTask(record, stateDir, this.#cgroups, control, pid, maker);
    } catch (error) {
      const told = failure(error, directory);
      await control?.request(Op.quit).catch(() => {});
      control?.close();
      await maker.cleanUp().catch(() => {});
      if (prepared) await this.#cgroups.remove(cgroup).catch(() => {});
      removeStateDir(stateDir);
      throw told;
    }
  }

  find(id: string, stateDir: string, pid = 0): Promise<Task | null> {
    const maker = new ExternalMaker(this.#command(stateDir), `${stateDir}/external`, id);
    return adoptTask(id, stateDir, this.#cgroups, pid, maker);
  }
}
