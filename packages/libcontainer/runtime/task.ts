import { conflict, type LinuxResources } from "@gantry/spec";
import type { CgroupManager } from "../cgroups/index.ts";
import type {
  AttachRequest,
  AttachStream,
  CgroupStats,
  ExecRequest,
  ExecTask,
  ExitStatus,
  Task,
  TaskStatus,
} from "../contract.ts";
import { compileExec } from "../plan/compile.ts";
import { Config } from "../plan/format.ts";
import { openAttachment } from "./attach.ts";
import { type ControlConnection, ShimError, ShimGone } from "./control.ts";
import { asStartError, GantryExec } from "./exec.ts";
import { ExecGate } from "./exec-gate.ts";
import { decodeExit, decodeState, Op, ShimState, signalBody, sizeBody } from "./protocol.ts";
import { readExit, removeStateDir, type TaskRecord } from "./state.ts";

const SIGKILL = 9;

/** What depends on who made the container: the shim itself, or another runtime under it. */
export interface TaskMaker {
  execPlan(request: ExecRequest): Uint8Array;
  /** The error of a failed start in the contract's terms. */
  startFailure(error: unknown): unknown;
  /** Lets go of what the maker keeps of a container that has ended. */
  cleanUp(): Promise<void>;
}

export const ownMaker: TaskMaker = {
  execPlan: ({ process }) => compileExec(process),
  startFailure: asStartError,
  cleanUp: async () => {},
};

/** A container whose shim runs, or has run. */
export class GantryTask implements Task {
  readonly id: string;
  readonly pid: number;
  readonly #stateDir: string;
  readonly #record: TaskRecord;
  readonly #cgroups: CgroupManager;
  /** null where the shim had gone before we came. */
  readonly #control: ControlConnection | null;
  readonly #maker: TaskMaker;
  readonly #execs = new ExecGate();
  /** The exit is known. */
  #ended = false;
  #exit: Promise<ExitStatus> | null = null;
  /** The shim has not answered yet. */
  #silent = false;

  constructor(
    record: TaskRecord,
    stateDir: string,
    cgroups: CgroupManager,
    control: ControlConnection | null,
    pid: number,
    maker: TaskMaker = ownMaker,
  ) {
    this.id = record.id;
    this.pid = pid;
    this.#record = record;
    this.#stateDir = stateDir;
    this.#cgroups = cgroups;
    this.#control = control;
    this.#maker = maker;
  }

