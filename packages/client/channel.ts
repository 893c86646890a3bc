/** A queue of byte chunks between a pushing producer and one pulling consumer, that tells the producer to hold on. */
export class Channel implements AsyncIterable<Uint8Array> {
  #chunks: Uint8Array[] = [];
  #queued = 0;
  #done = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;
  #paused = false;
  #flow: { pause(): void; resume(): void; cancel(): void };

  constructor(flow: { pause(): void; resume(): void; cancel(): void }) {
    this.#flow = flow;
  }

  /** Adds a chunk; beyond 1 MiB unread the producer is paused. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#queued += chunk.length;
    if (this.#queued > HIGH_WATER && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    this.#signal();
  }

  /** No more chunks come; with an error where the end is not a good one. */
  finish(error?: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#error = error;
    this.#signal();
  }

  get finished(): boolean {
    return this.#done;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk) {
          this.#queued -= chunk.length;
          if (this.#paused && this.#queued === 0) {
            this.#paused = false;
            this.#flow.resume();
          }
          yield chunk;
        } else if (this.#done) {
          if (this.#error) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      if (!this.#done) this.#flow.cancel();
    }
  }

  #signal(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

const HIGH_WATER = 1 << 20;
