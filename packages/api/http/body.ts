import { GantryError, invalidParameter } from "@gantry/spec";

/** Bytes of body held in memory before the socket is told to stop reading. */
const HIGH_WATER = 1 << 20;

/**
 * A request's body as it arrives, with back-pressure to the socket. May be read once: whole (`bytes`, `text`) or as a
 * stream (`stream`, or by iterating).
 */
export class RequestBody implements AsyncIterable<Uint8Array> {
  private queue: Uint8Array[] = [];
  private queued = 0;
  private ended = false;
  private failure: Error | null = null;
  private wake: (() => void) | null = null;
  private wanted: (() => void) | null;
  /** Tells the connection to read on, or to stop. */
  private readonly flow: (readOn: boolean) => void;

  /** `onWanted` is called once, when someone first reads (for `100 Continue`). */
  constructor(flow: (readOn: boolean) => void, onWanted: (() => void) | null) {
    this.flow = flow;
    this.wanted = onWanted;
  }

  /** Whether all of it has arrived (read or not). */
  get complete(): boolean {
    return this.ended;
  }

  push(chunk: Uint8Array): void {
    if (this.failure !== null) return;
    this.queue.push(chunk);
    this.queued += chunk.length;
    if (this.queued > HIGH_WATER) this.flow(false);
    this.notify();
  }

  finish(): void {
    this.ended = true;
    this.notify();
  }

  /** Ends it early: the client went away, or sent rubbish. */
  fail(error: Error): void {
    if (this.ended) return;
    this.failure ??= error;
    this.queue = [];
    this.notify();
  }

  private notify(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  /** The next piece, or null at the end. Throws where the client went away in the middle. */
  async next(): Promise<Uint8Array | null> {
    const wanted = this.wanted;
    this.wanted = null;
    wanted?.();
    for (;;) {
      const chunk = this.queue.shift();
      if (chunk !== undefined) {
        const before = this.queued;
        this.queued -= chunk.length;
        if (before > HIGH_WATER && this.queued <= HIGH_WATER) this.flow(true);
        return chunk;
      }
      if (this.ended) return null;
      if (this.failure !== null) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.next(); chunk !== null; chunk = await this.next()) yield chunk;
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const chunk = await this.next();
          if (chunk === null) controller.close();
          else controller.enqueue(chunk);
        },
        cancel: () => this.fail(new GantryError("cancelled", "request body not wanted")),
      },
      { highWaterMark: 0 },
    );
  }

  /** The whole body. Throws invalidParameter above `limit` bytes. */
  async bytes(limit = 16 << 20): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let chunk = await this.next(); chunk !== null; chunk = await this.next()) {
      size += chunk.length;
      if (size > limit) throw invalidParameter("request body too large");
      parts.push(chunk);
    }
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }

  async text(limit?: number): Promise<string> {
    return Buffer.from(await this.bytes(limit)).toString("utf8");
  }
}
