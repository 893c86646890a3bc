import { existsSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { parseTime } from "../time.ts";

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

const BLOCK = 1 << 18;
/** A line longer than this is not a log line of ours (the shim splits at 16 KiB). */
const MAX_LINE = 1 << 20;

/** The log's files, oldest first: rotated ones, then the current. */
export function logFiles(path: string): string[] {
  const rotated: string[] = [];
  for (let i = 1; i < 1000; i++) {
    if (existsSync(`${path}.${i}`)) rotated.push(`${path}.${i}`);
    else if (existsSync(`${path}.${i}.gz`)) rotated.push(`${path}.${i}.gz`);
    else break;
  }
  return existsSync(path) ? [...rotated.reverse(), path] : rotated.reverse();
}

/** A reader that remembers where it is, so that following goes on where reading ended. */
export class LogReader {
  private handle: FileHandle | null = null;
  private offset = 0;
  private rest: Buffer = Buffer.alloc(0);
  private readonly path: string;
  private ino = 0;
  /** When our file was last written to, as far as it was read. */
  private readMs = 0;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Everything that is there now, in batches. Stops at the end of the current file and can be called again for what
   * came since; a rotation in between is followed without losing lines.
   */
  async *read(range: LogRange): AsyncGenerator<LogEntry[]> {
    if (this.handle === null) {
      const files = logFiles(this.path);
      const start = range.tail < 0 ? { index: 0, offset: 0 } : await tailStart(files, range.tail);
      for (let i = start.index; i < files.length; i++) {
        const file = files[i] as string;
        const offset = i === start.index ? start.offset : 0;
        if (file === this.path) {
          this.handle = await open(file, "r").catch(() => null);
          this.ino = this.handle === null ? 0 : (await this.handle.stat()).ino;
          this.offset = offset;
        } else yield* readWhole(file, offset, range);
      }
      if (this.handle === null) {
        if (!existsSync(this.path)) return;
        this.handle = await open(this.path, "r");
        this.ino = (await this.handle.stat()).ino;
      }
    }
    for (;;) {
      yield* this.drain(range);
      // Rotated away under us: what was still written to the old file has been read; on to the new one.
      const current = await stat(this.path).catch(() => null);
      if (current === null || (current.ino === this.ino && current.size >= this.offset)) return;
      yield* this.drain(range);
      yield* this.skipped(range);
      await this.handle.close();
      this.handle = null;
      this.handle = await open(this.path, "r");
      this.ino = (await this.handle.stat()).ino;
      this.offset = 0;
      this.rest = Buffer.alloc(0);
    }
  }

  /** Files that came and went between ours and the current one: a slow reader is overtaken by several rotations. */
  private async *skipped(range: LogRange): AsyncGenerator<LogEntry[]> {
    const between: string[] = [];
    for (const file of logFiles(this.path).reverse().slice(1)) {
      const there = await stat(file).catch(() => null);
      if (there === null || there.ino === this.ino) break;
      // A file older than what was read last is one that was there before.
      if (there.mtimeMs < this.readMs) break;
      between.push(file);
    }
    for (const file of between.reverse()) yield* readWhole(file, 0, range);
  }

  private async *drain(range: LogRange): AsyncGenerator<LogEntry[]> {
    const handle = this.handle as FileHandle;
    for (;;) {
      const block = Buffer.allocUnsafe(BLOCK);
      const { bytesRead } = await handle.read(block, 0, BLOCK, this.offset);
      if (bytesRead === 0) {
        this.readMs = (await handle.stat()).mtimeMs;
        return;
      }
      this.offset += bytesRead;
      const data =
        this.rest.length === 0
          ? block.subarray(0, bytesRead)
          : Buffer.concat([this.rest, block.subarray(0, bytesRead)]);
      const { entries, rest } = parseLines(data, range);
      this.rest = rest.length > MAX_LINE ? Buffer.alloc(0) : Buffer.from(rest);
      if (entries.length > 0) yield entries;
    }
  }

  async close(): Promise<void> {
    await this.handle?.close();
    this.handle = null;
  }
}

async function* readWhole(file: string, offset: number, range: LogRange): AsyncGenerator<LogEntry[]> {
  let rest: Buffer = Buffer.alloc(0);
  const stream = file.endsWith(".gz")
    ? Bun.file(file)
        .stream()
        .pipeThrough(new DecompressionStream("gzip") as never)
    : Bun.file(file).slice(offset).stream();
  try {
    for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
      const data = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
      const parsed = parseLines(data, range);
      rest = parsed.rest;
      if (parsed.entries.length > 0) yield parsed.entries;
    }
  } catch {
    // Rotated away while it was read.
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

/** Where the last `count` lines begin, found by reading backwards. Compressed files are taken whole. */
async function tailStart(files: string[], count: number): Promise<{ index: number; offset: number }> {
  if (count === 0) {
    const last = files.length - 1;
    const file = files[last];
    return { index: Math.max(last, 0), offset: file === undefined ? 0 : Bun.file(file).size };
  }
  let left = count;
  for (let i = files.length - 1; i >= 0; i--) {
    const file = files[i] as string;
    if (file.endsWith(".gz")) return { index: i + 1, offset: 0 };
    const handle = await open(file, "r").catch(() => null);
    if (handle === null) return { index: i + 1, offset: 0 };
    try {
      let end = (await handle.stat()).size;
      const block = Buffer.allocUnsafe(65536);
      let first = true;
      while (end > 0) {
        const from = Math.max(0, end - block.length);
        const { bytesRead } = await handle.read(block, 0, end - from, from);
        // The last newline ends the last line; it begins none.
        let at = first ? bytesRead - 2 : bytesRead - 1;
        first = false;
        for (; at >= 0; at--) {
          at = block.lastIndexOf(10, at);
          if (at < 0) break;
          if (--left === 0) return { index: i, offset: from + at + 1 };
        }
        end = from;
      }
      if (--left === 0) return { index: i, offset: 0 };
    } finally {
      await handle.close();
    }
  }
  return { index: 0, offset: 0 };
}
