import { closeSync, fstatSync } from "node:fs";
import { stat } from "node:fs/promises";
import { parseTime } from "../time.ts";
import { closeAll, type LogFile, openLogFiles, readBlock, readContent, readHead } from "./files.ts";

/** One line of a container's log. `line` has its newline where the process wrote one. */
export interface LogEntry {
  stream: "stdout" | "stderr";
  line: string;
  time: string;
  attrs?: Record<string, string>;
}

export interface LogRange {
  /** Nanoseconds since 1970; null for no bound. */
  since: bigint | null;
  until: bigint | null;
  /** The last so many lines; -1 for all. */
  tail: number;
}

/** A line longer than this is not a log line of ours (the shim splits at 16 KiB). */
const MAX_LINE = 1 << 20;

/** A reader that remembers where it is, so that following goes on where reading ended. */
export class LogReader {
  private file: LogFile | null = null;
  private offset = 0;
  private rest: Buffer = Buffer.alloc(0);
  private readonly path: string;
  /** When our file was last written to, as far as it was read. */
  private readMs = 0;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Everything that is there now, in batches. Stops at the end of the current file and can be called again for what
   * came since; a rotation in between, and a compression, is followed without losing lines.
   */
  async *read(range: LogRange): AsyncGenerator<LogEntry[]> {
    if (this.file === null) {
      const files = await openLogFiles(this.path);
      try {
        const start: Start = range.tail < 0 ? { index: 0, offset: 0, skip: 0 } : await tailStart(files, range.tail);
        for (let i = start.index; i < files.length - 1; i++)
          yield* readWhole(files[i] as LogFile, i === start.index ? start : null, range);
        const last = files.pop();
        if (last === undefined) return;
        this.take(last);
        if (last.compressed) yield* readWhole(last, start.index === files.length ? start : null, range);
        else if (start.index === files.length) this.offset = start.offset;
      } finally {
        closeAll(files);
      }
    }
    for (;;) {
      yield* this.drain(range);
      // Rotated away under us: what was still written to the old file has been read; on to the new one.
      const current = await stat(this.path).catch(() => null);
      const file = this.file as unknown as LogFile;
      if (current === null || (current.ino === file.ino && current.size >= this.offset)) return;
      yield* this.drain(range);
      yield* this.skipped(range);
    }
  }

  /** On to the current file, through those that came and went since ours was: a slow reader is overtaken by several. */
  private async *skipped(range: LogRange): AsyncGenerator<LogEntry[]> {
    const files = await openLogFiles(this.path);
    try {
      const next = files.pop();
      if (next === undefined) return;
      const between = next.ino === this.file?.ino ? [] : await this.since(files);
      for (const file of between) yield* readWhole(file, null, range);
      this.take(next);
    } finally {
      closeAll(files);
    }
  }

  /** Those of a log's rotated files that are younger than ours, oldest first. */
  private async since(files: LogFile[]): Promise<LogFile[]> {
    const ours = this.file as LogFile;
    const head = await readHead(ours);
    const between: LogFile[] = [];
    for (const file of files.toReversed()) {
      if (file.ino === ours.ino) break;
      // A file older than what was read last is one that was there before. A compressed one has its time in microseconds.
      if (file.mtimeMs < this.readMs - (file.compressed ? 1 : 0)) break;
      // Ours, compressed by now.
      if (file.compressed && head.equals(await readHead(file))) break;
      between.unshift(file);
    }
    return between;
  }

  private take(file: LogFile): void {
    if (this.file !== null) closeSync(this.file.fd);
    this.file = file;
    this.offset = 0;
    this.rest = Buffer.alloc(0);
  }

  private async *drain(range: LogRange): AsyncGenerator<LogEntry[]> {
    const file = this.file as LogFile;
    if (file.compressed) return;
    for (;;) {
      const block = await readBlock(file.fd, this.offset);
      if (block.length === 0) {
        this.readMs = fstatSync(file.fd).mtimeMs;
        return;
      }
      this.offset += block.length;
      const data = this.rest.length === 0 ? block : Buffer.concat([this.rest, block]);
      const { entries, rest } = parseLines(data, range);
      this.rest = rest.length > MAX_LINE ? Buffer.alloc(0) : Buffer.from(rest);
      if (entries.length > 0) yield entries;
    }
  }

