import { Channel } from "./channel.ts";
import { demultiplex, type StdStream } from "./stdcopy.ts";
import type { Wire } from "./wire.ts";

/** Receives what a container writes, as it comes. */
export interface Sink {
  data(chunk: Uint8Array): void;
  /** Nothing more comes; with an error where the stream broke. */
  end(error?: Error): void;
}

/**
 * A stream that the engine handed over: attach and exec. Bytes go out by `write`; what comes in goes to one consumer,
 * either a sink (`pipe`) or an async iteration. Until there is one, incoming bytes wait.
 */
export class HijackedStream implements AsyncIterable<Uint8Array> {
  /** Whether stdout and stderr come in frames (no tty). Engines before API 1.42 do not say: set it then. */
  multiplexed: boolean;
  #wire: Wire;
  #rest: Uint8Array;
  #drained: (() => void) | undefined;
  #gone = false;
  #over: { error?: Error } | undefined;
  #sink: Sink | undefined;

  constructor(wire: Wire, rest: Uint8Array, multiplexed: boolean) {
    this.#wire = wire;
    this.#rest = rest;
    this.multiplexed = multiplexed;
    wire.pause();
    wire.listener = {
      data: (chunk) => {
        if (this.#sink) this.#sink.data(chunk);
        else this.#rest = concat(this.#rest, chunk);
      },
      end: () => this.#finish(),
      close: (error) => {
        this.#gone = true;
        this.#drained?.();
        this.#finish(error);
      },
      drain: () => {
        this.#drained?.();
        this.#drained = undefined;
      },
    };
  }

  /** Sends bytes to the container's stdin. Resolves when more may be sent. */
  write(chunk: Uint8Array): void | Promise<void> {
    if (this.#gone || this.#wire.write(chunk)) return;
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  /** Closes stdin; output still comes. */
  closeWrite(): void {
    if (!this.#gone) this.#wire.end();
  }

  /** Drops the stream in both directions. */
  destroy(): void {
    this.#wire.destroy();
  }

  pause(): void {
    this.#wire.pause();
  }
  resume(): void {
    this.#wire.resume();
  }

  /** Hands everything that comes to a sink, raw (frames included where multiplexed). */
  pipe(sink: Sink): void {
    this.#sink = sink;
    const rest = this.#rest;
    this.#rest = new Uint8Array(0);
    if (rest.length > 0) sink.data(rest);
    if (this.#over) sink.end(this.#over.error);
    else this.#wire.resume();
  }

  /** Hands stdout and stderr apart; on a tty all is stdout. Resolves at the end of the output. */
  split(write: (stream: StdStream, bytes: Uint8Array) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const feed = this.multiplexed ? demultiplex(write) : (chunk: Uint8Array) => write("stdout", chunk);
      this.pipe({
        data: (chunk) => {
          try {
            feed(chunk);
          } catch (error) {
            this.destroy();
            reject(error);
          }
        },
        end: (error) => (error ? reject(error) : resolve()),
      });
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const channel = new Channel({
      pause: () => this.pause(),
      resume: () => this.resume(),
      cancel: () => this.destroy(),
    });
    this.pipe({ data: (chunk) => channel.push(chunk), end: (error) => channel.finish(error) });
    yield* channel;
  }

  #finish(error?: Error): void {
    if (this.#over) return;
    this.#over = error ? { error } : {};
    this.#sink?.end(error);
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
