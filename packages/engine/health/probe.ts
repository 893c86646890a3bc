import { messageOf } from "@gantry/spec";
import type { Container } from "../containers/container.ts";
import type { Engine } from "../engine.ts";
import { commandText, startExec } from "../exec/exec.ts";
import type { Exec } from "../exec/execs.ts";
import { newId } from "../ids.ts";

/** Bytes of output kept of one run. */
const MAX_OUTPUT = 4096;

/** Runs a health check once. An exit code other than 0 and 1 counts as 1; -1 means it could not be run in time. */
export async function runProbe(
  engine: Engine,
  container: Container,
  command: string[],
  timeoutMs: number,
): Promise<{ exitCode: number; output: string }> {
  const exec: Exec = {
    id: newId(),
    container,
    config: { Cmd: command, AttachStdout: true, AttachStderr: true },
    running: false,
    exitCode: null,
    pid: 0,
    task: null,
    done: null,
    prepared: null,
  };
  let output = "";
  let collected: Promise<void> = Promise.resolve();
  container.emit(`exec_create: ${commandText(exec.config)}`, { execID: exec.id });
  try {
    const started = startExec(engine, exec, null, { stdin: false, stdout: true, stderr: true }, (stream) => {
      collected = collect(stream.output, (text) => {
        if (output.length < MAX_OUTPUT) output = (output + text).slice(0, MAX_OUTPUT);
      });
    });
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), timeoutMs);
    // A shim that does not answer is late too.
    const which = await Promise.race([started.then(() => exec.done), late.promise]);
    clearTimeout(timer);
    if (which === "late") {
      started.then(() => exec.task?.kill(9)).catch(() => {});
      return { exitCode: -1, output: `Health check exceeded timeout (${timeoutMs / 1000}s)` };
    }
    await collected;
    return { exitCode: exec.exitCode ?? -1, output };
  } catch (error) {
    return { exitCode: -1, output: messageOf(error) };
  }
}

/** Takes the multiplexed stream apart and hands on the text. */
async function collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= 8) {
      const size = rest.readUInt32BE(4);
      if (rest.length < 8 + size) break;
      take(rest.toString("utf8", 8, 8 + size));
      rest = rest.subarray(8 + size);
    }
  }
}
