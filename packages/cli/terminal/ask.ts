import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { writeAll } from "../output.ts";

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

/** Asks for a yes; anything else is a no. */
export async function confirm(question: string): Promise<boolean> {
  writeAll(1, `${question} [y/N] `);
  const { readSync } = await import("node:fs");
  const byte = new Uint8Array(1);
  let answer = "";
  // One byte at a time: what follows the line belongs to whoever reads next.
  while (answer.length < 64) {
    let length = 0;
    try {
      length = readSync(0, byte);
    } catch {
      break;
    }
    if (length === 0 || byte[0] === 10) break;
    answer += String.fromCharCode(byte[0]!);
  }
  return answer.trim().toLowerCase() === "y";
}
