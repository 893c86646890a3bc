import { createHash } from "node:crypto";
import { closeSync, fstatSync, readSync, statSync } from "node:fs";
import { closeAll, type LogFile, openLogFiles, readBlock, readContent } from "../files.ts";

/** Bytes read in one go. A line of the shim's is at most some 100 KB long. */
const PIECE = 1 << 16;
const MAX_LINE = 1 << 20;
/** Bytes in which most lines have an end. */
const HEAD = 1024;

/** Where in a log one is: `key` says how the file begins. */
export interface Place {
  key: string;
  ino: number;
  offset: number;
}

/** Whole lines, and the place behind them. */
export interface Piece {
  text: string;
  place: Place;
}

/** A file that follows ours, as it was when last looked at. */
interface Follower {
  key: string;
  bytes: number;
}

/**
 * Reads a container's log from a place on, through rotations and compressions, and tells what rotation took away before
 * it was read. A file is known again by its first line, which has a time that no other has, and by its inode number as
 * long as it is not compressed. One reader, one call at a time.
 */
export class LogTail {
  private file: LogFile | null = null;
  private key = "";
  private offset = 0;
  /** Read to its end after it had been renamed: nothing more comes. */
  private complete = false;
  private unpacked: AsyncIterator<Buffer> | null = null;
  /** Read into again and again. */
  private readonly block = Buffer.allocUnsafeSlow(PIECE);
  private readonly head = Buffer.allocUnsafeSlow(HEAD);
  private carried: Buffer = Buffer.alloc(0);
  private followers: Follower[] = [];
  /** The current file, when the followers were last looked at. */
  private seen = 0;
  private from: Place | null;

  /**
   * @param from where to go on; null for the first line there is
   * @param lost called with bytes that are known to be gone (0: how much is unknown)
   */
  constructor(
    private readonly path: string,
    from: Place | null,
    private readonly lost: (bytes: number) => void,
  ) {
    this.from = from;
  }

  /** The next lines; null where there are none yet. */
  async next(): Promise<Piece | null> {
    if (this.file === null && !(await this.open())) return null;
    for (;;) {
      const piece = this.file?.compressed ? await this.readPacked() : await this.readPlain();
      if (piece !== null) return piece;
      if (!(await this.advance())) return null;
    }
  }

  /** Notes what follows, so that what rotation takes is known. For who cannot read on just now; once a second or so. */
  async look(): Promise<void> {
    if (this.file === null) return;
    const current = statSync(this.path, { throwIfNoEntry: false }) ?? null;
    if (current === null || current.ino === this.seen || current.ino === this.file.ino) return;
    this.seen = current.ino;
    const files = await openLogFiles(this.path);
    try {
      const keys = await Promise.all(files.map(readKey));
      this.switchable(files, keys, false);
    } finally {
      closeAll(files);
    }
  }

  close(): void {
    if (this.file !== null) closeSync(this.file.fd);
    this.file = null;
    void this.unpacked?.return?.();
    this.unpacked = null;
  }

  private async open(): Promise<boolean> {
    const files = await openLogFiles(this.path);
    try {
      if (files.length === 0) return false;
      const place = this.from;
      let index = 0;
      let offset = 0;
      if (place !== null && place.key !== "") {
        const keys = await Promise.all(files.map(readKey));
        index = files.findIndex((file, i) => keys[i] === place.key && file.ino === place.ino);
        if (index < 0) index = keys.indexOf(place.key);
        offset = place.offset;
        if (index < 0) {
          this.lost(0);
          index = 0;
          offset = 0;
        }
      }
      const [file] = files.splice(index, 1);
      if (file !== undefined) await this.take(file, offset);
      this.from = null;
      return true;
    } finally {
      closeAll(files);
    }
  }

  private async take(file: LogFile, offset: number): Promise<void> {
    const key = await readKey(file);
    this.close();
    this.file = file;
    this.key = key;
    this.offset = offset;
    this.complete = file.compressed;
    this.carried = Buffer.alloc(0);
    this.followers = [];
    // The file was emptied and not written to as far again.
    if (!file.compressed && fstatSync(file.fd).size < offset) this.offset = 0;
  }

  private place(): Place {
    return { key: this.key, ino: this.file?.ino ?? 0, offset: this.offset };
  }

  private async readPlain(): Promise<Piece | null> {
    const file = this.file as LogFile;
    // Mostly there is nothing new, which is told at once.
    if (fstatSync(file.fd).size <= this.offset) return null;
    for (let length = PIECE; ; length = MAX_LINE) {
      const block =
        length === PIECE
          ? await readBlock(file.fd, this.offset, PIECE, this.block)
          : await readBlock(file.fd, this.offset, length);
      if (block.length === 0) return null;
      const end = block.lastIndexOf(10) + 1;
      if (end === 0 && block.length === PIECE && length === PIECE) continue;
      if (end === 0 && block.length < MAX_LINE) return null;
      if (this.key === "") this.key = await readKey(file);
      // What has no end in a megabyte is no line.
      this.offset += end || block.length;
      return { text: block.toString("utf8", 0, end), place: this.place() };
    }
  }

