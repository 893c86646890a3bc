import { closeSync, readSync } from "node:fs";
import { close, memfd, pipe, writeAll } from "@gantry/sys";
import { StartError } from "../contract.ts";
import { ShimProgram } from "../runtime/spawn.ts";

const decoder = new TextDecoder();

/** Reads the shim's one word: a pid, or why there is none. */
function readResult(fd: number): number {
  const frame = new Uint8Array(2048);
  let length = 0;
  for (let n = 1; n > 0 && length < frame.length; length += n) {
    n = readSync(fd, frame, length, frame.length - length, null);
    if (length + n >= 12) {
      length += n;
      break;
    }
  }
  if (length < 12) throw new Error("the shim died");
  const view = new DataView(frame.buffer);
  const pid = view.getInt32(0, true);
  if (pid > 0) return pid;
  const code = view.getUint32(8, true);
  const exitCode = code === 126 || code === 127 ? code : 125;
  throw new StartError(decoder.decode(frame.subarray(12, length)), exitCode, view.getInt32(4, true));
}

export interface OneShot {
  pid: number;
  /** Resolves with the exit code of the container's process, where the shim stays for it. */
  exited: Promise<number>;
}

/** Runs the shim on a plan with our own stdio and `preserve` further descriptors. Throws StartError. */
export function runOneShot(shimPath: string, plan: Uint8Array, preserve: number): OneShot {
  const program = new ShimProgram(shimPath);
  const data = memfd("gantry-plan", 1);
  const [read, write] = pipe();
  try {
    writeAll(data, plan);
    const passed = Array.from({ length: preserve }, (_, i) => 3 + i);
    const child = Bun.spawn({
      cmd: [program.path, String(3 + preserve)],
      argv0: "gantry-shim",
      env: {},
      stdio: ["inherit", "inherit", "inherit", ...passed, data, write],
    });
    close(write);
    return { pid: readResult(read), exited: child.exited };
  } finally {
    close(data);
    closeSync(read);
    program.close();
  }
}
