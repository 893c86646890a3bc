import { read } from "node:fs";

const CHUNK = 64 * 1024;

/**
 * Reads stdin piece by piece, of at most `size` bytes each. `process.stdin` is not used: its loading is slow, and it reads
 * ahead. A piece is only good until the next is asked for.
 */
export async function* stdinChunks(size = CHUNK): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = new Uint8Array(size);
  for (;;) {
    const length = await readOnce(buffer);
    if (length === 0) return;
    yield buffer.subarray(0, length);
  }
}

function readOnce(buffer: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const attempt = () =>
      read(0, buffer, 0, buffer.length, null, (error, length) => {
        if (!error) resolve(length);
        else if (error.code === "EAGAIN") setTimeout(attempt, 5);
        else if (error.code === "EOF" || error.code === "EIO" || error.code === "EBADF") resolve(0);
        else reject(error);
      });
    attempt();
  });
}
