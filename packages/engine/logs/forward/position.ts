import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { isErrno } from "@gantry/sys";
import type { Begun } from "./message.ts";

/** How far a container's log has been sent. */
export interface LogPosition {
  /** Of the file that it is in: how it begins (see `LogTail`), and its inode number. */
  key: string;
  ino: number;
  /** Bytes of that file (unpacked, where it is compressed by now). */
  offset: number;
  /** Of the last line that was sent; "" before the first. */
  time: string;
  begun: Begun;
  /** Bytes known to be gone unsent, and how often that was found. */
  lostBytes: number;
  losses: number;
}

/** The position that was saved, null where there is none (or what is there is none). */
export async function loadPosition(path: string): Promise<LogPosition | null> {
  try {
    const found = JSON.parse(await readFile(path, "utf8")) as LogPosition;
    const { key, ino, offset, time, begun } = found;
    const good =
      typeof key === "string" &&
      typeof ino === "number" &&
      Number.isSafeInteger(offset) &&
      offset >= 0 &&
      typeof time === "string" &&
      typeof begun === "object" &&
      begun !== null;
    return good ? { ...found, lostBytes: Number(found.lostBytes) || 0, losses: Number(found.losses) || 0 } : null;
  } catch {
    return null;
  }
}

/** Replaces the saved position. Whoever dies in between leaves the one before. */
export async function savePosition(path: string, position: LogPosition): Promise<void> {
  const write = () => writeFile(`${path}.tmp`, JSON.stringify(position), { mode: 0o600 });
  try {
    await write();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await write();
  }
  await rename(`${path}.tmp`, path);
}
