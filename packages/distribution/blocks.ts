/** Bytes of a block. */
export const BLOCK = 1 << 20;

/** Blocks kept for the next download; more are left to the garbage collector. */
const KEPT = 8;
const free: Uint8Array[] = [];

/**
 * Gathers small chunks into blocks that are used over and over. What the network gives is freed at once: left to the
 * garbage collector, to which such chunks weigh little, some 60 MB of them lay about during a pull (measured).
 */
export class Blocks {
  readonly #blocks = [free.pop() ?? new Uint8Array(BLOCK), free.pop() ?? new Uint8Array(BLOCK)];
  readonly #send: (block: Uint8Array) => Promise<void>;
  #current = 0;
  #filled = 0;

  /**
   * `send` gets each full block, and the rest at `flush`. Once it has resolved, the block before the one it got must no
   * longer be in use: there are two, in turns.
   */
  constructor(send: (block: Uint8Array) => Promise<void>) {
    this.#send = send;
  }

  /** Bytes that have not been sent. */
  get pending(): number {
    return this.#filled;
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let taken = 0; taken < chunk.length; ) {
      const length = Math.min(BLOCK - this.#filled, chunk.length - taken);
      const piece = length === chunk.length ? chunk : chunk.subarray(taken, taken + length);
      this.#blocks[this.#current]!.set(piece, this.#filled);
      this.#filled += length;
      taken += length;
      if (this.#filled === BLOCK) await this.flush();
    }
    release(chunk);
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    const block = this.#blocks[this.#current]!.subarray(0, this.#filled);
    this.#filled = 0;
    this.#current = 1 - this.#current;
    await this.#send(block);
  }

  /** What was not sent is forgotten. */
  clear(): void {
    this.#filled = 0;
  }

  /** Gives the blocks back. Only once nothing reads them any more. */
  recycle(): void {
    while (free.length < KEPT && this.#blocks.length > 0) free.push(this.#blocks.pop()!);
  }
}

/** Frees a chunk's memory now, where it has its buffer for itself. */
function release(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (chunk.byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
