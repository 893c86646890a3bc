/** A piece of Docker's multiplexed stream: one byte for the stream (1 stdout, 2 stderr), three zeros, the length, the bytes. */
export function frame(stream: 1 | 2, bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(8 + bytes.length);
  framed.writeUInt32BE(stream * 0x1000000, 0);
  framed.writeUInt32BE(bytes.length, 4);
  framed.set(bytes, 8);
  return framed;
}

/** Takes the headers out of a multiplexed stream that comes in chunks of any size. */
export function unframer(): (chunk: Uint8Array) => Uint8Array {
  const header = new Uint8Array(8);
  let have = 0;
  let left = 0;
  return (chunk) => {
    const out = new Uint8Array(chunk.length);
    let length = 0;
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const part = chunk.subarray(at, at + left);
        out.set(part, length);
        length += part.length;
        at += part.length;
        left -= part.length;
        continue;
      }
      header[have++] = chunk[at++] as number;
      if (have < 8) continue;
      have = 0;
      left = new DataView(header.buffer).getUint32(4);
    }
    return out.subarray(0, length);
  };
}
