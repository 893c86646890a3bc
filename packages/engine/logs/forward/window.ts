import { Frames } from "./frames.ts";
import type { LogPosition } from "./position.ts";

/** Bytes that are kept after delivery, and milliseconds for which they are. */
const KEPT = 4 << 20;
const KEEP = 5000;
/** Buffers that wait for other lines. */
const SPARE = 8;

/** Lines that were read together, as they go over the wire. */
export interface Sent {
  frames: Frames;
  bytes: number;
  /** Where the log is read on, once these have arrived. */
  position: LogPosition;
  /** Where they end among the bytes of the connection; -1 where they have not been written to it. */
  end: number;
  /** When they arrived. */
  at: number;
}

/** What has been read and has not arrived, or has arrived so lately that a target which dies may not have read it. */
export class SendWindow {
  private queue: Sent[] = [];
  private kept: Sent[] = [];
  private spare: Buffer[] = [];
  private written = 0;

  /** Whether all has arrived. */
  get empty(): boolean {
    return this.queue.length === 0;
  }
  /** Milliseconds until something that is kept may go; null where nothing is. */
  get keepsFor(): number | null {
    const [oldest] = this.kept;
    return oldest === undefined ? null : Math.max(1, oldest.at + KEEP + 1 - performance.now());
  }
  /** Bytes that have not arrived. */
  get bytes(): number {
    return sum(this.queue);
  }

  /** Frames to fill. */
  frames(): Frames {
    return new Frames(this.spare.pop());
  }

  add(frames: Frames, position: LogPosition): void {
    const bytes = frames.data.reduce((total, data) => total + data.length, 0);
    this.queue.push({ frames, bytes, position, end: -1, at: 0 });
  }

  /** The first that is to be written to this connection; null for none. */
  next(): Sent | null {
    for (const one of this.queue) {
      if (one.end >= 0) continue;
      if (one.bytes > 0) return one;
      // Nothing of it goes over the wire.
      one.end = this.written;
    }
    return null;
  }

  wrote(one: Sent): void {
    this.written += one.bytes;
    one.end = this.written;
  }

  /** Takes off what lies within the bytes that have arrived; returns the last one's position, null for none. */
  confirm(arrived: number, certain: boolean): LogPosition | null {
    let position: LogPosition | null = null;
    for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
      if (first.end < 0 || first.end > arrived) break;
      this.queue.shift();
      position = first.position;
      first.at = performance.now();
      if (certain || first.bytes === 0) this.reuse(first);
      else this.kept.push(first);
    }
    for (let over = sum(this.kept) - KEPT; over > 0; ) {
      const oldest = this.kept.shift() as Sent;
      over -= oldest.bytes;
      this.reuse(oldest);
    }
    return position;
  }

  /** For another connection: all is to be written again, with `kept` what was kept too. */
  restart(kept: boolean): void {
    if (kept) this.queue.unshift(...this.kept);
    this.kept = [];
    this.written = 0;
    for (const one of this.queue) one.end = -1;
  }

  /** Lets go what was kept long enough. */
  expire(): void {
    const now = performance.now();
    this.kept = this.kept.filter(({ at }) => now - at <= KEEP);
    if (this.empty && this.kept.length === 0) this.spare = [];
  }

  /** Its buffer serves again: a log that grows fast leaves no garbage behind it. */
  private reuse({ frames }: Sent): void {
    const buffer = frames.release();
    if (buffer !== null && this.spare.length < SPARE) this.spare.push(buffer);
  }
}

const sum = (all: Sent[]): number => all.reduce((bytes, one) => bytes + one.bytes, 0);
