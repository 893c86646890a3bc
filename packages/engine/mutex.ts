/** Runs work on one thing one after the other, in the order it was asked for. */
export class Mutex {
  private tail: Promise<unknown> = Promise.resolve();
  private held = 0;

  get busy(): boolean {
    return this.held > 0;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.tail;
    let release!: () => void;
    this.tail = new Promise<void>((resolve) => {
      release = resolve;
    });
    const waited = this.held > 0;
    this.held++;
    if (waited) await before;
    try {
      return await work();
    } finally {
      this.held--;
      release();
    }
  }
}
