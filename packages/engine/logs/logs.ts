import { watch } from "node:fs";
import { dirname } from "node:path";
import { invalidParameter, notImplemented } from "@gantry/spec";
import { readableLog } from "../config/log-config.ts";
import type { Container } from "../containers/container.ts";
import { nowNs, parseUnixTime } from "../time.ts";
import { type LogEntry, LogReader } from "./read.ts";

export interface LogOptions {
  stdout: boolean;
  stderr: boolean;
  follow: boolean;
  timestamps: boolean;
  details: boolean;
  since: string | undefined;
  until: string | undefined;
  /** "all", "" or a number. */
  tail: string | undefined;
}

/** Checks what was asked for before an answer begins. */
export function checkLogs(container: Container, options: LogOptions): void {
  if (!options.stdout && !options.stderr) {
    throw invalidParameter("Bad parameters: you must choose at least one stream");
  }
  const { LogConfig } = container.record.hostConfig;
  if (!readableLog(LogConfig?.Type ?? "", LogConfig?.Config ?? {})) {
    throw notImplemented("configured logging driver does not support reading");
  }
  parseUnixTime(options.since);
  parseUnixTime(options.until);
}

/** A container's log, in batches of lines; with `follow` until it ends (or `until`, or the signal). */
export async function* readLogs(
  container: Container,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogEntry[]> {
  const tail =
    options.tail === undefined || options.tail === "" || options.tail === "all" || !/^\d+$/.test(options.tail)
      ? -1
      : Number(options.tail);
  const range = { since: parseUnixTime(options.since), until: parseUnixTime(options.until), tail };
  const reader = new LogReader(container.logPath);
  const wanted = (entries: LogEntry[]) =>
    options.stdout && options.stderr
      ? entries
      : entries.filter((entry) => (entry.stream === "stdout" ? options.stdout : options.stderr));
  const change = options.follow ? new Change(container, signal, range.until) : null;
  try {
    for (;;) {
      const ended = change === null || change.ended;
      change?.arm();
      for await (const entries of reader.read(range)) {
        const batch = wanted(entries);
        if (batch.length > 0) yield batch;
        if (signal.aborted) return;
      }
      if (ended || change === null) return;
      await change.wait();
      if (signal.aborted) return;
    }
  } finally {
    change?.close();
    await reader.close();
  }
}

/** Tells when a log may have grown: the file changed, or its container has ended. */
class Change {
  private wake: (() => void) | null = null;
  private armed = false;
  private readonly closers: (() => void)[] = [];
  private isEnded = false;

  constructor(container: Container, signal: AbortSignal, until: bigint | null) {
    const notify = () => {
      this.armed = false;
      this.wake?.();
    };
    const end = () => {
      this.isEnded = true;
      notify();
    };
    try {
      const watcher = watch(dirname(container.logPath), notify);
      watcher.on("error", () => {});
      this.closers.push(() => watcher.close());
    } catch {
      // No more inotify watches: the clock does.
      const timer = setInterval(notify, 200);
      this.closers.push(() => clearInterval(timer));
    }
    this.closers.push(container.onExit(end), container.onRemoval(end));
    signal.addEventListener("abort", end);
    this.closers.push(() => signal.removeEventListener("abort", end));
    if (signal.aborted || (!container.running && container.state.status !== "restarting")) this.isEnded = true;
    if (until !== null) {
      const ms = Number((until - nowNs()) / 1_000_000n);
      if (ms <= 0) this.isEnded = true;
      else {
        const timer = setTimeout(end, Math.min(ms, 2 ** 31 - 1));
        this.closers.push(() => clearTimeout(timer));
      }
    }
  }

  get ended(): boolean {
    return this.isEnded;
  }

  /** Changes from now on count. */
  arm(): void {
    this.armed = true;
  }

  async wait(): Promise<void> {
    if (!this.armed || this.isEnded) return;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    this.wake = null;
  }

  close(): void {
    for (const closer of this.closers) closer();
  }
}

/** A line as the API sends it: time and details in front where asked for. */
export function formatEntry(entry: LogEntry, options: Pick<LogOptions, "timestamps" | "details">): string {
  let text = entry.line;
  if (options.details) {
    const details = Object.entries(entry.attrs ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
      .join(",");
    text = `${details} ${text}`;
  }
  return options.timestamps ? `${padTime(entry.time)} ${text}` : text;
}

/** Nine digits of fraction, as Docker prints times of logs. */
function padTime(time: string): string {
  const match = /^(.*:\d\d)(?:\.(\d+))?(Z|[+-].*)$/.exec(time);
  return match === null ? time : `${match[1]}.${(match[2] ?? "").padEnd(9, "0")}${match[3]}`;
}
