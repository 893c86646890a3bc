/** Docker's name for it, which scripts and `--security-opt apparmor=` know. */
export const DEFAULT_PROFILE = "docker-default";

export interface ProfileInputs {
  /** The profile the daemon is under itself, whose signals must get through; "unconfined" for none. */
  daemon: string;
  /** The host's files that there are, of `tunables/global` and `abstractions/base` below /etc/apparmor.d. */
  includes: readonly string[];
}

/**
 * The default profile in AppArmor's language (apparmor.d(5)). It lets a container do what its capabilities and its file system
 * let it, but not mount, nor write to what of /proc and /sys is the whole machine's, nor trace or signal what is outside.
 */
export function defaultProfile({ daemon, includes }: ProfileInputs): string {
  const tunables = "tunables/global";
  const abstractions = "abstractions/base";
  const senders = new Set(["unconfined", "runc", "crun", daemon]);
  return `${includes.includes(tunables) ? `#include <${tunables}>` : "@{PROC}=/proc/"}

profile ${DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {
${includes.includes(abstractions) ? `  #include <${abstractions}>\n` : ""}
  network,
  capability,
  file,
  umount,
  deny mount,

${[...senders].map((sender) => `  signal (receive) peer=${quoted(sender)},`).join("\n")}
  signal (send, receive) peer=${DEFAULT_PROFILE},
  ptrace (trace, read, tracedby, readby) peer=${DEFAULT_PROFILE},

  # of /proc only the processes' own directories and sys/kernel/shm*
  deny @{PROC}/* w,
  deny @{PROC}/[^1-9s]*/** w,
  deny @{PROC}/s[^y]*/** w,
  deny @{PROC}/sy[^s]*/** w,
  deny @{PROC}/sys[^/]*/** w,
  deny @{PROC}/sys/[^k]** w,
  deny @{PROC}/sys/k[^e]** w,
  deny @{PROC}/sys/kernel/[^s]** w,
  deny @{PROC}/sys/kernel/s[^h]** w,
  deny @{PROC}/sys/kernel/sh[^m]** w,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,

  # of /sys only the cgroups
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
`;
}

const quoted = (name: string) => (/^[\w./-]+$/.test(name) ? name : `"${name.replace(/["\\]/g, "\\$&")}"`);
