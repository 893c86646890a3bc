import { availableParallelism } from "node:os";
import { type ErrorKind, GantryError, unavailable } from "@gantry/spec";
import { workerUrl } from "@gantry/sys";
import type { JobKind, Jobs } from "./jobs.ts";
import { StreamPlaces } from "./places.ts";
import type { RingMemory } from "./ring.ts";

/** How long an idle worker is kept, in milliseconds. A new one takes 5 ms. */
const IDLE = 5_000;
/** Jobs at a time that wait for somebody else's bytes; what is more than this waits. */
const MAX_STREAMING = 64;
/** How long one of them may stand still while others wait, in milliseconds. */
const PATIENCE = 30_000;

interface Slot {
  worker: Worker;
  timer: ReturnType<typeof setTimeout> | null;
}

interface Waiting {
  start: () => void;
}

/**
 * Threads for archive work. Jobs that only read and write files share two to four workers (20 MB each); jobs
 * that wait for a stream get one of their own, so that a slow client holds up nobody.
 */
export class Workers {
  private idle: Slot[] = [];
  private running = 0;
  private queue: Waiting[] = [];
  private readonly most = Math.max(2, Math.min(4, availableParallelism()));
  private readonly places: StreamPlaces;

  constructor({ streams = MAX_STREAMING, patience = PATIENCE } = {}) {
    this.places = new StreamPlaces(streams, patience);
  }

  /**
   * Runs a job to its end. Errors keep their kind. `streams`: it may wait long, for bytes from or for the main thread mostly, and gets
   * a worker of its own.
   */
  async run<K extends JobKind>(
    kind: K,
    job: Parameters<Jobs[K]>[0],
    options: { streams?: boolean } = {},
  ): Promise<ReturnType<Jobs[K]>> {
    if (options.streams) return this.stream(kind, job);
    if (this.running >= this.most) await new Promise<void>((start) => this.queue.push({ start }));
    else this.running++;
    try {
      return (await this.execute(kind, job)) as ReturnType<Jobs[K]>;
    } finally {
      const next = this.queue.shift();
      if (next) next.start();
      else this.running--;
    }
  }

  private async stream<K extends JobKind>(kind: K, job: Parameters<Jobs[K]>[0]): Promise<ReturnType<Jobs[K]>> {
    const rings = ringsOf(job);
    // What waits for the disk only is the house's own, and few.
    const place = rings.length === 0 ? null : await this.places.enter(rings);
    try {
      return (await this.execute(kind, job)) as ReturnType<Jobs[K]>;
    } catch (error) {
      if (place?.broken) throw unavailable("the archive stream stood still while others waited for its place", error);
      throw error;
    } finally {
      if (place !== null) this.places.leave(place);
    }
  }

  /** Ends all idle workers at once (tests, shutdown). */
  close(): void {
    for (const slot of this.idle.splice(0)) this.end(slot);
  }

  private execute(kind: JobKind, job: unknown): Promise<unknown> {
    const slot = this.idle.pop() ?? this.spawn();
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.timer = null;
    return new Promise((resolve, reject) => {
      slot.worker.ref();
      slot.worker.onmessage = (event: MessageEvent) => {
        const { result, error } = event.data as {
          result?: unknown;
          error?: { kind: ErrorKind; message: string; stack?: string };
        };
        this.park(slot);
        if (!error) return resolve(result);
        const thrown = new GantryError(error.kind, error.message);
        if (error.stack && error.kind === "system") thrown.stack = error.stack;
        reject(thrown);
      };
      // An uncaught error kills the worker: it is not parked again.
      slot.worker.onerror = (event: ErrorEvent) => {
        this.end(slot);
        reject(new GantryError("system", `archive worker: ${event.message}`));
      };
      slot.worker.postMessage({ kind, job });
    });
  }

  private spawn(): Slot {
    return { worker: new Worker(workerUrl("packages/storage/archive/worker.ts"), { smol: true }), timer: null };
  }

  private park(slot: Slot): void {
    slot.worker.onmessage = null;
    slot.worker.unref();
    slot.timer = setTimeout(() => {
      this.idle = this.idle.filter((other) => other !== slot);
      this.end(slot);
    }, IDLE);
    slot.timer.unref();
    this.idle.push(slot);
  }

  private end(slot: Slot): void {
    if (slot.timer !== null) clearTimeout(slot.timer);
    slot.worker.terminate();
  }
}

/** The pipes by which a job hears of or speaks to the main thread. */
function ringsOf(job: object): RingMemory[] {
  const { sink, source } = job as { sink?: RingMemory; source?: { ring?: RingMemory } };
  return [sink, source?.ring].filter((ring) => ring !== undefined);
}

/** The process's archive threads. */
export const workers = new Workers();
