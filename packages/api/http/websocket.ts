import { createHash } from "node:crypto";
import { invalidParameter } from "@gantry/spec";
import type { Exchange } from "./exchange.ts";
import type { Hijacked } from "./hijack.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_MESSAGE = 1 << 20;

/** A WebSocket (RFC 6455) on a hijacked connection; messages are bytes both ways. */
export class WebSocketStream {
  private readonly raw: Hijacked;
  private buffer: Buffer = Buffer.alloc(0);
  private closing = false;

  private constructor(raw: Hijacked) {
    this.raw = raw;
  }

  /** Answers the handshake. Throws invalidParameter where the request is none. */
  static accept(exchange: Exchange): WebSocketStream {
    const { headers, upgrade } = exchange.head;
    const key = headers.get("sec-websocket-key") ?? "";
    if (
      upgrade !== "websocket" ||
      !/^[A-Za-z0-9+/]{22}==$/.test(key) ||
      headers.get("sec-websocket-version") !== "13"
    ) {
      throw invalidParameter("not a websocket handshake");
    }
    const accept = createHash("sha1")
      .update(key + GUID)
      .digest("base64");
    return new WebSocketStream(exchange.hijack("", { "Sec-WebSocket-Accept": accept }));
  }

  get closed(): boolean {
    return this.raw.closed || this.closing;
  }

  whenClosed(listener: () => void): void {
    this.raw.whenClosed(listener);
  }

  /** Sends a binary message. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.closed) return undefined;
    return this.raw.write(encode(2, bytes));
  }

  /** Says goodbye and closes. */
  close(): void {
    if (!this.closing) this.raw.write(encode(8, Uint8Array.of(0x03, 0xe8)));
    this.closing = true;
    this.raw.close();
  }

  endWrite(): void {
    this.close();
  }

  /** The next message's bytes; null at the end. Pings are answered on the way. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const frame = this.take();
      if (frame !== null) {
        if (frame.opcode === 8) {
          this.close();
          return null;
        }
        if (frame.opcode === 9) this.raw.write(encode(10, frame.payload));
        else if (frame.opcode <= 2) return frame.payload;
        continue;
      }
      if (this.closing) return null;
      const chunk = await this.raw.read();
      if (chunk === null) return null;
      this.buffer = Buffer.concat([this.buffer, chunk]);
    }
  }

  private take(): { opcode: number; payload: Buffer } | null {
    const { buffer } = this;
    if (buffer.length < 2) return null;
    const opcode = (buffer[0] as number) & 15;
    const masked = (buffer[1] as number) >= 128;
    let size = (buffer[1] as number) & 127;
    let at = 2;
    if (size === 126) {
      if (buffer.length < 4) return null;
      size = buffer.readUInt16BE(2);
      at = 4;
    } else if (size === 127) {
      if (buffer.length < 10) return null;
      size = Number(buffer.readBigUInt64BE(2));
      at = 10;
    }
    // A client must mask; a message beyond the bound is an attack or a mistake.
    if (!masked || size > MAX_MESSAGE) {
      this.close();
      return null;
    }
    if (buffer.length < at + 4 + size) return null;
    const mask = buffer.subarray(at, at + 4);
    const payload = Buffer.from(buffer.subarray(at + 4, at + 4 + size));
    for (let i = 0; i < size; i++) payload[i] = (payload[i] as number) ^ (mask[i & 3] as number);
    this.buffer = buffer.subarray(at + 4 + size);
    return { opcode, payload };
  }
}

function encode(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? 2 : length < 65536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(head + length);
  frame[0] = 0x80 | opcode;
  if (head === 2) frame[1] = length;
  else if (head === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.set(payload, head);
  return frame;
}
