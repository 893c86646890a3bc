import { invalidParameter } from "@gantry/spec";

/**
 * cpu.weight (v2) for v1's shares: a curve through both scales' least (2 → 1), default (1024 → 100) and greatest
 * (262144 → 10000), as runc and crun have it since 2025.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/** io.weight (1 to 10000) for blkio's weight (10 to 1000), linear. */
export function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

/**
 * memory.swap.max for the OCI's memory and swap together; undefined where nothing is to be set. 0 is "not set" in all
 * three, -1 is no limit. Throws `invalidParameter` where swap is limited and memory is not, or is less than it.
 */
export function swapOnly(memoryAndSwap: number, memory: number): number | undefined {
  if (memory === -1 && memoryAndSwap === 0) return -1;
  if (memoryAndSwap === 0) return undefined;
  if (memoryAndSwap === -1 || memory === -1) return memoryAndSwap;
  if (memory === 0) throw invalidParameter("unable to set swap limit without memory limit");
  if (memory < 0) throw invalidParameter(`invalid memory value: ${memory}`);
  if (memoryAndSwap < memory) throw invalidParameter("memory+swap limit should be >= memory limit");
  return memoryAndSwap - memory;
}
