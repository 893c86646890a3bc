import { readFileSync } from "node:fs";
import { libc, NR } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Gives the pages of the program's code back to the page cache, as the kernel does under memory pressure: they no longer
 * count as ours, and come back by minor faults where they are needed again. Only code: it is never written to, so that
 * nothing can be lost. Errors are of no consequence.
 */
export function releaseProgramPages(): void {
  for (const line of readFileSync("/proc/self/maps", "latin1").split("\n")) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ [1-9]\d*\s+\//.exec(line);
    if (match === null) continue;
    const start = BigInt(`0x${match[1]}`);
    const end = BigInt(`0x${match[2]}`);
    libc.syscall(NR.madvise, start, end - start, MADV_DONTNEED, 0, 0, 0);
  }
}
