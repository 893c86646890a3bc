import { readFileSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";

/** In the kernel's order: a capability's bit is its place (linux/capability.h). */
const NAMES = `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
  SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
  SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

const BITS = new Map(NAMES.map((name, bit) => [name, bit]));

/** The bit of "CAP_CHOWN" and so on, or -1 for a name the kernel does not have. */
export function capabilityBit(name: string): number {
  return BITS.get(name) ?? -1;
}

/** The 64-bit set of the names; unknown ones are left out. */
export function capabilityMask(names: readonly string[]): bigint {
  let mask = 0n;
  for (const name of names) if (BITS.has(name)) mask |= 1n << BigInt(capabilityBit(name));
  return mask;
}

function lastCapability(): number {
  try {
    const last = Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
    return Number.isInteger(last) ? last : NAMES.length - 1;
  } catch {
    return NAMES.length - 1;
  }
}

/** What this process may hand on: its permitted set, as Docker takes it to be "the current environment". */
function permitted(): bigint | null {
  try {
    const match = /^CapPrm:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
    return match ? BigInt(`0x${match[1]}`) : null;
  } catch {
    return null;
  }
}

const known = NAMES.slice(0, lastCapability() + 1);

/** All capabilities the kernel has and this process holds, in the kernel's order. */
export const ALL_CAPABILITIES: readonly string[] = (() => {
  const held = permitted();
  return held ? known.filter((_, bit) => held & (1n << BigInt(bit))) : known;
})();

/** What a container has when nothing is added or dropped: Docker's 14, in its order. */
export const DEFAULT_CAPABILITIES: readonly string[] = `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID
  SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

const ALL = "ALL";

/**
 * The names of `CapAdd` or `CapDrop` in upper case with `CAP_`; "ALL" stays. Throws `invalidParameter` for names that
 * do not exist or that cannot be had here.
 */
export function normalizeCapabilities(names: readonly string[]): string[] {
  return names.map((given) => {
    const upper = given.toUpperCase();
    if (upper === ALL) return ALL;
    const name = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
    if (!known.includes(name)) throw invalidParameter(`unknown capability: ${JSON.stringify(name)}`);
    if (!ALL_CAPABILITIES.includes(name))
      throw invalidParameter(
        `capability not supported by your kernel or not available in the current environment: ${JSON.stringify(name)}`,
      );
    return name;
  });
}

/**
 * A container's capabilities from `--cap-add`, `--cap-drop` and `--privileged`, by Docker's rules: adding ALL gives all
 * but the dropped ones; dropping ALL gives the added ones alone.
 */
export function tweakCapabilities(add: readonly string[], drop: readonly string[], privileged: boolean): string[] {
  if (privileged) return [...ALL_CAPABILITIES];
  const dropped = new Set(normalizeCapabilities(drop));
  const added = normalizeCapabilities(add);
  if (added.includes(ALL)) return ALL_CAPABILITIES.filter((name) => !dropped.has(name));
  if (dropped.has(ALL)) return [...new Set(added)];
  return [...new Set([...DEFAULT_CAPABILITIES.filter((name) => !dropped.has(name)), ...added])];
}
