import type { ProgressMessage } from "@gantry/spec";
import { CliError } from "../errors.ts";
import { humanSize } from "../format/units.ts";
import { writeAll } from "../output.ts";
import { isTerminal, terminalSize } from "./tty.ts";

/**
 * Prints a progress stream as Docker does: on a terminal a line for each layer that is drawn anew, elsewhere a line for
 * each step without the bars. `aux` gets the results that the stream carries. Throws CliError where the stream tells an
 * error.
 */
export async function showProgress(
  stream: AsyncIterable<ProgressMessage>,
  options: { fd?: number; aux?: (value: unknown, id: string | undefined) => void } = {},
): Promise<void> {
  const fd = options.fd ?? 1;
  const display = new ProgressDisplay((text) => writeAll(fd, text), isTerminal(fd), terminalSize()?.columns);
  for await (const message of stream) {
    if (message.aux !== undefined && message.aux !== null) {
      options.aux?.(message.aux, message.id);
      continue;
    }
    display.show(message);
  }
}

/** The lines of a progress stream on a terminal or in a file. */
export class ProgressDisplay {
  #write: (text: string) => void;
  #terminal: boolean;
  #columns: number;
  #lines = new Map<string, number>();
  constructor(write: (text: string) => void, terminal: boolean, columns = 200) {
    this.#write = write;
    this.#terminal = terminal;
    this.#columns = columns;
  }

  /** Prints one message. Throws CliError for one that is an error. */
  show(message: ProgressMessage): void {
    if (message.errorDetail || message.error) {
      const text = message.errorDetail?.message || message.error || "";
      throw new CliError(message.errorDetail?.code === 401 ? "authentication is required" : text, 1);
    }
    const id = message.id ?? "";
    const progress = message.progressDetail;
    if (!id || (!progress && !message.progress)) {
      this.#lines.clear();
      this.#write(this.#text(message));
      return;
    }
    let before = "";
    let line = this.#lines.get(id);
    if (line === undefined) {
      line = this.#lines.size;
      this.#lines.set(id, line);
      if (this.#terminal) before = "\n";
    }
    const up = this.#lines.size - line;
    const text = this.#text(message);
    this.#write(this.#terminal ? `${before}\x1b[${up}A${text}\x1b[${up}B` : text);
  }

  #text(message: ProgressMessage): string {
    const progress = message.progressDetail;
    const bar = progress ? progressText(progress, this.#columns) : "";
    const redrawn = this.#terminal && !message.stream && progress !== undefined;
    if (!redrawn && bar) return "";
    const end = redrawn ? "\r" : "";
    const head = `${redrawn ? "\x1b[2K\r" : ""}${message.id ? `${message.id}: ` : ""}${message.from ? `(from ${message.from}) ` : ""}`;
    if (progress && this.#terminal) return `${head}${message.status ?? ""} ${bar}${end}`;
    if (message.progress) return `${head}${message.status ?? ""} ${message.progress}${end}`;
    if (message.stream) return `${head}${message.stream}${end}`;
    return `${head}${message.status ?? ""}${end}\n`;
  }
}

/** The bar and numbers of one step. */
export function progressText(progress: NonNullable<ProgressMessage["progressDetail"]>, columns: number): string {
  const { current = 0, total = 0, units = "", hidecounts, start = 0 } = progress;
  if (current <= 0 && total <= 0) return "";
  if (total <= 0) return units ? `${current} ${units}` : humanSize(current).padStart(8);
  const half = Math.min(50, Math.trunc(Math.trunc((current / total) * 100) / 2));
  const bar = columns > 110 ? `[${"=".repeat(half)}>${" ".repeat(50 - half)}] ` : "";
  let numbers = "";
  if (!hidecounts) {
    if (units) numbers = current > total ? `${current} ${units}` : `${current}/${total} ${units}`;
    else numbers = humanSize(current).padStart(8) + (current > total ? "" : `/${humanSize(total)}`);
  }
  let left = "";
  if (current > 0 && start > 0 && half < 50) {
    const seconds = ((Date.now() / 1000 - start) / current) * (total - current);
    left = ` ${Math.round(seconds)}s`;
  }
  return bar + numbers + left;
}
