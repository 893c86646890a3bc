import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { writeAll } from "../output.ts";
import { stdinChunks } from "./stdin.ts";

/** Asks for one line on the terminal; `hidden` shows nothing of what is typed. */
export function ask(question: string, options: { hidden?: boolean } = {}): Promise<string> {
  writeAll(1, question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({
    input: process.stdin,
    terminal: true,
    output: options.hidden ? silent : process.stdout,
  });
  return new Promise((resolve) => {
    reader.once("line", (text) => {
      reader.close();
      if (options.hidden) writeAll(1, "\n");
      resolve(text.trim());
    });
    reader.once("close", () => resolve(""));
  });
}

/**
 * Asks for a yes; anything else is a no. `stopped` where SIGINT or SIGTERM came instead of an answer: the question's
 * line is ended then.
 */
export async function confirm(question: string): Promise<boolean | "stopped"> {
  let stop = () => {};
  const stopped = new Promise<"stopped">((resolve) => {
    stop = () => resolve("stopped");
  });
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, stop);
  try {
    writeAll(1, `${question} [y/N] `);
    const answer = await Promise.race([readLine(), stopped]);
    if (answer !== "stopped") return answer.text.trim().toLowerCase() === "y";
    writeAll(1, "\n");
    return answer;
  } finally {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, stop);
  }
}

/** A line of at most 64 bytes, read byte by byte: what follows it belongs to whoever reads next. */
async function readLine(): Promise<{ text: string }> {
  let text = "";
  for await (const [byte] of stdinChunks(1)) {
    if (byte === 10 || text.length === 64) break;
    text += String.fromCharCode(byte!);
  }
  return { text };
}
