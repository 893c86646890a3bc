import type { AttachRequest, AttachStream, ExitStatus, Task } from "@gantry/libcontainer";
import { messageOf } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { Mutex } from "../mutex.ts";
import type { PreparedStart } from "./prepare.ts";
import type { ContainerRecord, ContainerStateRecord } from "./record.ts";

/** Someone who attached before the container was started. */
export interface PendingAttach {
  request: AttachRequest;
  /** null: it will not start. */
  resolve(stream: AttachStream | null): void;
}

export interface ExitNotice {
  exitCode: number;
  error?: string;
}

/** A container in memory: its record, its state, and, while it runs, its task. */
export class Container {
  readonly engine: Engine;
  record: ContainerRecord;
  state: ContainerStateRecord;
  task: Task | null = null;
  /** Starts, removals, changes happen one after the other. */
  readonly lock = new Mutex();
  /** Resolves when the start or the pause that is under way is over; null while there is none. */
  changing: Promise<void> | null = null;
  /** What is being started: its task is made, and may run before it is known to. */
  beginning: Task | null = null;
  /** A restart by hand is under way: the end in its middle is no reason to remove the container, or to start it. */
  restartedByHand = false;
  pendingAttach: PendingAttach[] = [];
  /** Its task, where that was made ahead of the start. Whoever else touches its files discards it first. */
  prepared: PreparedStart | null = null;
  readonly execIds = new Set<string>();
  /** Resolves when the running task has been dealt with after its exit. */
  exited: Promise<void> | null = null;
  restartTimer: ReturnType<typeof setTimeout> | null = null;
  restartDelayMs = 0;
  removing = false;
  removed = false;
  /** Ends the health checks of the running task. */
  stopHealth: (() => void) | null = null;
  private exitListeners: ((notice: ExitNotice) => void)[] = [];
  private removalListeners: ((notice: ExitNotice) => void)[] = [];

  constructor(engine: Engine, record: ContainerRecord, state: ContainerStateRecord) {
    this.engine = engine;
    this.record = record;
    this.state = state;
  }

  get id(): string {
    return this.record.id;
  }
  get name(): string {
    return this.record.name;
  }
  get running(): boolean {
    return this.state.status === "running" || this.state.status === "paused";
  }
  get paused(): boolean {
    return this.state.status === "paused";
  }

  /** Does what makes it run, or pause, or go on. The caller holds the lock. */
  async change(work: () => Promise<void>): Promise<void> {
    const over = Promise.withResolvers<void>();
    this.changing = over.promise;
    try {
      await work();
    } finally {
      this.changing = null;
      over.resolve();
    }
  }

  /**
   * Resolves once no `change` is under way. Until then nobody can tell whether the container runs: its process may be
   * asking already. Whoever answers that, or acts on it, waits; a list does not.
   */
  async settled(): Promise<void> {
    while (this.changing !== null) await this.changing;
  }

  /** The container's directory on lasting storage. */
  get dir(): string {
    return `${this.engine.config.dataRoot}/containers/${this.id}`;
  }
  /** The running task's directory. */
  get stateDir(): string {
    return `${this.engine.config.execRoot}/containers/${this.id}`;
  }
  get exitFile(): string {
    return `${this.dir}/exit.json`;
  }
  get logPath(): string {
    return `${this.dir}/${this.id}-json.log`;
  }
  get shmPath(): string {
    return `${this.engine.config.execRoot}/shm/${this.id}`;
  }

  /**
   * Writes the state. A full disk must not keep an exit from those who wait for it: what could not be written is
   * logged, and found out again from the shim after a restart.
   */
  saveState(): void {
    this.write(() => this.engine.containers.store.saveState(this.id, this.state));
  }
  save(): void {
    this.write(() => this.engine.containers.store.save(this.record, this.state));
  }
  private write(work: () => void): void {
    if (this.removed) return;
    try {
      work();
    } catch (error) {
      this.engine.log("error", `container ${this.id}: its state could not be saved: ${messageOf(error)}`);
    }
  }

  /** Emits an event about this container, with its labels as attributes. */
  emit(action: string, extra: Record<string, string> = {}): void {
    this.engine.events.emit("container", action, this.id, {
      ...this.record.config.Labels,
      image: this.record.config.Image ?? "",
      name: this.name,
      ...extra,
    });
  }

  onExit(listener: (notice: ExitNotice) => void): () => void {
    this.exitListeners.push(listener);
    return () => {
      this.exitListeners = this.exitListeners.filter((other) => other !== listener);
    };
  }
  onRemoval(listener: (notice: ExitNotice) => void): () => void {
    this.removalListeners.push(listener);
    return () => {
      this.removalListeners = this.removalListeners.filter((other) => other !== listener);
    };
  }
  notifyExit(notice: ExitNotice): void {
    const listeners = this.exitListeners;
    this.exitListeners = [];
    for (const listener of listeners) listener(notice);
  }
  notifyRemoval(notice: ExitNotice): void {
    const listeners = this.removalListeners;
    this.removalListeners = [];
    for (const listener of listeners) listener(notice);
  }

  /** Tells those who attached early that nothing will come. */
  dropPendingAttach(): void {
    for (const pending of this.pendingAttach.splice(0)) pending.resolve(null);
  }
}

export type { ExitStatus };