  async close(): Promise<void> {
    if (this.file !== null) closeSync(this.file.fd);
    this.file = null;
  }
}

/** Where reading begins: a file, and in it an offset (plain) or lines to pass over (compressed). */
interface Start {
  index: number;
  offset: number;
  skip: number;
}

async function* readWhole(file: LogFile, start: Start | null, range: LogRange): AsyncGenerator<LogEntry[]> {
  let rest: Buffer = Buffer.alloc(0);
  let skip = start?.skip ?? 0;
  try {
    for await (const block of readContent(file, start?.offset ?? 0)) {
      let data = rest.length === 0 ? block : Buffer.concat([rest, block]);
      for (; skip > 0; skip--) {
        const newline = data.indexOf(10);
        if (newline < 0) break;
        data = data.subarray(newline + 1);
      }
      if (skip > 0) {
        // The line that ends later is passed over too.
        rest = Buffer.alloc(0);
        continue;
      }
      const parsed = parseLines(data, range);
      rest = parsed.rest.length > MAX_LINE ? Buffer.alloc(0) : Buffer.from(parsed.rest);
      if (parsed.entries.length > 0) yield parsed.entries;
    }
  } catch (error) {
    // A damaged compressed file has lines up to its damage.
    if (!file.compressed) throw error;
  }
}

function parseLines(data: Buffer, range: LogRange): { entries: LogEntry[]; rest: Buffer } {
  const entries: LogEntry[] = [];
  let at = 0;
  for (;;) {
    const newline = data.indexOf(10, at);
    if (newline < 0) break;
    const entry = parseLine(data.toString("utf8", at, newline), range);
    if (entry !== null) entries.push(entry);
    at = newline + 1;
  }
  return { entries, rest: data.subarray(at) };
}

function parseLine(text: string, range: LogRange): LogEntry | null {
  let parsed: { log?: string; stream?: string; time?: string; attrs?: Record<string, string> };
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof parsed.log !== "string" || typeof parsed.time !== "string") return null;
  if (range.since !== null || range.until !== null) {
    const time = parseTime(parsed.time);
    if (time === null) return null;
    if (range.since !== null && time < range.since) return null;
    if (range.until !== null && time > range.until) return null;
  }
  return {
    stream: parsed.stream === "stderr" ? "stderr" : "stdout",
    line: parsed.log,
    time: parsed.time,
    ...(parsed.attrs === undefined ? {} : { attrs: parsed.attrs }),
  };
}

/** Where the last `count` lines begin, found by reading backwards; lines of a compressed file are counted first. */
async function tailStart(files: LogFile[], count: number): Promise<Start> {
  const last = files.length - 1;
  if (count === 0) {
    const file = files[last];
    const size = file === undefined ? 0 : fstatSync(file.fd).size;
    return { index: Math.max(last, 0), offset: size, skip: file?.compressed ? Number.POSITIVE_INFINITY : 0 };
  }
  let left = count;
  for (let index = last; index >= 0; index--) {
    const file = files[index] as LogFile;
    if (file.compressed) {
      const lines = await countLines(file);
      if (lines >= left) return { index, offset: 0, skip: lines - left };
      left -= lines;
      continue;
    }
    let end = fstatSync(file.fd).size;
    if (end === 0) continue;
    let first = true;
    while (end > 0) {
      const from = Math.max(0, end - 65536);
      const block = await readBlock(file.fd, from, end - from);
      // The last newline ends the last line; it begins none.
      let at = first ? block.length - 2 : block.length - 1;
      first = false;
      for (; at >= 0; at--) {
        at = block.lastIndexOf(10, at);
        if (at < 0) break;
        if (--left === 0) return { index, offset: from + at + 1, skip: 0 };
      }
      end = from;
    }
    if (--left === 0) return { index, offset: 0, skip: 0 };
  }
  return { index: 0, offset: 0, skip: 0 };
}

async function countLines(file: LogFile): Promise<number> {
  let lines = 0;
  try {
    for await (const block of readContent(file, 0))
      for (let at = block.indexOf(10); at >= 0; at = block.indexOf(10, at + 1)) lines++;
  } catch {
    // Damaged: it has what it has.
  }
  return lines;
}
