/**
 * Netlink's wire format (netlink(7)): messages of a 16-byte header, a fixed family header and attributes, all padded to
 * four bytes. Integers are in the machine's order (little on both of ours) unless a protocol says otherwise.
 */
export const NLM_F = {
  REQUEST: 1,
  MULTI: 2,
  ACK: 4,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
} as const;

export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3 } as const;
const NESTED = 0x8000;
const TYPE_MASK = 0x3fff;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes one or more messages into one growing buffer, to be sent by one system call. */
export class NetlinkBatch {
  private bytes = new Uint8Array(1024);
  private view = new DataView(this.bytes.buffer);
  private at = 0;
  private messageStart = -1;
  /** What each message is about, for error texts; its index is the message's sequence number within the batch. */
  readonly labels: string[] = [];
  /** Which messages ask for an acknowledgement. */
  readonly acked: boolean[] = [];

  get length(): number {
    return this.labels.length;
  }

  /** Begins a message; everything put until the next `message` belongs to it. `label` names it in errors. */
  message(type: number, flags: number, label: string): this {
    this.closeMessage();
    this.grow(16);
    this.messageStart = this.at;
    this.view.setUint32(this.at, 0, true);
    this.view.setUint16(this.at + 4, type, true);
    this.view.setUint16(this.at + 6, flags | NLM_F.REQUEST, true);
    this.view.setUint32(this.at + 8, this.labels.length, true);
    this.view.setUint32(this.at + 12, 0, true);
    this.at += 16;
    this.labels.push(label);
    this.acked.push((flags & NLM_F.ACK) !== 0);
    return this;
  }

  u8(value: number): this {
    this.grow(1);
    this.view.setUint8(this.at++, value);
    return this;
  }
  u16(value: number): this {
    this.grow(2);
    this.view.setUint16(this.at, value, true);
    this.at += 2;
    return this;
  }
  u32(value: number): this {
    this.grow(4);
    this.view.setUint32(this.at, value >>> 0, true);
    this.at += 4;
    return this;
  }

  attr(type: number, data: Uint8Array): this {
    const start = this.open(type);
    this.grow(data.length);
    this.bytes.set(data, this.at);
    this.at += data.length;
    return this.close(start);
  }
  attrU8(type: number, value: number): this {
    const start = this.open(type);
    this.u8(value);
    return this.close(start);
  }
  attrU16(type: number, value: number): this {
    const start = this.open(type);
    this.u16(value);
    return this.close(start);
  }
  attrU32(type: number, value: number): this {
    const start = this.open(type);
    this.u32(value);
    return this.close(start);
  }
  /** In network byte order, as nfnetlink and a few route attributes want. */
  attrU16be(type: number, value: number): this {
    const start = this.open(type);
    this.u8(value >>> 8).u8(value & 255);
    return this.close(start);
  }
  attrU32be(type: number, value: number): this {
    const start = this.open(type);
    this.grow(4);
    this.view.setUint32(this.at, value >>> 0, false);
    this.at += 4;
    return this.close(start);
  }
  /** A NUL-terminated string. */
  attrString(type: number, value: string): this {
    return this.attr(type, encoder.encode(value + "\0"));
  }
  /** An attribute whose content `fill` writes: other attributes, or a fixed header and attributes. */
  nest(type: number, fill: () => void, flagged = true): this {
    const start = this.open(flagged ? type | NESTED : type);
    fill();
    return this.close(start);
  }

  /** The messages with sequence numbers starting at `firstSeq`. The buffer is the batch's own. */
  finish(firstSeq: number): Uint8Array {
    this.closeMessage();
    this.messageStart = -1;
    for (let at = 0; at < this.at; ) {
      const length = this.view.getUint32(at, true);
      this.view.setUint32(at + 8, (this.view.getUint32(at + 8, true) + firstSeq) >>> 0, true);
      at += align(length);
    }
    return this.bytes.subarray(0, this.at);
  }

  private open(type: number): number {
    const start = this.at;
    this.grow(4);
    this.view.setUint16(this.at + 2, type, true);
    this.at += 4;
    return start;
  }
  private close(start: number): this {
    const length = this.at - start;
    if (length > 0xffff) throw new RangeError(`netlink attribute of ${length} bytes`);
    this.view.setUint16(start, length, true);
    this.pad();
    return this;
  }
  private closeMessage(): void {
    if (this.messageStart < 0) return;
    this.view.setUint32(this.messageStart, this.at - this.messageStart, true);
    this.pad();
  }
  private pad(): void {
    const end = align(this.at);
    this.grow(end - this.at);
    this.bytes.fill(0, this.at, end);
    this.at = end;
  }
  private grow(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.bytes.length * 2, this.at + more));
    bytes.set(this.bytes.subarray(0, this.at));
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }
}

/** One received message. `payload` follows the 16-byte header. */
export interface NetlinkMessage {
  type: number;
  flags: number;
  seq: number;
  payload: Uint8Array;
}

/** Splits a received datagram. A truncated tail is left out. */
export function parseMessages(data: Uint8Array): NetlinkMessage[] {
  const view = viewOf(data);
  const out: NetlinkMessage[] = [];
  for (let at = 0; at + 16 <= data.length; ) {
    const length = view.getUint32(at, true);
    if (length < 16 || at + length > data.length) break;
    out.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      payload: data.subarray(at + 16, at + length),
    });
    at += align(length);
  }
  return out;
}

/** Attributes by type, flags masked off; where one comes twice the last wins. */
export function parseAttributes(data: Uint8Array, offset = 0): Map<number, Uint8Array> {
  const view = viewOf(data);
  const out = new Map<number, Uint8Array>();
  for (let at = offset; at + 4 <= data.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > data.length) break;
    out.set(view.getUint16(at + 2, true) & TYPE_MASK, data.subarray(at + 4, at + length));
    at += align(length);
  }
  return out;
}

/** Text of a string attribute, up to its NUL. */
export function attributeText(data: Uint8Array | undefined): string {
  if (data === undefined) return "";
  const end = data.indexOf(0);
  return decoder.decode(end < 0 ? data : data.subarray(0, end));
}

export function attributeU32(data: Uint8Array | undefined): number | undefined {
  return data === undefined || data.length < 4 ? undefined : viewOf(data).getUint32(0, true);
}

export function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

export function align(length: number): number {
  return (length + 3) & ~3;
}
