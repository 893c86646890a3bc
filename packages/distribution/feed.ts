/**
 * A stream that is written to from outside, one chunk at a time: `write` waits until the reader asks, which is when it is
 * done with the chunk before. After the reader has cancelled, or the feed was dropped or failed, writes do nothing.
 */
export class Feed {
  readonly stream: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #wake: (() => void) | undefined;
  #asked = false;
  #over = false;

  constructor() {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#asked = true;
          this.#resume();
        },
        cancel: () => this.drop(),
      },
      { highWaterMark: 0 },
    );
  }

  async write(chunk: Uint8Array): Promise<void> {
    while (!this.#asked && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#over) return;
    this.#asked = false;
    this.#controller.enqueue(chunk);
  }

  /** All has been written. */
  close(): void {
    if (!this.#over) this.#controller.close();
    this.drop();
  }

  /** The reader gets this error. */
  fail(error: Error): void {
    if (!this.#over) this.#controller.error(error);
    this.drop();
  }

  /** Lets a waiting writer go on, and ignores what it writes from now on: nobody reads any more. */
  drop(): void {
    this.#over = true;
    this.#resume();
  }

  #resume(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