  private async readPacked(): Promise<Piece | null> {
    if (this.unpacked === null) {
      this.unpacked = readContent(this.file as LogFile, 0)[Symbol.asyncIterator]();
      for (let skip = this.offset; skip > 0; ) {
        const { value, done } = await this.unpacked.next().catch(() => ({ value: undefined, done: true }));
        if (done || value === undefined) return null;
        this.carried = value.subarray(Math.min(skip, value.length));
        skip -= Math.min(skip, value.length);
      }
    }
    for (;;) {
      const end = this.carried.subarray(0, PIECE).lastIndexOf(10) + 1 || this.carried.indexOf(10) + 1;
      if (end > 0) {
        this.offset += end;
        const text = this.carried.toString("utf8", 0, end);
        this.carried = this.carried.subarray(end);
        return { text, place: this.place() };
      }
      // A damaged file has lines up to its damage.
      const { value, done } = await this.unpacked.next().catch(() => ({ value: undefined, done: true }));
      if (done || value === undefined) return null;
      this.carried = this.carried.length > MAX_LINE ? value : Buffer.concat([this.carried, value]);
    }
  }

  /** Whether there may be more to read now, in our file or in the one that follows. */
  private async advance(): Promise<boolean> {
    const file = this.file as LogFile;
    const current = statSync(this.path, { throwIfNoEntry: false }) ?? null;
    if (!file.compressed && current?.ino === file.ino) {
      if (!(await this.emptied(current.size))) return false;
      this.lost(0);
      this.offset = 0;
      this.key = await readKey(file);
      return true;
    }
    if (current === null) return false;
    if (!this.complete) {
      // Renamed under us: what was still written to it comes first.
      this.complete = true;
      return true;
    }
    const files = await openLogFiles(this.path);
    try {
      const keys = await Promise.all(files.map(readKey));
      const index = this.switchable(files, keys, true);
      if (index === null) return false;
      const [next] = files.splice(index, 1);
      if (next === undefined) return false;
      await this.take(next, 0);
      return true;
    } finally {
      closeAll(files);
    }
  }

  /** A log of one file is emptied where others are rotated. */
  private async emptied(size: number): Promise<boolean> {
    if (size < this.offset) return true;
    if (this.offset === 0 || this.key === "") return false;
    const { fd } = this.file as LogFile;
    const head = this.head.subarray(0, readSync(fd, this.head, 0, HEAD, 0));
    const key = head.includes(10) ? keyOf(head) : await readKey(this.file as LogFile);
    return key !== this.key;
  }

  /** Where in the list the file after ours is. What is gone in between is told once, and no more expected. */
  private switchable(files: LogFile[], keys: string[], last: boolean): number | null {
    const ours = files.findIndex(
      (file, i) => file.ino === this.file?.ino || (keys[i] === this.key && this.key !== "" && file.compressed),
    );
    let index = ours + 1;
    if (ours < 0) {
      const known = this.followers.findIndex(({ key }) => keys.includes(key));
      const gone = known < 0 ? this.followers : this.followers.slice(0, known);
      if (gone.length > 0) this.lost(gone.reduce((sum, { bytes }) => sum + bytes, 0));
      else if (known < 0 && last) this.lost(0);
      index = known < 0 ? 0 : keys.indexOf((this.followers[known] as Follower).key);
    }
    this.followers = files
      .map((file, i) => ({ key: keys[i] as string, bytes: file.compressed ? 0 : fstatSync(file.fd).size }))
      .map((one) => ({ ...one, bytes: one.bytes || (this.followers.find(({ key }) => key === one.key)?.bytes ?? 0) }))
      .filter(({ key }, i) => i >= index && key !== "");
    return index < files.length ? index : null;
  }
}

/** How a file begins: a digest of its first line; "" where that is not there yet. */
async function readKey(file: LogFile): Promise<string> {
  let line: Buffer = Buffer.alloc(0);
  try {
    if (file.compressed) {
      for await (const block of readContent(file, 0)) {
        line = Buffer.concat([line, block]);
        if (line.includes(10) || line.length >= MAX_LINE) break;
      }
    } else {
      line = await readBlock(file.fd, 0, HEAD);
      if (line.length === HEAD && !line.includes(10)) line = await readBlock(file.fd, 0, MAX_LINE);
    }
  } catch {
    // Damaged: it begins as far as it goes.
  }
  return keyOf(line);
}

function keyOf(text: Buffer): string {
  const end = text.indexOf(10);
  if (end < 0 && text.length < MAX_LINE) return "";
  const line = text.subarray(0, end < 0 ? MAX_LINE : end);
  return createHash("sha1").update(line).digest("base64url");
}
