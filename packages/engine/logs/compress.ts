import { closeSync, constants, fstatSync, openSync, renameSync, rmSync, statSync, unlinkSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { messageOf } from "@gantry/spec";
import type { Container } from "../containers/container.ts";
import type { Engine } from "../engine.ts";
import { readBlocks, rotatedNames, withLogLock } from "./files.ts";
import { compressesLog } from "./target.ts";

/** How often running containers' logs are looked at, in milliseconds. */
const INTERVAL = 2000;

/**
 * Compresses what the shims rotated: `.1` becomes `.1.gz`, whatever number it has by then. Nothing is remembered from
 * one run of the daemon to the next: a plain rotated file is one to compress.
 */
export function compressLogs(engine: Engine): void {
  /** Of those that do not run: the start after which they were looked at. */
  const settled = new WeakMap<Container, string>();
  let busy = false;
  const look = async () => {
    if (engine.stopping) clearInterval(timer);
    if (busy || engine.stopping) return;
    busy = true;
    try {
      for (const container of engine.containers.all()) {
        if (engine.stopping) return;
        if (!compressesLog(container)) continue;
        // One that does not run rotates nothing: it is looked at once more. It may have run between two looks.
        const { startedAt } = container.state;
        if (container.task !== null) settled.delete(container);
        else if (settled.get(container) === startedAt) continue;
        else settled.set(container, startedAt);
        const wanted = () => !engine.stopping && container.state.status !== "removing";
        await compressRotated(container.logPath, wanted).catch((error) =>
          engine.log("warn", `container ${container.id}: compressing its log: ${messageOf(error)}`),
        );
      }
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), INTERVAL);
  timer.unref();
  void look();
}

/**
 * Compresses every plain rotated file of a log, one after the other, oldest first. Each goes to `<path>.gz.tmp` and gets
 * its name when it is whole and on disk. At any moment a slot has the plain file, both, or the compressed one, so that a
 * death in between costs work only. `wanted` is asked before each file is begun and given its name.
 */
export async function compressRotated(path: string, wanted: () => boolean = () => true): Promise<void> {
  for (;;) {
    if (!wanted()) return;
    const temporary = `${path}.gz.tmp`;
    const source = openOldest(path);
    if (source === null) {
      if (await stat(temporary).catch(() => null)) rmSync(temporary, { force: true });
      return;
    }
    try {
      if (!(await compressFile(path, source, temporary, wanted))) return;
    } finally {
      closeSync(source);
      rmSync(temporary, { force: true });
    }
  }
}

/** The oldest plain rotated file, open; null for none. */
function openOldest(path: string): number | null {
  try {
    const plain = rotatedNames(path).filter((name) => !name.compressed);
    // Rotated away between listing and opening: there is a next time.
    for (const name of plain.reverse()) return openSync(name.path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
  return null;
}

/** Whether to go on with the next. */
async function compressFile(path: string, source: number, temporary: string, wanted: () => boolean): Promise<boolean> {
  const from = fstatSync(source);
  rmSync(temporary, { force: true });
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  let handle: FileHandle;
  try {
    handle = await open(temporary, flags, from.mode & 0o777);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
  try {
    await pipeline(Readable.from(readBlocks(source, 0)), createGzip(), async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) await handle.writeFile(chunk);
    });
    // Whoever follows the log tells by it what was written after what.
    await handle.utimes(from.atimeMs / 1000, from.mtimeMs / 1000);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  if (!wanted()) return false;
  return (await withLogLock(path, "exclusive", () => replace(path, from.ino, temporary))) ?? false;
}

/** Under the lock: puts the compressed file where the plain one is by now; dropped by rotation it is no more wanted. */
function replace(path: string, ino: number, temporary: string): boolean {
  for (const name of rotatedNames(path)) {
    if (name.compressed || statSync(name.path).ino !== ino) continue;
    renameSync(temporary, `${name.path}.gz`);
    unlinkSync(name.path);
    break;
  }
  return true;
}
