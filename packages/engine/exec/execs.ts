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
  /** Resolves when its exit code is known; null before it was started. */
  done: Promise<void> | null;
  /** Made before it was asked to start. */
  prepared: PreparedExec | null;
}

const KEEP_ENDED_MS = 5 * 60_000;
/** How often is looked for those: each look passes over all. */
const SWEEP_MS = 10_000;

/** All execs by ID. Ended ones are forgotten after some minutes, or with their container. */
export class Execs {
  private readonly byId = new Map<string, Exec>();
  private readonly byContainer = new Map<Container, Set<Exec>>();
  /** Since when each has had nothing to do, by a clock that nobody sets. */
  private readonly idleSince = new Map<Exec, number>();
  private sweptAt = performance.now();

  get size(): number {
    return this.byId.size;
  }

  add(exec: Exec): void {
    const { container } = exec;
    this.byId.set(exec.id, exec);
    this.idleSince.set(exec, performance.now());
    const all = this.byContainer.get(container);
    if (all === undefined) this.byContainer.set(container, new Set([exec]));
    else all.add(exec);
    container.execIds.add(exec.id);
    if (performance.now() - this.sweptAt > SWEEP_MS) this.sweep();
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
    exec.container.execIds.delete(exec.id);
    this.settle(exec);
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
      this.settle(exec);
    }
    container.execIds.clear();
  }

  forget(container: Container): void {
    for (const exec of this.byContainer.get(container) ?? []) this.drop(exec);
  }

  /** What ended is only its exit code any more. */
  private settle(exec: Exec): void {
    exec.task = null;
    if (this.idleSince.has(exec)) this.idleSince.set(exec, performance.now());
  }

  private drop(exec: Exec): void {
    this.byId.delete(exec.id);
    this.idleSince.delete(exec);
    exec.container.execIds.delete(exec.id);
    const all = this.byContainer.get(exec.container);
    all?.delete(exec);
    if (all?.size === 0) this.byContainer.delete(exec.container);
  }

  private sweep(): void {
    this.sweptAt = performance.now();
    for (const [exec, since] of this.idleSince) {
      if (!exec.running && this.sweptAt - since >= KEEP_ENDED_MS) this.drop(exec);
    }
  }
}
