import { readFileSync } from "node:fs";

/** All capabilities of Linux 6.x, in the order of their numbers. */
export const ALL_CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "DAC_READ_SEARCH",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "LINUX_IMMUTABLE",
  "NET_BIND_SERVICE",
  "NET_BROADCAST",
  "NET_ADMIN",
  "NET_RAW",
  "IPC_LOCK",
  "IPC_OWNER",
  "SYS_MODULE",
  "SYS_RAWIO",
  "SYS_CHROOT",
  "SYS_PTRACE",
  "SYS_PACCT",
  "SYS_ADMIN",
  "SYS_BOOT",
  "SYS_NICE",
  "SYS_RESOURCE",
  "SYS_TIME",
  "SYS_TTY_CONFIG",
  "MKNOD",
  "LEASE",
  "AUDIT_WRITE",
  "AUDIT_CONTROL",
  "SETFCAP",
  "MAC_OVERRIDE",
  "MAC_ADMIN",
  "SYSLOG",
  "WAKE_ALARM",
  "BLOCK_SUSPEND",
  "AUDIT_READ",
  "PERFMON",
  "BPF",
  "CHECKPOINT_RESTORE",
].map((name) => `CAP_${name}`);

/** What a container has unless told otherwise (Docker's fourteen). */
export const DEFAULT_CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FSETID",
  "FOWNER",
  "MKNOD",
  "NET_RAW",
  "SETGID",
  "SETUID",
  "SETFCAP",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "SYS_CHROOT",
  "KILL",
  "AUDIT_WRITE",
].map((name) => `CAP_${name}`);

/** "net_admin" as "CAP_NET_ADMIN", "all" as "ALL"; null where there is no such capability. */
export function normaliseCapability(name: string): string | null {
  const upper = name.toUpperCase();
  if (upper === "ALL" || upper === "CAP_ALL") return "ALL";
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  return ALL_CAPABILITIES.includes(full) ? full : null;
}

/** The capability set of a container, and of its privileged processes. */
export function capabilitySet(add: string[], drop: string[], privileged: boolean): string[] {
  if (privileged) return host();
  const wanted = add.map((name) => normaliseCapability(name) as string);
  const unwanted = drop.map((name) => normaliseCapability(name) as string);
  const all = wanted.includes("ALL");
  const start = all ? host() : unwanted.includes("ALL") ? [] : DEFAULT_CAPABILITIES;
  const kept = start.filter((name) => !unwanted.includes(name));
  for (const name of wanted) if (name !== "ALL" && !kept.includes(name)) kept.push(name);
  return kept;
}

let known: string[] | undefined;

/** What the daemon itself may hand on: its bounding set (asking for more is an error). */
function host(): string[] {
  if (known === undefined) {
    const line = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
    const set = BigInt(`0x${line?.[1] ?? "0"}`);
    known = ALL_CAPABILITIES.filter((_, bit) => (set >> BigInt(bit)) & 1n);
  }
  return [...known];
}
