import { close, O, open, pread, read } from "@gantry/sys";
import { Decompressor, detectCompression, MAGIC_LENGTH } from "./decompress.ts";
import { Packer } from "./packer.ts";
import { type RingMemory, SyncRingReader } from "./ring.ts";

/** Where a worker reads bytes from: the main thread, a file, or a container's writable directory packed as a layer. */
export type ByteSource = { ring: RingMemory } | { path: string } | { pack: string };

/** Feeds all bytes of a source to `use`, in pieces valid only during the call. */
export function drain(source: ByteSource, use: (chunk: Uint8Array) => void): void {
  if ("ring" in source) {
    const reader = new SyncRingReader(source.ring);
    try {
      reader.drain(use);
    } catch (error) {
      reader.cancel();
      throw error;
    }
    return;
  }
  if ("pack" in source) {
    const root = open(source.pack, O.RDONLY | O.DIRECTORY);
    try {
      for (const _ of new Packer(root, { write: use }, { whiteouts: "overlay" }).walk());
    } finally {
      close(root);
    }
    return;
  }
  const fd = open(source.path, O.RDONLY);
  try {
    const buffer = new Uint8Array(1 << 19);
    for (;;) {
      const n = read(fd, buffer);
      if (n === 0) return;
      use(n === buffer.length ? buffer : buffer.subarray(0, n));
    }
  } finally {
    close(fd);
  }
}

/** Undoes gzip and zstd, told by the first bytes; anything else passes. */
export class Inflater {
  private head: Uint8Array | null = new Uint8Array(0);
  private codec: Decompressor | null = null;

  constructor(private readonly emit: (chunk: Uint8Array) => void) {}

  push(chunk: Uint8Array): void {
    if (this.head === null) {
      if (this.codec) this.codec.push(chunk, this.emit);
      else this.emit(chunk);
      return;
    }
    const head = this.head.length === 0 ? chunk : Buffer.concat([this.head, chunk]);
    if (head.length < MAGIC_LENGTH) {
      this.head = Uint8Array.from(head);
      return;
    }
    this.begin(head);
  }

  finish(): void {
    if (this.head !== null && this.head.length > 0) this.begin(this.head);
    this.codec?.finish(this.emit);
  }

  dispose(): void {
    this.codec?.close();
    this.codec = null;
  }

  private begin(head: Uint8Array): void {
    this.head = null;
    const kind = detectCompression(head);
    if (kind === "gzip" || kind === "zstd") this.codec = new Decompressor(kind);
    this.push(head);
  }
}

/** First bytes of a file, fewer where it is shorter. */
export function headOf(path: string, length = MAGIC_LENGTH): Uint8Array {
  const fd = open(path, O.RDONLY);
  try {
    const buffer = new Uint8Array(length);
    return buffer.subarray(0, pread(fd, buffer, 0));
  } finally {
    close(fd);
  }
}
