import type { ExecTask } from "@gantry/libcontainer";
import { type ExecConfig, notFound } from "@gantry/spec";
import type { Container } from "../containers/container.ts";
import type { PreparedExec } from "./prepare.ts";

/** A process to be run, running, or ended in a container. Kept in memory: an exec does not outlive what asked for it. */
export interface Exec {
  id: string;
  container: Container;
  config: ExecConfig;
  running: boolean;
  exitCode: number | null;
  pid: number;
  task: ExecTask | null;
  startedAt: number;
  endedAt: number | null;
  /** Resolves when its exit code is known; null before it was started. */
  done: Promise<void> | null;
  /** Made before it was asked to start. */
  prepared: PreparedExec | null;
}

const KEEP_ENDED_MS = 5 * 60_000;
const SWEEP_ABOVE = 256;

/** All execs by ID. Ended ones are forgotten after some minutes, or with their container. */
export class Execs {
  private readonly byId = new Map<string, Exec>();

  add(exec: Exec): void {
    this.byId.set(exec.id, exec);
    exec.container.execIds.add(exec.id);
    if (this.byId.size > SWEEP_ABOVE) this.sweep();
  }

  /** Throws notFound. */
  get(id: string): Exec {
    const exec = this.byId.get(id);
    if (exec !== undefined) return exec;
    const found = [...this.byId.values()].filter((other) => id.length >= 12 && other.id.startsWith(id));
    if (found.length !== 1) throw notFound(`No such exec instance: ${id}`);
    return found[0] as Exec;
  }

  ended(exec: Exec, exitCode: number): void {
    exec.running = false;
    exec.exitCode = exitCode;
    exec.endedAt = Date.now();
    exec.container.execIds.delete(exec.id);
  }

  containerExited(container: Container): void {
    for (const id of [...container.execIds]) {
      const exec = this.byId.get(id);
      if (exec === undefined) continue;
      exec.prepared?.discard();
      if (exec.running) {
        exec.running = false;
        exec.exitCode ??= 137;
      }
      exec.endedAt = Date.now();
    }
    container.execIds.clear();
  }

  forget(container: Container): void {
    for (const [id, exec] of this.byId) if (exec.container === container) this.byId.delete(id);
  }

  private sweep(): void {
    const limit = Date.now() - KEEP_ENDED_MS;
    for (const [id, exec] of this.byId) {
      if (!exec.running && (exec.endedAt ?? exec.startedAt) < limit) {
        this.byId.delete(id);
        exec.container.execIds.delete(id);
      }
    }
  }
}
