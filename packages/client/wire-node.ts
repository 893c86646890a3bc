import type { Duplex } from "node:stream";
import { deaf, type Wire, type WireListener } from "./wire.ts";

/** A wire over any Node duplex stream: net and TLS sockets, a child's stdio. */
export class NodeWire implements Wire {
  listener: WireListener = deaf;
  #stream: Duplex;
  constructor(stream: Duplex) {
    this.#stream = stream;
    let error: Error | undefined;
    stream.on("data", (chunk: Uint8Array) => this.listener.data(chunk));
    stream.on("end", () => this.listener.end());
    stream.on("error", (cause) => {
      error = cause;
    });
    stream.on("drain", () => this.listener.drain());
    stream.on("close", () => this.listener.close(error));
  }
  write(data: Uint8Array): boolean {
    return this.#stream.write(data);
  }
  end(): void {
    this.#stream.end();
  }
  destroy(): void {
    this.#stream.destroy();
  }
  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }
  ref(): void {
    (this.#stream as { ref?: () => void }).ref?.();
  }
  unref(): void {
    (this.#stream as { unref?: () => void }).unref?.();
  }
}
