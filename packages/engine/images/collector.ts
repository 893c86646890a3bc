import type { Storage } from "@gantry/storage";

/** How long what an unfinished pull or load has brought waits for its next try, in milliseconds. */
const GRACE = 3_600_000;

/** Runs `storage.collect` in the background, once for all the removals of a moment, never twice at a time. */
export class Collector {
  readonly #storage: Pick<Storage, "collect">;
  readonly #later: (what: string, work: Promise<unknown>) => void;
  readonly #delay: number;
  readonly #grace: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abandoned: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<unknown> | undefined;

  /** `grace` and `delay` in milliseconds. */
  constructor(
    storage: Pick<Storage, "collect">,
    later: (what: string, work: Promise<unknown>) => void,
    grace = GRACE,
    delay = 500,
  ) {
    this.#storage = storage;
    this.#later = later;
    this.#delay = delay;
    this.#grace = grace;
  }

  /** Something was begun and not ended: what it brought is for the next try, and collected where none comes. */
  abandoned(): void {
    clearTimeout(this.#abandoned);
    this.#abandoned = setTimeout(() => this.soon(), this.#grace);
    this.#abandoned.unref?.();
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
