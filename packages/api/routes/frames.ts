/** A piece of Docker's multiplexed stream: one byte for the stream (1 stdout, 2 stderr), three zeros, the length, the bytes. */
export function frame(stream: 1 | 2, bytes: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(8 + bytes.length);
  framed.writeUInt32BE(stream * 0x1000000, 0);
  framed.writeUInt32BE(bytes.length, 4);
  framed.set(bytes, 8);
  return framed;
}
