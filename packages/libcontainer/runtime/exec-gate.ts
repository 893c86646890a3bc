/** Milliseconds after which a shim that does not answer keeps nobody from pausing its container. */
const PATIENCE = 5000;

/**
 * Keeps pauses and the making of execs apart. The shim waits for each process that it brings forth in the container's
 * cgroup: one that is frozen before it is made would hold it up until the end of the pause, deaf to signals, and to all.
 */
export class ExecGate {
  readonly #making = new Set<Promise<unknown>>();
  #closed: PromiseWithResolvers<void> | null = null;

  /** Makes an exec, once the gate is open. */
  async pass<T>(make: () => Promise<T>): Promise<T> {
    while (this.#closed !== null) await this.#closed.promise;
    const made = make();
    this.#making.add(made);
    try {
      return await made;
    } finally {
      this.#making.delete(made);
    }
  }

  /** Resolves when no exec is being made, and none will be until `open`. */
  async close(): Promise<void> {
    this.#closed ??= Promise.withResolvers<void>();
    if (this.#making.size === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE);
    });
    await Promise.race([Promise.allSettled([...this.#making]), late]);
    clearTimeout(timer);
  }

  open(): void {
    this.#closed?.resolve();
    this.#closed = null;
  }
}
