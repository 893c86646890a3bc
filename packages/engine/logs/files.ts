import { closeSync, constants, fstatSync, openSync, read as readCallback, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import { flock } from "@gantry/sys";

const readAt = promisify(readCallback);

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const BLOCK = 1 << 18;
const HEAD = 512;
/** How often, one millisecond apart, a lock is asked for: its holders keep it for a few renames. */
const LOCK_TRIES = 200;

/** One open file of a log. It stays what it is whatever its name becomes. */
export interface LogFile {
  fd: number;
  compressed: boolean;
  /** The one that the shim writes to. */
  current: boolean;
  ino: number;
  /** Milliseconds since 1970. */
  mtimeMs: number;
}

/** A rotated file's name: `slot` counts from 1, the youngest. */
export interface RotatedName {
  slot: number;
  path: string;
  compressed: boolean;
}

/**
 * Runs `change`, which must not wait, while no one else gives the log's files other names. The lock is flock(2) on their
 * directory: the shim takes it to rotate (and puts the rotation off where it cannot), and the kernel takes it from the
 * dead. Null where it was not to be had.
 */
export async function withLogLock<T>(path: string, mode: "shared" | "exclusive", change: () => T): Promise<T | null> {
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    const directory = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      let locked = false;
      try {
        flock(directory, (mode === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB);
        locked = true;
      } catch (error) {
        if ((error as { code?: string }).code !== "EAGAIN") throw error;
      }
      if (locked) return change();
    } finally {
      closeSync(directory);
    }
    await Bun.sleep(1);
  }
  return null;
}

/** Rotated files, youngest first. Of one that is there plain and compressed both are listed, the plain one first. */
export function rotatedNames(path: string): RotatedName[] {
  const prefix = `${basename(path)}.`;
  const names: RotatedName[] = [];
  for (const name of readdirSync(dirname(path))) {
    if (!name.startsWith(prefix)) continue;
    const match = /^([1-9]\d{0,8})(\.gz)?$/.exec(name.slice(prefix.length));
    if (match === null) continue;
    names.push({
      slot: Number(match[1]),
      path: `${path}.${match[1]}${match[2] ?? ""}`,
      compressed: match[2] !== undefined,
    });
  }
  return names.sort((a, b) => a.slot - b.slot || Number(a.compressed) - Number(b.compressed));
}

/** Opens all files of a log at one moment between rotations, oldest first; the caller closes them. */
export async function openLogFiles(path: string): Promise<LogFile[]> {
  try {
    return (await withLogLock(path, "shared", () => openAll(path))) ?? openAll(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return [];
    throw error;
  }
}

function openAll(path: string): LogFile[] {
  const files: LogFile[] = [];
  const add = (name: string, compressed: boolean, current: boolean) => {
    let fd: number;
    try {
      fd = openSync(name, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if ((error as { code?: string }).code === "ENOENT") return;
      throw error;
    }
    const { ino, mtimeMs } = fstatSync(fd);
    files.push({ fd, compressed, current, ino, mtimeMs });
  };
  try {
    let slot = 0;
    add(path, false, true);
    for (const name of rotatedNames(path)) {
      // Compressed, and the plain one not yet away: the same lines twice.
      if (name.slot !== slot) add(name.path, name.compressed, false);
      slot = name.slot;
    }
  } catch (error) {
    closeAll(files);
    throw error;
  }
  return files.reverse();
}

export function closeAll(files: Iterable<LogFile>): void {
  for (const file of files) closeSync(file.fd);
}

/** Reads up to `length` bytes at an offset, into a buffer of one's own if given; fewer at the end of the file. */
export async function readBlock(
  fd: number,
  offset: number,
  length = BLOCK,
  block: Buffer = Buffer.allocUnsafe(length),
): Promise<Buffer> {
  const { bytesRead } = await readAt(fd, block, 0, length, offset);
  return block.subarray(0, bytesRead);
}

/** An open file from an offset to its end, in blocks. */
export async function* readBlocks(fd: number, offset: number): AsyncGenerator<Buffer> {
  for (let at = offset; ; ) {
    const block = await readBlock(fd, at);
    if (block.length === 0) return;
    at += block.length;
    yield block;
  }
}

/** A file's content in blocks, unpacked where it is compressed (`offset` counts in the plain file only). */
export function readContent(file: LogFile, offset: number): AsyncIterable<Buffer> {
  const blocks = readBlocks(file.fd, offset);
  if (!file.compressed) return blocks;
  // Its own error ends the loop over it.
  return pipeline(Readable.from(blocks), createGunzip(), () => {});
}

/** How a file begins: two files of a log never begin alike, since no two lines have the same time. */
export async function readHead(file: LogFile): Promise<Buffer> {
  if (!file.compressed) return readBlock(file.fd, 0, HEAD);
  let head: Buffer = Buffer.alloc(0);
  try {
    for await (const block of readContent(file, 0)) {
      head = Buffer.concat([head, block.subarray(0, HEAD - head.length)]);
      if (head.length === HEAD) break;
    }
  } catch {
    // Damaged: it has what it has.
  }
  return head;
}
