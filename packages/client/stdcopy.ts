/** The streams that Docker multiplexes over one connection. */
export type StdStream = "stdin" | "stdout" | "stderr";

const NAMES: StdStream[] = ["stdin", "stdout", "stderr"];
const SYSTEM_ERROR = 3;
const MAX_SYSTEM_ERROR = 1 << 20;

/**
 * Takes apart Docker's framing: a header of 8 bytes (stream number, three zeros, length as 32-bit big endian), then
 * the bytes. Returns a function to feed with chunks cut anywhere; `write` gets the pieces without copying them. Throws
 * for an unknown stream number, and the engine's text for a frame of its own errors.
 */
export function demultiplex(write: (stream: StdStream, bytes: Uint8Array) => void): (chunk: Uint8Array) => void {
  const header = new Uint8Array(8);
  let have = 0;
  let left = 0;
  let stream = 1;
  let failure: Uint8Array[] = [];
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (left === 0) {
        const part = Math.min(8 - have, chunk.length - at);
        header.set(chunk.subarray(at, at + part), have);
        have += part;
        at += part;
        if (have < 8) return;
        have = 0;
        stream = header[0]!;
        left = header[4]! * 0x1000000 + ((header[5]! << 16) | (header[6]! << 8) | header[7]!);
        if (stream > SYSTEM_ERROR) throw new Error(`Unrecognized input header: ${stream}`);
        if (stream === SYSTEM_ERROR && left > MAX_SYSTEM_ERROR) throw new Error("error frame is too long");
        continue;
      }
      const part = chunk.subarray(at, Math.min(at + left, chunk.length));
      at += part.length;
      left -= part.length;
      if (stream !== SYSTEM_ERROR) {
        write(NAMES[stream]!, part);
        continue;
      }
      failure.push(part.slice());
      if (left > 0) continue;
      const text = failure.map((piece) => new TextDecoder().decode(piece)).join("");
      failure = [];
      throw new Error(`error from daemon in stream: ${text}`);
    }
  };
}

/** One frame of Docker's multiplexed stream. */
export function frame(stream: StdStream, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + bytes.length);
  out[0] = NAMES.indexOf(stream);
  new DataView(out.buffer).setUint32(4, bytes.length);
  out.set(bytes, 8);
  return out;
}
