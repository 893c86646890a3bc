import { fstatSync } from "node:fs";
import type { WriteStream } from "node:tty";

/** The major number of /dev/null, /dev/zero and the like. */
const MEMORY_DEVICES = 1;

/**
 * Whether a descriptor is a terminal. `node:tty` costs 3 ms at the first start: it is asked only where the descriptor
 * is a device that may be one.
 */
export function isTerminal(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev >>> 8 === MEMORY_DEVICES) return false;
  } catch {
    return false;
  }
  return process.getBuiltinModule("node:tty").isatty(fd);
}

/** The terminal's size on stdout; undefined where it is none or has none. */
export function terminalSize(): { rows: number; columns: number } | undefined {
  if (!isTerminal(1)) return undefined;
  const [columns, rows] = (process.stdout as WriteStream).getWindowSize?.() ?? [0, 0];
  return columns > 0 && rows > 0 ? { rows, columns } : undefined;
}

/** Puts the terminal on stdin into raw mode; returns what puts it back. It is put back at the process's end, too. */
export async function rawMode(): Promise<() => void> {
  if (!isTerminal(0)) return () => {};
  const { makeRaw } = await import("@gantry/sys");
  const restore = makeRaw(0);
  process.once("exit", restore);
  return restore;
}

/** Calls back on each change of the terminal's size. Returns what ends it. */
export function onResize(changed: (size: { rows: number; columns: number }) => void): () => void {
  const listener = () => {
    const size = terminalSize();
    if (size) changed(size);
  };
  process.on("SIGWINCH", listener);
  return () => process.off("SIGWINCH", listener);
}
