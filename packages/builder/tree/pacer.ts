/** Keeps long work on the daemon's thread from holding up everybody else: gives way after a few milliseconds. */
export class Pacer {
  private since = performance.now();

  /** To be called between small pieces of work. */
  tick(): Promise<void> | undefined {
    if (performance.now() - this.since < 3) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.since = performance.now();
        resolve();
      });
    });
  }
}
