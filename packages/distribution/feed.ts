/**
 * A stream that is written to from outside, with back-pressure: `write` resolves once the reader wants more. After the
 * reader has cancelled, or the feed was failed, writes are dropped.
 */
export class Feed {
  readonly stream: ReadableStream<Uint8Array>;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #wake: (() => void) | undefined;
  #over = false;

  /** `buffer`: bytes that may wait for the reader. */
  constructor(buffer = 1024 * 1024) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#resume(),
        cancel: () => this.#stop(),
      },
      { highWaterMark: buffer, size: (chunk) => chunk?.byteLength ?? 0 },
    );
  }

  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#controller.enqueue(chunk);
    if ((this.#controller.desiredSize ?? 1) > 0) return undefined;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** All has been written. */
  close(): void {
    if (!this.#over) this.#controller.close();
    this.#stop();
  }

  /** The reader gets this error. */
  fail(error: Error): void {
    if (!this.#over) this.#controller.error(error);
    this.#stop();
  }

  /** Lets a waiting writer go on, and drops what it writes from now on: nobody reads any more. */
  drop(): void {
    this.#stop();
  }

  #stop(): void {
    this.#over = true;
    this.#resume();
  }

  #resume(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
