/**
 * A byte pipe between the main thread and a worker through shared memory: the worker's end blocks (so that all its
 * code is plain synchronous calls), the main thread's end awaits. One writer, one reader. Moves 1.4 GB/s with hashing at
 * the other end, where posted messages with transferred buffers are bounded by their count.
 */
const HEADER = 64;
const WRITTEN = 0;
const READ = 1;
/** Bumped with every change by the writer, resp. the reader: what the other side waits on. */
const WRITER_SEQ = 2;
const READER_SEQ = 3;
const STATE = 4;
const READER_GONE = 5;

const OPEN = 0;
const ENDED = 1;
const FAILED = 2;

/** Bytes; a power of two, since positions wrap around at 2^32. */
export const RING_SIZE = 1 << 21;

export type RingMemory = SharedArrayBuffer;

export function createRing(size = RING_SIZE): RingMemory {
  return new SharedArrayBuffer(HEADER + size);
}

/** How far a ring's two sides are; it changes with every byte that moves. */
export function ringPosition(memory: RingMemory): number {
  const control = new Int32Array(memory, 0, HEADER / 4);
  return Atomics.load(control, WRITTEN) + Atomics.load(control, READ);
}

/** Ends it for both sides, whichever of them waits: the writer sees its reader gone, the reader its writer failed. */
export function breakRing(memory: RingMemory): void {
  const control = new Int32Array(memory, 0, HEADER / 4);
  Atomics.store(control, READER_GONE, 1);
  Atomics.compareExchange(control, STATE, OPEN, FAILED);
  for (const seq of [READER_SEQ, WRITER_SEQ]) {
    Atomics.add(control, seq, 1);
    Atomics.notify(control, seq);
  }
}

/** The other side gave up; the reason is told by its own error. */
export class RingClosed extends Error {
  constructor() {
    super("stream closed by the other side");
    this.name = "RingClosed";
  }
}

class Ring {
  protected readonly control: Int32Array;
  protected readonly bytes: Uint8Array;
  protected readonly mask: number;

  constructor(memory: RingMemory) {
    this.control = new Int32Array(memory, 0, HEADER / 4);
    this.bytes = new Uint8Array(memory, HEADER);
    this.mask = this.bytes.length - 1;
  }

  protected get used(): number {
    return (Atomics.load(this.control, WRITTEN) - Atomics.load(this.control, READ)) | 0;
  }

  protected wake(seq: number): void {
    Atomics.add(this.control, seq, 1);
    Atomics.notify(this.control, seq);
  }

  protected async change(seq: number, seen: number): Promise<void> {
    const wait = Atomics.waitAsync(this.control, seq, seen);
    if (wait.async) await wait.value;
  }
}

class RingWriter extends Ring {
  /** Copies as much as there is room for. Throws RingClosed where nobody reads any more. */
  protected put(chunk: Uint8Array, from: number): number {
    if (Atomics.load(this.control, READER_GONE)) throw new RingClosed();
    const written = Atomics.load(this.control, WRITTEN);
    const at = written & this.mask;
    const length = Math.min(this.bytes.length - this.used, this.bytes.length - at, chunk.length - from);
    if (length === 0) return 0;
    this.bytes.set(from === 0 && length === chunk.length ? chunk : chunk.subarray(from, from + length), at);
    Atomics.store(this.control, WRITTEN, (written + length) | 0);
    this.wake(WRITER_SEQ);
    return length;
  }

  end(): void {
    this.close(ENDED);
  }

  /** Tells the reader that the rest will not come. */
  fail(): void {
    this.close(FAILED);
  }

  private close(state: number): void {
    if (Atomics.compareExchange(this.control, STATE, OPEN, state) === OPEN) this.wake(WRITER_SEQ);
  }
}

/** Bytes that streams bring before the garbage of their chunks is collected. */
const COLLECT_AFTER = 128 << 20;
let brought = 0;

/**
 * Chunks of a stream lie outside the heap, and its collector is slow to see how many they are: left to itself it lets some 40 MB of
 * them gather during a load.
 */
function collectGarbageOf(chunk: Uint8Array): void {
  brought += chunk.length;
  if (brought < COLLECT_AFTER) return;
  brought = 0;
  Bun.gc(true);
}

/** The writer on the main thread. */
export class AsyncRingWriter extends RingWriter {
  async write(chunk: Uint8Array): Promise<void> {
    collectGarbageOf(chunk);
    for (let done = 0; done < chunk.length; ) {
      const seen = Atomics.load(this.control, READER_SEQ);
      const n = this.put(chunk, done);
      done += n;
      if (n === 0) await this.change(READER_SEQ, seen);
    }
  }
}

/** The writer in a worker. */
export class SyncRingWriter extends RingWriter {
  write(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length; ) {
      const seen = Atomics.load(this.control, READER_SEQ);
      const n = this.put(chunk, done);
      done += n;
      if (n === 0) Atomics.wait(this.control, READER_SEQ, seen);
    }
  }
}

class RingReader extends Ring {
  /** What can be read without a break, at most `most` bytes; null at the end. */
  protected peek(most: number): Uint8Array | null {
    const used = this.used;
    if (used === 0) {
      // The state is looked at first and the fill again after it: the last bytes come before the end.
      const state = Atomics.load(this.control, STATE);
      if (state === OPEN) return EMPTY;
      if (this.used === 0) {
        if (state === FAILED) throw new RingClosed();
        return null;
      }
    }
    const at = Atomics.load(this.control, READ) & this.mask;
    const length = Math.min(this.used, this.bytes.length - at, most);
    return this.bytes.subarray(at, at + length);
  }

  protected advance(length: number): void {
    Atomics.store(this.control, READ, (Atomics.load(this.control, READ) + length) | 0);
    this.wake(READER_SEQ);
  }

  /** Nobody reads any more: the writer's next write throws. */
  cancel(): void {
    Atomics.store(this.control, READER_GONE, 1);
    this.wake(READER_SEQ);
  }
}

const EMPTY = new Uint8Array(0);

/** The reader in a worker. */
export class SyncRingReader extends RingReader {
  /** Gives each piece to `use` as it comes, until the end. Throws RingClosed where the writer failed. */
  drain(use: (chunk: Uint8Array) => void): void {
    for (;;) {
      const seen = Atomics.load(this.control, WRITER_SEQ);
      // A quarter at most, so that the writer can fill the rest meanwhile.
      const chunk = this.peek(this.bytes.length >> 2);
      if (chunk === null) return;
      if (chunk.length === 0) {
        Atomics.wait(this.control, WRITER_SEQ, seen);
        continue;
      }
      use(chunk);
      this.advance(chunk.length);
    }
  }
}

/** The reader on the main thread. */
export class AsyncRingReader extends RingReader {
  /** The next piece, a copy of at most `most` bytes; null at the end. Throws RingClosed where the writer failed. */
  async read(most = 1 << 18): Promise<Uint8Array | null> {
    for (;;) {
      const seen = Atomics.load(this.control, WRITER_SEQ);
      const chunk = this.peek(most);
      if (chunk === null) return null;
      if (chunk.length > 0) {
        // slice() of a shared view gives a private copy.
        const copy = new Uint8Array(chunk.length);
        copy.set(chunk);
        this.advance(chunk.length);
        return copy;
      }
      await this.change(WRITER_SEQ, seen);
    }
  }
}
