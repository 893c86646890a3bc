import type { HijackedStream } from "@gantry/client";
import { writeAll } from "../output.ts";
import { DetachFilter, parseDetachKeys } from "./detach-keys.ts";
import { stdinChunks } from "./stdin.ts";
import { isTerminal, rawMode } from "./tty.ts";

export interface SessionOptions {
  tty: boolean;
  stdin: boolean;
  /** Whether output is wanted at all; without it the session ends with stdin. */
  output: boolean;
  detachKeys: string;
}

/**
 * Connects this process's stdin, stdout and stderr with a container's until its output ends (`ended`) or the detach
 * keys are typed (`detached`).
 */
export async function session(stream: HijackedStream, options: SessionOptions): Promise<"ended" | "detached"> {
  const interactive = options.tty && options.stdin && isTerminal(0);
  const restore = interactive ? await rawMode() : undefined;
  stream.multiplexed = !options.tty;
  const output = stream.split((name, bytes) => writeAll(name === "stderr" ? 2 : 1, bytes)).then(() => "ended" as const);
  try {
    if (!options.stdin) return await output;
    const filter = options.tty ? new DetachFilter(parseDetachKeys(options.detachKeys)) : undefined;
    const input = sendStdin(stream, filter);
    // The end of stdin is not the end of the session as long as there is output to come.
    const first = await Promise.race([output, input]);
    if (first === "detached") {
      stream.destroy();
      output.catch(() => {});
      return first;
    }
    if (first === "ended") return first;
    if (!options.output) return "ended";
    return await output;
  } finally {
    restore?.();
  }
}

async function sendStdin(stream: HijackedStream, filter: DetachFilter | undefined): Promise<"closed" | "detached"> {
  for await (const chunk of stdinChunks()) {
    const bytes = filter ? filter.feed(chunk) : chunk;
    if (bytes.length > 0) await stream.write(bytes);
    if (filter?.detached) return "detached";
  }
  stream.closeWrite();
  return "closed";
}
