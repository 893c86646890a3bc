import type { Facts } from "./facts.ts";

/**
 * Where Gantry differs on purpose, or where the two differ by chance:
 *
 * - It does not join the cgroup2 tree beside v1 controllers, which controls nothing: moving there by pid waits for an
 *   RCU grace period, 5 to 15 ms of each start. On v2 there is no such difference.
 * - Its docker-init is a file of another place, and starts the program sooner: its pid is 2.
 */
export function known(variant: string, section: string, key: string): boolean {
  if (section === "cgroup" && key === "unified") return true;
  if (variant === "init") return section === "mount" && key === "/sbin/docker-init";
  // The host's own, and the peer may have an /etc of its own.
  if (variant === "net-host") return section === "interface" || (section === "file" && key === "/etc/hosts");
  if (variant === "pid-host") return section === "process" || (section === "id" && key === "session");
  return false;
}

/** Recorded on x64. */
const X64_ONLY = new Set(
  "iopl ioperm modify_ldt uselib ustat sysfs create_module arch_prctl mknod lookup_dcookie".split(" "),
);

const HOSTS_OWN = new Set(
  `status Cpus_allowed_list, status Mems_allowed_list, status Speculation_Store_Bypass, status THP_enabled,
  file /etc/resolv.conf, file /proc/sys/net/ipv4/ip_forward, file /proc/self/loginuid,
  file /proc/sys/net/ipv6/conf/all/disable_ipv6, file /proc/sys/net/ipv6/conf/lo/disable_ipv6,
  call socket AF_ALG, id personality, limit cpuset/cpuset.cpus, limit cpuset/cpuset.mems`
    .split(",")
    .map((name) => name.trim()),
);

/** Facts of the recording that hold on a machine like the recorded one only, given what this one looks like. */
export function onThisMachineOnly(
  variant: string,
  recorded: Facts,
  host: Facts,
): (section: string, key: string) => boolean {
  const cgroups = Object.keys(recorded["cgroup"] ?? {})
    .sort()
    .join();
  const sameCgroups =
    Object.keys(host["cgroup"] ?? {})
      .sort()
      .join() === cgroups;
  const absent = (text: string | undefined) => text === "<ENOENT>";
  return (section, key) => {
    if (HOSTS_OWN.has(`${section} ${key}`) || section === "rlimit")
      return !(variant === "limits" && /NOFILE|CORE/.test(key));
    if (section === "call" && process.arch !== "x64" && X64_ONLY.has(key)) return true;
    if (section === "id" && key === "nice" && host["id"]?.[key] !== "0") return true;
    if (section === "file" && key === "/proc/self/oom_score_adj") return host["file"]?.[key] !== "0";
    if (section === "cgroup" || section === "limit" || key.startsWith("/sys/fs/cgroup")) return !sameCgroups;
    // Privileged ones see the host's devices, those in its namespaces what it has and is.
    if (section === "dev" || section === "device") return /privileged/.test(variant);
    if (section === "interface" || section === "file" || section === "id" || section === "env")
      return /-host$/.test(variant);
    const place = recorded["path"]?.[key] === undefined ? key.replace(/ \(\d+\)$/, "") : key;
    const here = host["path"]?.[place];
    if (
      here !== undefined &&
      recorded["path"]?.[place] !== undefined &&
      !/^\/proc\/(keys|timer_list|interrupts|acpi)/.test(place)
    )
      return absent(here) !== absent(recorded["path"][place]);
    return false;
  };
}
