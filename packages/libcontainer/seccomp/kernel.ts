import { release } from "node:os";
import { invalidParameter } from "@gantry/spec";

/** The two numbers that a profile's `minKernel` compares: 4 and 8 of "4.8". */
export interface KernelVersion {
  kernel: number;
  major: number;
}

/** Version of the running kernel; `5.10.0-28-amd64` is 5.10. */
export function runningKernel(): KernelVersion {
  const match = /^(\d+)\.(\d+)/.exec(release());
  return match ? { kernel: Number(match[1]), major: Number(match[2]) } : { kernel: 0, major: 0 };
}

/** Whether `version` is `minimum` or newer. */
export function atLeastKernel(version: KernelVersion, minimum: KernelVersion): boolean {
  return version.kernel > minimum.kernel || (version.kernel === minimum.kernel && version.major >= minimum.major);
}

/** Reads "<kernel>.<major>". Throws `invalidParameter` for anything else. */
export function parseKernelVersion(text: unknown): KernelVersion {
  const invalid = (more = "") =>
    invalidParameter(`invalid kernel version: ${JSON.stringify(text)}, expected "<kernel>.<major>"${more}`);
  const match = typeof text === "string" ? /^(\d{1,3})\.(\d{1,3})$/.exec(text) : null;
  if (!match) throw invalid();
  const version = { kernel: Number(match[1]), major: Number(match[2]) };
  if (version.kernel > 255 || version.major > 255) throw invalid();
  if (version.kernel === 0 && version.major === 0) throw invalid(": version cannot be 0.0");
  return version;
}