  #request(op: number, id = "", body?: Uint8Array, flags = 0): Promise<Uint8Array> {
    return this.#control ? this.#control.request(op, id, body, flags) : Promise.reject(new ShimGone());
  }

  async #shimState(): Promise<ReturnType<typeof decodeState> | null> {
    try {
      return decodeState(await this.#request(Op.state));
    } catch (error) {
      if (error instanceof ShimGone) return null;
      throw error;
    }
  }

  /** Goes on without the shim's word until it answers, or is gone. */
  silentUntil(answer: Promise<unknown>): void {
    this.#silent = true;
    const heard = () => {
      this.#silent = false;
    };
    answer.then(heard, heard);
  }

  async status(): Promise<TaskStatus> {
    if (this.#silent) return this.#alive();
    const shim = await this.#shimState();
    if (!shim || shim.state >= ShimState.exited) return "stopped";
    if (shim.state < ShimState.running) return "created";
    return this.#alive();
  }

  #alive(): TaskStatus {
    return this.#record.cgroup && this.#cgroups.isFrozen(this.#record.cgroup) ? "paused" : "running";
  }

  async neverStarted(): Promise<boolean | null> {
    const state = await this.#shimState();
    return state === null ? null : !state.startAsked;
  }

  async start(): Promise<void> {
    try {
      await this.#request(Op.start);
    } catch (error) {
      throw this.#maker.startFailure(error);
    }
  }

  attach(request: AttachRequest): Promise<AttachStream> {
    return openAttachment(this.#stateDir, "", request);
  }

  async exec(request: ExecRequest): Promise<ExecTask> {
    const { id, process, openStdin, consoleSize } = request;
    const plan = this.#maker.execPlan(request);
    const body = new Uint8Array(4 + plan.length);
    body.set(sizeBody(consoleSize?.height ?? 0, consoleSize?.width ?? 0));
    body.set(plan, 4);
    const flags =
      (process.terminal ? Config.terminal : 0) |
      (openStdin ? Config.openStdin : 0) |
      (request.early === true ? Config.early : 0);
    try {
      await this.#execs.pass(() => this.#request(Op.exec, id, body, flags));
    } catch (error) {
      if (error instanceof ShimError) throw conflict(error.message, error);
      throw error;
    }
    return this.#execTask(id, 0);
  }

  #execTask(id: string, pid: number): GantryExec {
    const failure = this.#maker.startFailure.bind(this.#maker);
    return new GantryExec(id, this.#stateDir, this.#control!, this.#execs, pid, failure);
  }

  async findExec(id: string): Promise<ExecTask | null> {
    if (!id) return null;
    try {
      const { pid } = decodeState(await this.#request(Op.state, id));
      return this.#execTask(id, pid);
    } catch (error) {
      if (error instanceof ShimError || error instanceof ShimGone) return null;
      throw error;
    }
  }

  async resize(height: number, width: number): Promise<void> {
    await this.#request(Op.resize, "", sizeBody(height, width));
  }

  async kill(signal: number, all = false): Promise<void> {
    if (all && this.#record.cgroup) {
      this.#cgroups.signalAll(this.#record.cgroup, signal);
      // An init that was made this moment may not be in its cgroup yet: the shim knows it all the same.
      if (signal !== SIGKILL) return;
    }
    const sent = this.#request(Op.kill, "", signalBody(signal)).catch((error) => {
      if (!(error instanceof ShimGone)) throw error;
    });
    // a frozen process takes no signal; v1's freezer holds even SIGKILL back
    const thaws = signal === SIGKILL && this.#record.cgroup && this.#cgroups.isFrozen(this.#record.cgroup);
    await Promise.all([sent, thaws ? this.resume() : null]);
  }

  async pause(): Promise<void> {
    await this.#execs.close();
    try {
      await this.#cgroups.freeze(this.#record.cgroup);
    } catch (error) {
      this.#execs.open();
      throw error;
    }
  }

  async resume(): Promise<void> {
    await this.#cgroups.thaw(this.#record.cgroup);
    this.#execs.open();
  }

  async update(resources: LinuxResources): Promise<void> {
    this.#cgroups.update(this.#record.cgroup, resources);
  }

  async stats(): Promise<CgroupStats> {
    return this.#cgroups.stats(this.#record.cgroup);
  }

  async pids(): Promise<number[]> {
    return this.#cgroups.pids(this.#record.cgroup);
  }

  wait(): Promise<ExitStatus> {
    this.#exit ??= this.#request(Op.wait)
      .then(decodeExit, (error) => this.#exitWithoutShim(error))
      .then((status) => {
        this.#ended = true;
        this.#execs.open();
        return status;
      });
    return this.#exit;
  }

  /** The shim is gone: what it recorded, or an end by force. Nothing of a container outlives its shim. */
  async #exitWithoutShim(error: unknown): Promise<ExitStatus> {
    if (!(error instanceof ShimGone)) throw error;
    if (this.#record.cgroup) await this.#cgroups.killAll(this.#record.cgroup).catch(() => {});
    return (
      readExit(this.#record.exitFile) ?? {
        exitCode: 128 + SIGKILL,
        signal: SIGKILL,
        oomKilled: false,
        exitedAt: new Date().toISOString(),
      }
    );
  }

  async reopenLog(): Promise<void> {
    await this.#request(Op.reopenLog);
  }

  async delete(): Promise<void> {
    const { cgroup } = this.#record;
    // of an exit that we know of the shim need not be asked: it clears up while we do
    let removing: Promise<void> | null = this.#ended && cgroup ? this.#cgroups.remove(cgroup) : null;
    removing?.catch(() => {}); // told below; it must not count as unhandled until then
    try {
      await this.#request(Op.quit);
    } catch (error) {
      if (error instanceof ShimError) throw conflict(`cannot delete running task ${this.id}`, error);
      if (!(error instanceof ShimGone)) throw error;
      await this.#exitWithoutShim(error);
    }
    this.#control?.close();
    await this.#maker.cleanUp();
    if (cgroup) removing ??= this.#cgroups.remove(cgroup);
    await removing;
    removeStateDir(this.#stateDir);
  }
}
