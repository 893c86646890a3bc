import { closeSync, createReadStream, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { CliError } from "./errors.ts";
import { writeAll } from "./output.ts";
import { stdinChunks } from "./terminal/stdin.ts";
import { isTerminal } from "./terminal/tty.ts";

/** A file (or stdin, for no name) as a stream of bytes. Throws CliError where stdin is a terminal. */
export function readInput(path: string | undefined): AsyncIterable<Uint8Array> {
  if (path) return fileChunks(path);
  if (isTerminal(0)) throw new CliError("requested load from stdin, but stdin is empty");
  return copied(stdinChunks());
}

async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
  } catch (error) {
    const { code } = error as { code?: string };
    throw new CliError(
      code === "ENOENT" ? `open ${path}: no such file or directory` : `open ${path}: ${(error as Error).message}`,
    );
  }
}

async function* copied(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk.slice();
}

/** Writes a stream to a file, which appears only when it is whole, or to stdout, which may not be a terminal. */
export async function writeOutput(path: string | undefined, body: AsyncIterable<Uint8Array>): Promise<void> {
  if (!path) {
    for await (const chunk of body) writeAll(1, chunk);
    return;
  }
  const temporary = `${path}.tmp${process.pid}`;
  const fd = openSync(temporary, "wx", 0o600);
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    }
    closeSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Refuses to pour a tar onto a terminal. */
export function refuseTerminal(path: string | undefined): void {
  if (!path && isTerminal(1)) {
    throw new CliError("cowardly refusing to save to a terminal. Use the -o flag or redirect");
  }
}
