import { messageOf, statusOf } from "@gantry/spec";
import type { RequestBody } from "./body.ts";
import type { Connection } from "./connection.ts";
import type { RequestHead } from "./head.ts";
import { Hijacked } from "./hijack.ts";
import { reasonPhrase } from "./reason.ts";

export type Headers = Record<string, string>;

let dateText = "";
let dateSecond = 0;
function dateHeader(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** One request and its answer: a whole one (`send`, `json`), a stream (`stream`), or a hijack of the connection. */
export class Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly connection: Connection;
  /** Headers every answer carries; set by the server before the handler runs. */
  common: Headers = {};
  /** Whether an answer has begun. */
  started = false;
  /** Whether the connection ends with this answer. */
  closing: boolean;
  private controller: AbortController | null = null;
  private aborted = false;
  private streaming: ResponseStream | null = null;

  constructor(connection: Connection, head: RequestHead, body: RequestBody) {
    this.connection = connection;
    this.head = head;
    this.body = body;
    this.closing = !head.keepAlive;
  }

  /** Fires when the client goes away before the answer is complete. */
  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController();
      if (this.aborted) this.controller.abort();
    }
    return this.controller.signal;
  }

  abort(): void {
    this.aborted = true;
    this.controller?.abort();
  }

  private headText(status: number, headers: Headers): string {
    let text = `HTTP/1.1 ${status} ${reasonPhrase(status)}\r\n`;
    for (const name in this.common) text += `${name}: ${this.common[name]}\r\n`;
    for (const name in headers) text += `${name}: ${clean(headers[name] as string)}\r\n`;
    text += `Date: ${dateHeader()}\r\n`;
    if (this.closing) text += "Connection: close\r\n";
    else if (this.head.minor === 0) text += "Connection: keep-alive\r\n";
    return text;
  }

  /** Answers with a whole body. */
  send(status: number, headers: Headers, body: string | Uint8Array | null): void {
    if (this.started) throw new Error("answered twice");
    this.started = true;
    if (!this.body.complete) this.closing = true;
    let text = this.headText(status, headers);
    const size = body === null ? 0 : typeof body === "string" ? Buffer.byteLength(body) : body.length;
    if (status !== 204 && status !== 304) text += `Content-Length: ${size}\r\n`;
    text += "\r\n";
    if (body === null || size === 0 || this.head.method === "HEAD" || status === 304 || status === 204) {
      this.connection.write(Buffer.from(text, "latin1"));
    } else if (typeof body === "string") {
      this.connection.write(Buffer.from(text + body));
    } else {
      this.connection.write(Buffer.from(text, "latin1"));
      this.connection.write(body);
    }
  }

  json(status: number, value: unknown): void {
    this.send(status, { "Content-Type": "application/json" }, JSON.stringify(value) + "\n");
  }

  /** Answers with a body of unknown length; the head goes out at once. */
  stream(status: number, headers: Headers): ResponseStream {
    if (this.started) throw new Error("answered twice");
    this.started = true;
    const chunked = this.head.minor === 1;
    if (!chunked) this.closing = true;
    const known = Object.keys(headers).some((name) => name.toLowerCase() === "content-length");
    let text = this.headText(status, headers);
    if (chunked && !known) text += "Transfer-Encoding: chunked\r\n";
    this.connection.write(Buffer.from(`${text}\r\n`, "latin1"));
    this.streaming = new ResponseStream(this.connection, chunked && !known, this.head.method === "HEAD");
    return this.streaming;
  }

  /** Answers with what a handler threw; in the middle of a stream it can only break the connection off. */
  fail(error: unknown): void {
    if (this.started) {
      if (this.streaming?.ended !== true) this.connection.close();
      return;
    }
    const status = statusOf(error);
    if (status === 304) this.send(304, {}, null);
    else this.json(status, { message: messageOf(error) });
  }

  /**
   * Takes the connection over. With an `Upgrade` asked for, the answer is 101 UPGRADED (and names it); without, 200,
   * as Docker's older clients expect. `contentType` is that of the raw stream.
   */
  hijack(contentType: string, headers: Headers = {}): Hijacked {
    if (this.started) throw new Error("answered twice");
    this.started = true;
    const { upgrade } = this.head;
    let text = upgrade !== "" ? "HTTP/1.1 101 UPGRADED\r\n" : "HTTP/1.1 200 OK\r\n";
    if (contentType !== "") text += `Content-Type: ${contentType}\r\n`;
    if (upgrade !== "") text += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
    for (const name in this.common) text += `${name}: ${this.common[name]}\r\n`;
    for (const name in headers) text += `${name}: ${clean(headers[name] as string)}\r\n`;
    this.connection.write(Buffer.from(`${text}\r\n`, "latin1"));
    return new Hijacked(this.connection);
  }
}

/** The body of a streamed answer. Every write goes out at once. */
export class ResponseStream {
  ended = false;
  private readonly connection: Connection;
  private readonly chunked: boolean;
  private readonly silent: boolean;

  constructor(connection: Connection, chunked: boolean, silent: boolean) {
    this.connection = connection;
    this.chunked = chunked;
    this.silent = silent;
  }

  get closed(): boolean {
    return this.connection.isClosed;
  }

  /** Sends a piece; await the result, where there is one, for back-pressure. */
  write(piece: Uint8Array | string): Promise<void> | undefined {
    if (this.ended || this.silent || piece.length === 0) return undefined;
    const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
    if (!this.chunked) return this.connection.write(bytes);
    const size = `${bytes.length.toString(16)}\r\n`;
    if (bytes.length <= 65536) {
      const framed = Buffer.allocUnsafe(size.length + bytes.length + 2);
      framed.write(size, 0, "latin1");
      framed.set(bytes, size.length);
      framed.write("\r\n", size.length + bytes.length, "latin1");
      return this.connection.write(framed);
    }
    this.connection.write(Buffer.from(size, "latin1"));
    this.connection.write(bytes);
    return this.connection.write(CRLF);
  }

  /** One JSON value on a line of its own, behind `before`. */
  json(value: unknown, before = ""): Promise<void> | undefined {
    return this.write(`${before}${JSON.stringify(value)}\r\n`);
  }

  /** Sends all of a stream, then ends. */
  async pipe(source: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const piece of source) {
      const full = this.write(piece);
      if (full !== undefined) await full;
      if (this.closed) break;
    }
    this.end();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.chunked && !this.silent) this.connection.write(LAST);
  }
}

const CRLF = Buffer.from("\r\n");
const LAST = Buffer.from("0\r\n\r\n");

function clean(value: string): string {
  return value.replace(/[\r\n\0]/g, " ");
}
