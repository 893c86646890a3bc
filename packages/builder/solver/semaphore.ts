/** At most `limit` at a time. */
export class Semaphore {
  private waiting: (() => void)[] = [];
  private held = 0;

  constructor(private readonly limit: number) {}

  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    while (this.held >= this.limit) {
      signal.throwIfAborted();
      await this.turn(signal);
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

  /** Resolves when one has ended, or the signal fires. Who gave up does not take the turn of another. */
  private async turn(signal: AbortSignal): Promise<void> {
    let wake = () => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const giveUp = () => {
      this.waiting = this.waiting.filter((other) => other !== wake);
      wake();
    };
    this.waiting.push(wake);
    signal.addEventListener("abort", giveUp, { once: true });
    await woken;
    signal.removeEventListener("abort", giveUp);
  }
}
