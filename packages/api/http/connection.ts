import { GantryError } from "@gantry/spec";
import type { Socket } from "bun";
import { RequestBody } from "./body.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { Exchange } from "./exchange.ts";
import { HttpError, headEnd, MAX_HEAD, parseHead, type RequestHead } from "./head.ts";
import { reasonPhrase } from "./reason.ts";

/** Bytes a client may send ahead while its request is being answered. */
const MAX_AHEAD = 1 << 16;
/** Seconds a half-sent head may take, and seconds we drain a client that was refused. */
const HEAD_SECONDS = 60;
const LINGER_MS = 2000;

const CONTINUE = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");

/** Where the bytes of a hijacked connection go. */
export interface RawSink {
  data(chunk: Buffer): void;
  /** The peer half-closed, or is gone. */
  end(): void;
  closed(): void;
}

export type Handler = (exchange: Exchange) => Promise<void>;

/**
 * One client connection: bytes in, requests out, one at a time (a pipelined one waits), answers back with
 * back-pressure. After `hijack` it is a plain two-way stream.
 */
export class Connection {
  readonly socket: Socket<Connection>;
  private readonly handler: Handler;
  private state: "head" | "body" | "busy" | "raw" | "linger" | "closed" = "head";
  private input: Buffer | null = null;
  private scanned = 0;
  private decoder: ChunkedDecoder | null = null;
  private remaining = 0;
  private exchange: Exchange | null = null;
  private body: RequestBody | null = null;
  private sink: RawSink | null = null;
  private peerEnded = false;
  private out: Uint8Array[] = [];
  private outAt = 0;
  private waiting: { resolve: () => void; promise: Promise<void> } | null = null;
  private ending: "no" | "half" | "full" = "no";
  private paused = false;
  /** Who is on the other side, for logs: the peer's address, or "" for a unix socket. */
  readonly remote: string;

  constructor(socket: Socket<Connection>, handler: Handler, remote: string) {
    this.socket = socket;
    this.handler = handler;
    this.remote = remote;
  }

  get isClosed(): boolean {
    return this.state === "closed";
  }

  // ---- from the socket

  onData(chunk: Buffer): void {
    if (this.state === "raw") {
      const rest = this.remaining === 0 ? chunk : this.skipBody(chunk);
      if (rest.length > 0) this.sink?.data(rest);
      return;
    }
    if (this.state === "linger" || this.state === "closed") return;
    this.input = this.input === null ? chunk : Buffer.concat([this.input, chunk]);
    this.advance();
  }

  onEnd(): void {
    this.peerEnded = true;
    switch (this.state) {
      case "raw":
        this.sink?.end();
        return;
      case "body":
        this.body?.fail(new GantryError("cancelled", "unexpected EOF"));
        this.exchange?.abort();
        return;
      case "busy":
        this.exchange?.abort();
        return;
      default:
        this.close();
    }
  }

  onDrain(): void {
    while (this.out.length > 0) {
      const chunk = this.out[0] as Uint8Array;
      const written = this.socket.write(this.outAt === 0 ? chunk : chunk.subarray(this.outAt));
      if (written < 0) return this.close();
      this.outAt += written;
      if (this.outAt < chunk.length) return;
      this.out.shift();
      this.outAt = 0;
    }
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.resolve();
    if (this.ending === "half") this.socket.shutdown();
    else if (this.ending === "full") this.close();
  }

  onClose(): void {
    if (this.state === "closed") return;
    const before = this.state;
    this.state = "closed";
    this.out = [];
    this.input = null;
    this.body?.fail(new GantryError("cancelled", "client disconnected"));
    this.exchange?.abort();
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.resolve();
    if (before === "raw") this.sink?.closed();
  }

  // ---- to the socket

  /** Sends bytes. Returns a promise to await where the socket is full; writes after a close are dropped. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.state === "closed" || chunk.length === 0) return undefined;
    if (this.out.length === 0) {
      const written = this.socket.write(chunk);
      if (written === chunk.length) return undefined;
      if (written < 0) {
        this.close();
        return undefined;
      }
      this.outAt = written;
    }
    this.out.push(chunk);
    if (this.waiting === null) {
      let resolve!: () => void;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.waiting = { resolve, promise };
    }
    return this.waiting.promise;
  }

  /** Half-closes our side after everything written has gone out. */
  endWrite(): void {
    if (this.state === "closed" || this.ending !== "no") return;
    this.ending = "half";
    if (this.out.length === 0) this.socket.shutdown();
  }

  /** Closes after everything written has gone out. */
  finish(): void {
    if (this.state === "closed") return;
    if (this.out.length === 0) this.close();
    else this.ending = "full";
  }

  /** Closes at once. */
  close(): void {
    if (this.state === "closed") return;
    this.onClose();
    this.socket.end();
  }

  pause(): void {
    if (this.paused || this.state === "closed") return;
    this.paused = true;
    this.socket.pause();
  }

  resume(): void {
    if (!this.paused || this.state === "closed") return;
    this.paused = false;
    this.socket.resume();
  }

  // ---- requests

