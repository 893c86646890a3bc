import { writeSync } from "node:fs";

/** Writes to a descriptor until all is out. `process.stdout` is not used: loading it costs 11 ms at every start. */
export function writeAll(fd: number, data: Uint8Array | string): void {
  let bytes = typeof data === "string" ? Buffer.from(data) : data;
  while (bytes.length > 0) {
    try {
      const written = writeSync(fd, bytes);
      if (written >= bytes.length) return;
      bytes = bytes.subarray(written);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EAGAIN") {
        // Somebody made the terminal or pipe non-blocking.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
      } else if (code !== "EINTR") {
        // Nobody reads any more: end as a program does that SIGPIPE kills.
        if (code === "EPIPE") process.exit(141);
        throw error;
      }
    }
  }
}

/** Text to stdout. */
export function out(text: string): void {
  writeAll(1, text);
}

/** A line to stdout. */
export function line(text: string): void {
  writeAll(1, `${text}\n`);
}

/** Text to stderr. */
export function err(text: string): void {
  writeAll(2, text);
}
