/** At most `limit` at a time. */
export class Semaphore {
  private waiting: (() => void)[] = [];
  private held = 0;

  constructor(private readonly limit: number) {}

  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    while (this.held >= this.limit) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    this.held++;
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.held--;
      this.waiting.shift()?.();
    }
  }
}
