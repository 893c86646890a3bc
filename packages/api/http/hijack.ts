import { Duplex } from "node:stream";
import { unreadByPeer } from "@gantry/sys";
import type { Connection, RawSink } from "./connection.ts";

/** Bytes of input held before the socket is told to stop reading. */
const HIGH_WATER = 1 << 18;

/** How long output waits for a client that has not read the answer's head, in milliseconds. */
const HEAD_PATIENCE = 50;

/**
 * A connection taken over from HTTP: bytes both ways, each direction closed on its own. Input is read by `read` or by
 * iterating; or the whole is handed on as a Node `Duplex` (HTTP/2 over it).
 */
export class Hijacked implements AsyncIterable<Uint8Array> {
  private readonly connection: Connection;
  private queue: Uint8Array[] = [];
  private queued = 0;
  private ended = false;
  private gone = false;
  private wake: (() => void) | null = null;
  private onGone: (() => void)[] = [];

  constructor(connection: Connection) {
    this.connection = connection;
    const sink: RawSink = {
      data: (chunk) => {
        this.queue.push(chunk);
        this.queued += chunk.length;
        if (this.queued > HIGH_WATER) connection.pause();
        this.notify();
      },
      end: () => {
        this.ended = true;
        this.notify();
      },
      closed: () => {
        this.ended = true;
        this.gone = true;
        this.notify();
        for (const listener of this.onGone.splice(0)) listener();
      },
    };
    connection.hijack(sink);
  }

  private notify(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  /** Whether the peer is wholly gone (not only half-closed). */
  get closed(): boolean {
    return this.gone;
  }

  /** Calls back once the connection is wholly closed. */
  whenClosed(listener: () => void): void {
    if (this.gone) listener();
    else this.onGone.push(listener);
  }

  /** The next piece of input; null once the peer has half-closed. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk = this.queue.shift();
      if (chunk !== undefined) {
        const before = this.queued;
        this.queued -= chunk.length;
        if (before > HIGH_WATER && this.queued <= HIGH_WATER) this.connection.resume();
        return chunk;
      }
      if (this.ended) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
  }

  /** Sends bytes; await the result, where there is one, for back-pressure. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    return this.connection.write(chunk);
  }

  /**
   * Resolves once the client has read the answer's head, or had time to. Clients exist that read the head through a buffer
   * and the stream past it, straight from the socket (docker-py): what came in one read with the head is lost to them.
   * Docker is too slow to meet them; we wait.
   */
  async headTaken(): Promise<void> {
    const { fd } = this.connection.socket as unknown as { fd: number };
    const end = performance.now() + HEAD_PATIENCE;
    while (!this.gone && unreadByPeer(fd) > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Half-closes our side. */
  endWrite(): void {
    this.connection.endWrite();
  }

  /** Closes once everything written has gone out. */
  close(): void {
    this.connection.finish();
  }

  /** The connection as a Node stream. */
  duplex(): Duplex {
    const self = this;
    let reading = false;
    const stream = new Duplex({
      allowHalfOpen: true,
      read() {
        if (reading) return;
        reading = true;
        self.read().then((chunk) => {
          reading = false;
          stream.push(chunk === null ? null : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        });
      },
      write(chunk: Buffer, _encoding, callback) {
        // Node may reuse its buffer after the callback: the connection keeps what the socket did not take.
        const full = self.write(chunk);
        if (full === undefined) callback();
        else full.then(() => callback());
      },
      final(callback) {
        self.endWrite();
        callback();
      },
      destroy(error, callback) {
        self.connection.close();
        callback(error);
      },
    });
    this.whenClosed(() => stream.destroy());
    return stream;
  }
}
