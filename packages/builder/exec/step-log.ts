/** What a step tells while it is worked on. */
export type StepEvent =
  | { type: "started"; containerId: string }
  | { type: "output"; stream: "stdout" | "stderr"; data: Uint8Array }
  | { type: "message"; message: object };

/** Output kept for a reader who is not there yet; above this the step waits. Bytes. */
const LIMIT = 1 << 20;

/**
 * The events of one step. Steps run at the same time, but are shown one after the other: what comes early is kept, and
 * a step that says too much before it is its turn is held up rather than memory being filled.
 */
export class StepLog {
  private events: StepEvent[] = [];
  private size = 0;
  private ended = false;
  private wakeReader: (() => void) | null = null;
  private wakeWriters: (() => void)[] = [];

  /** Resolves when there is room for more. Never rejects. */
  async push(event: StepEvent): Promise<void> {
    if (this.ended) return;
    this.events.push(event);
    this.size += event.type === "output" ? event.data.length : 64;
    this.wakeReader?.();
    while (this.size > LIMIT && !this.ended) {
      await new Promise<void>((resolve) => this.wakeWriters.push(resolve));
    }
  }

  /** Nothing more comes. What was pushed is still read. */
  end(): void {
    this.ended = true;
    this.wakeReader?.();
    this.wake();
  }

  /** Events in order, until the end. One reader. */
  async *read(): AsyncGenerator<StepEvent> {
    for (;;) {
      const events = this.events;
      this.events = [];
      this.size = 0;
      this.wake();
      yield* events;
      if (this.events.length > 0) continue;
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
      this.wakeReader = null;
    }
  }

  private wake(): void {
    const writers = this.wakeWriters;
    this.wakeWriters = [];
    for (const wake of writers) wake();
  }
}
