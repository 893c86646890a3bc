import { invalidParameter, type OciLinux } from "@gantry/spec";

const IPC = new Set(
  "auto_msgmni msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced"
    .split(" ")
    .map((name) => `kernel/${name}`),
);

/** "net.ipv4.ip_forward" or "net/ipv4/conf/eth0.100/…" to a path below /proc/sys, by sysctl(8)'s rule. */
export function sysctlPath(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  const path = separator === "." ? key.replace(/[./]/g, (c) => (c === "." ? "/" : ".")) : key;
  if (!path || path.split("/").some((part) => part === "" || part === ".." || part === "."))
    throw invalidParameter(`invalid sysctl: ${JSON.stringify(key)}`);
  return path;
}

/** Paths and values to write; refuses what would change the host instead of the container's own namespaces. */
export function sysctlSettings(linux: OciLinux): [path: string, value: string][] {
  const has = (type: string) => linux.namespaces?.some((one) => one.type === type) ?? false;
  return Object.entries(linux.sysctl ?? {}).map(([key, value]) => {
    const path = sysctlPath(key);
    const [needed, separate] =
      IPC.has(path) || path.startsWith("fs/mqueue/")
        ? (["ipc", has("ipc")] as const)
        : path.startsWith("net/")
          ? (["network", has("network")] as const)
          : path === "kernel/domainname"
            ? (["uts", has("uts")] as const)
            : (["", false] as const);
    if (path === "kernel/hostname")
      throw invalidParameter(`sysctl ${JSON.stringify(key)} conflicts with the OCI field "hostname"`);
    if (!needed) throw invalidParameter(`sysctl ${JSON.stringify(key)} is not in a separate kernel namespace`);
    if (!separate)
      throw invalidParameter(`sysctl ${JSON.stringify(key)} is not allowed in the host's ${needed} namespace`);
    return [path, value];
  });
}
