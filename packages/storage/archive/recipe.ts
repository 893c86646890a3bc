import zlib from "node:zlib";
import { systemError } from "@gantry/spec";
import { close, ftruncate, O, open, pread, RESOLVE, read, writeAll } from "@gantry/sys";
import { tryOpenat2 } from "./at.ts";
import type { TarEntry } from "./entry.ts";
import { decodeName, encodeName } from "./names.ts";

/**
 * How to give a layer's tar back byte for byte without keeping it: the headers and padding as they were, and for each
 * payload the file in the unpacked directory that holds it. (The idea is tar-split's.) A 500 MB layer of 20,000 files
 * needs some 0.5 MB, and its data is written to disk once.
 *
 * The file is a row of chunks, each a 32-bit little-endian length and a zstd frame of that length; a chunk holds
 * whole records: RAW <varint length> <bytes>, or FILE <varint length of path> <path> <varint count> then
 * count times <varint offset> <varint length>.
 */
const RAW = 1;
const FILE = 2;
const CHUNK = 1 << 18;

class Records {
  private buffer = Buffer.allocUnsafe(CHUNK + (1 << 16));
  private used = 0;
  constructor(private readonly fd: number) {}

  private varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.used++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.buffer[this.used++] = rest;
  }

  raw(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 1 << 15) {
      const piece = bytes.subarray(at, at + (1 << 15));
      this.buffer[this.used++] = RAW;
      this.varint(piece.length);
      this.buffer.set(piece, this.used);
      this.used += piece.length;
      if (this.used >= CHUNK) this.flush();
    }
  }

  file(path: string, pieces: { offset: number; length: number }[]): void {
    const name = encodeName(path);
    // A map can be long; it is cut in several references of the same file.
    for (let at = 0; at < pieces.length; at += 1024) {
      const part = pieces.slice(at, at + 1024);
      this.buffer[this.used++] = FILE;
      this.varint(name.length);
      this.buffer.set(name, this.used);
      this.used += name.length;
      this.varint(part.length);
      for (const { offset, length } of part) {
        this.varint(offset);
        this.varint(length);
      }
      if (this.used >= CHUNK) this.flush();
    }
  }

  flush(): void {
    if (this.used === 0) return;
    const frame = zlib.zstdCompressSync(this.buffer.subarray(0, this.used));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(frame.length);
    writeAll(this.fd, head);
    writeAll(this.fd, frame);
    this.used = 0;
  }
}

/** Writes `<directory>/recipe` while a layer is unpacked to `<directory>/diff`; or, where it must, `<directory>/tar`. */
export class RecipeWriter {
  private fd: number;
  private records: Records;
  private tar = -1;

  constructor(
    private readonly directory: string,
    private readonly diffFd: number,
  ) {
    this.fd = open(`${directory}/recipe`, O.RDWR | O.CREAT | O.EXCL, 0o600);
    this.records = new Records(this.fd);
  }

  raw(bytes: Uint8Array): void {
    if (this.tar >= 0) writeAll(this.tar, bytes);
    else this.records.raw(bytes);
  }

  /** Payload on its way into a file; only kept where files cannot be relied on any more. */
  payload(chunk: Uint8Array): void {
    if (this.tar >= 0) writeAll(this.tar, chunk);
  }

  /** The payload of the member is now in the file at `path`. */
  stored(path: string, entry: TarEntry): void {
    if (this.tar >= 0 || entry.stored === 0) return;
    this.records.file(path, entry.sparse ?? [{ offset: 0, length: entry.stored }]);
  }

  /** The payload that comes next is in these pieces of the file at `path`. */
  reference(path: string, pieces: { offset: number; length: number }[]): void {
    this.records.file(path, pieces);
  }

  /**
   * A file or folder is about to be replaced by a later member of the same name, so that references to it would
   * break: from here on the tar itself is kept, beginning with what the recipe can still give.
   */
  materialise(): void {
    if (this.tar >= 0) return;
    this.records.flush();
    this.tar = open(`${this.directory}/tar`, O.WRONLY | O.CREAT | O.EXCL, 0o600);
    replay(`${this.directory}/recipe`, this.diffFd, (chunk) => writeAll(this.tar, chunk));
    ftruncate(this.fd, 0);
  }

  /** Whether `tar` was written instead. */
  get materialised(): boolean {
    return this.tar >= 0;
  }

  finish(): void {
    if (this.tar < 0) this.records.flush();
  }

  dispose(): void {
    close(this.fd);
    if (this.tar >= 0) close(this.tar);
    this.fd = this.tar = -1;
  }
}

function readExactly(fd: number, buffer: Uint8Array): boolean {
  for (let done = 0; done < buffer.length; ) {
    const n = read(fd, buffer.subarray(done));
    if (n === 0) {
      if (done === 0) return false;
      throw systemError("layer recipe is cut short");
    }
    done += n;
  }
  return true;
}

/** Gives the tar that a recipe stands for, piece by piece. `diffFd`: the layer's directory. Chunks are borrowed. */
export function replay(recipe: string, diffFd: number, emit: (chunk: Uint8Array) => void): void {
  const fd = open(recipe, O.RDONLY);
  const head = Buffer.alloc(4);
  const buffer = Buffer.allocUnsafe(1 << 18);
  try {
    while (readExactly(fd, head)) {
      const length = head.readUInt32LE();
      if (length > 1 << 24) throw systemError("layer recipe is damaged");
      const frame = Buffer.allocUnsafe(length);
      if (!readExactly(fd, frame)) throw systemError("layer recipe is cut short");
      replayChunk(zlib.zstdDecompressSync(frame, { maxOutputLength: 1 << 24 }), diffFd, buffer, emit);
    }
  } finally {
    close(fd);
  }
}

function replayChunk(records: Buffer, diffFd: number, buffer: Buffer, emit: (chunk: Uint8Array) => void): void {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = records[at++];
      if (byte === undefined) throw systemError("layer recipe is damaged");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < records.length) {
    const kind = records[at++];
    const length = varint();
    const bytes = records.subarray(at, at + length);
    at += length;
    if (kind === RAW) {
      emit(bytes);
      continue;
    }
    if (kind !== FILE) throw systemError("layer recipe is damaged");
    const path = decodeName(bytes);
    const file = tryOpenat2(diffFd, path, O.RDONLY | O.NOCTTY | O.NONBLOCK, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
    if (file < 0) throw systemError(`layer file ${JSON.stringify(path)} is missing`);
    try {
      for (let count = varint(); count > 0; count--) copyPiece(file, varint(), varint(), buffer, emit, path);
    } finally {
      close(file);
    }
  }
}

function copyPiece(
  file: number,
  offset: number,
  length: number,
  buffer: Buffer,
  emit: (chunk: Uint8Array) => void,
  path: string,
): void {
  for (let done = 0; done < length; ) {
    const n = pread(file, buffer.subarray(0, Math.min(buffer.length, length - done)), offset + done);
    if (n === 0) throw systemError(`layer file ${JSON.stringify(path)} is shorter than it was`);
    emit(buffer.subarray(0, n));
    done += n;
  }
}
