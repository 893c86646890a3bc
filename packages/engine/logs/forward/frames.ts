/** Bytes of new buffers, and of the greatest that is kept for another use. */
const FIRST = 1 << 17;
const GREATEST = 1 << 20;

/** Bytes that grow, for messages that are written one behind the other. */
export class Frames {
  length = 0;
  /** Identifiers that the target answers with, in order, each with how many of the bytes it stands for. */
  readonly acks: { id: string; bytes: number }[] = [];
  /** Whole messages, where each is a datagram or several. */
  readonly datagrams: Uint8Array[] = [];

  constructor(private buffer: Buffer = Buffer.allocUnsafe(FIRST)) {}

  text(text: string): void {
    // A character of JavaScript's is three bytes at most.
    this.room(text.length * 3);
    this.length += this.buffer.write(text, this.length);
  }

  bytes(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  byte(value: number): void {
    this.room(1);
    this.buffer[this.length++] = value;
  }

  /** A number of 1 to 4 bytes, the greatest first. */
  unsigned(value: number, bytes: number): void {
    this.room(bytes);
    this.length = this.buffer.writeUIntBE(value, this.length, bytes);
  }

  datagram(datagram: Uint8Array): void {
    this.datagrams.push(datagram);
  }

  /** What goes over the wire. */
  get data(): Uint8Array[] {
    return this.length === 0 ? this.datagrams : [this.buffer.subarray(0, this.length), ...this.datagrams];
  }

  /** The buffer, for other frames once these are not needed any more; null for one that is too great to keep. */
  release(): Buffer | null {
    return this.buffer.length <= GREATEST ? this.buffer : null;
  }

  private room(more: number): void {
    if (this.length + more <= this.buffer.length) return;
    const greater = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + more));
    greater.set(this.buffer.subarray(0, this.length));
    this.buffer = greater;
  }
}