  private advance(): void {
    try {
      while (this.input !== null && this.input.length > 0) {
        if (this.state === "head") {
          if (!this.readHead()) return;
        } else if (this.state === "body") {
          if (!this.readBody()) return;
        } else {
          if (this.input.length > MAX_AHEAD) this.pause();
          return;
        }
      }
    } catch (error) {
      this.refuse(error instanceof HttpError ? error : new HttpError(400, "bad request"));
    }
  }

  private readHead(): boolean {
    let input = this.input as Buffer;
    let start = 0;
    while (this.scanned === 0 && input.length >= start + 2 && input[start] === 13 && input[start + 1] === 10)
      start += 2;
    if (start > 0) {
      input = input.subarray(start);
      this.input = input;
      if (input.length === 0) return false;
    }
    const found = headEnd(input, Math.max(0, this.scanned - 3));
    if (found === null || found.end > MAX_HEAD) {
      if (input.length > MAX_HEAD) throw new HttpError(431, "request header fields too large");
      this.scanned = input.length;
      this.socket.timeout(HEAD_SECONDS);
      return false;
    }
    if (this.scanned > 0) this.socket.timeout(0);
    this.scanned = 0;
    const head = parseHead(input.toString("latin1", 0, found.end));
    this.input = input.length > found.next ? input.subarray(found.next) : null;
    this.begin(head);
    return true;
  }

  private begin(head: RequestHead): void {
    const body = new RequestBody(
      (readOn) => (readOn ? this.resume() : this.pause()),
      head.expectContinue && head.contentLength !== 0 ? () => this.sendContinue(body) : null,
    );
    this.body = body;
    this.decoder = head.contentLength === null ? new ChunkedDecoder() : null;
    this.remaining = head.contentLength ?? 0;
    if (head.contentLength === 0) {
      body.finish();
      this.state = "busy";
    } else this.state = "body";
    const exchange = new Exchange(this, head, body);
    this.exchange = exchange;
    // The body's first bytes are usually here already: take them before the handler asks.
    this.handler(exchange).then(
      () => this.done(exchange),
      (error) => {
        exchange.fail(error);
        this.done(exchange);
      },
    );
  }

  private sendContinue(body: RequestBody): void {
    if (!body.complete && this.exchange?.started === false) this.write(CONTINUE);
  }

  private readBody(): boolean {
    const input = this.input as Buffer;
    const body = this.body as RequestBody;
    let used: number;
    if (this.decoder !== null) {
      try {
        used = this.decoder.feed(input, 0, (chunk) => body.push(chunk));
      } catch (error) {
        body.fail(new GantryError("invalidParameter", (error as Error).message));
        throw error;
      }
      if (this.decoder.done) this.state = "busy";
    } else {
      used = Math.min(this.remaining, input.length);
      body.push(input.subarray(0, used));
      this.remaining -= used;
      if (this.remaining === 0) this.state = "busy";
    }
    this.input = used < input.length ? input.subarray(used) : null;
    if (this.state === "busy") body.finish();
    return this.input !== null;
  }

  /** The answer is complete: on to the next request, or an end. */
  private done(exchange: Exchange): void {
    if (this.state === "closed" || this.state === "raw" || this.exchange !== exchange) return;
    if (!exchange.started) exchange.fail(new Error("no answer"));
    const body = this.body as RequestBody;
    if (!body.complete) {
      this.linger();
      return;
    }
    this.exchange = null;
    this.body = null;
    if (exchange.closing || this.peerEnded) {
      this.finish();
      return;
    }
    this.state = "head";
    this.resume();
    if (this.input !== null) queueMicrotask(() => this.advance());
  }

  /** The client still sends what nobody reads: close our side, and wait a little so that it sees the answer. */
  private linger(): void {
    this.body?.fail(new GantryError("cancelled", "answered already"));
    this.state = "linger";
    this.input = null;
    this.endWrite();
    this.resume();
    const timer = setTimeout(() => this.close(), LINGER_MS);
    timer.unref();
    if (this.peerEnded) this.finish();
  }

  private refuse(error: HttpError): void {
    if (this.exchange?.started) return this.close();
    const text = `${error.status} ${error.message}`;
    this.write(
      Buffer.from(
        `HTTP/1.1 ${error.status} ${reasonPhrase(error.status)}\r\nContent-Type: text/plain; charset=utf-8\r\n` +
          `Connection: close\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      ),
    );
    const exchange = this.exchange;
    this.exchange = null;
    exchange?.abort();
    this.linger();
  }

  // ---- hijack

  /**
   * From now on the connection's bytes go to `sink`; the ones that came with the request go first, but for its body as
   * far as nobody read it: clients exist that send one with an attach (docker-modem), and it is no input.
   */
  hijack(sink: RawSink): void {
    if (this.state === "closed") {
      // Gone before it was answered: nobody else would ever tell.
      sink.closed();
      return;
    }
    let ahead = this.input;
    this.input = null;
    this.state = "raw";
    this.sink = sink;
    if (ahead !== null && this.remaining > 0) ahead = this.skipBody(ahead);
    if (ahead !== null && ahead.length > 0) sink.data(ahead);
    if (this.peerEnded) sink.end();
    this.resume();
  }

  /** What of `chunk` comes after the request's body. */
  private skipBody(chunk: Buffer): Buffer {
    const skipped = Math.min(this.remaining, chunk.length);
    this.remaining -= skipped;
    return chunk.subarray(skipped);
  }
}
