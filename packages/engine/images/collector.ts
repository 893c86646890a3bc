import type { Storage } from "@gantry/storage";

/** Runs `storage.collect` in the background, once for all the removals of a moment, never twice at a time. */
export class Collector {
  readonly #storage: Storage;
  readonly #later: (what: string, work: Promise<unknown>) => void;
  readonly #delay: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<unknown> | undefined;

  /** `delay` in milliseconds. */
  constructor(storage: Storage, later: (what: string, work: Promise<unknown>) => void, delay = 500) {
    this.#storage = storage;
    this.#later = later;
    this.#delay = delay;
  }

  soon(): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const work = (this.#running ?? Promise.resolve()).catch(() => {}).then(() => this.#storage.collect());
      this.#running = work;
      this.#later("collecting unused layers", work);
    }, this.#delay);
    this.#timer.unref?.();
  }

  /** Collects at once what was asked for; resolves when nothing is left to do. */
  async flush(): Promise<void> {
    const wanted = this.#timer !== undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running?.catch(() => {});
    if (wanted) await this.#storage.collect();
  }
}
