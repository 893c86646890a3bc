import { isatty } from "node:tty";

/** Whether a descriptor is a terminal. */
export function isTerminal(fd: number): boolean {
  return isatty(fd);
}

/** The terminal's size on stdout; undefined where it is none or has none. */
export function terminalSize(): { rows: number; columns: number } | undefined {
  if (!isatty(1)) return undefined;
  const [columns, rows] = process.stdout.getWindowSize?.() ?? [0, 0];
  return columns > 0 && rows > 0 ? { rows, columns } : undefined;
}

/** Puts the terminal on stdin into raw mode; returns what puts it back. */
export function rawMode(): () => void {
  if (!isatty(0)) return () => {};
  const stdin = process.stdin;
  const before = stdin.isRaw;
  stdin.setRawMode(true);
  let restored = false;
  const restore = () => {
    if (restored) return;
    restored = true;
    stdin.setRawMode(before ?? false);
  };
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
