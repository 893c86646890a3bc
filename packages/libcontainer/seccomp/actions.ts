import { invalidParameter, type LinuxSeccomp, type LinuxSeccompAction } from "@gantry/spec";

/** SECCOMP_RET_* of the actions (linux/seccomp.h); errno and trace carry data in the low 16 bits. */
const RETURN_VALUES: Record<LinuxSeccompAction, number> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};

const EPERM = 1;

export const RET_KILL_THREAD = 0;
export const RET_ENOSYS = 0x00050000 | 38;

/** The 32-bit value a filter returns for an action. `errnoRet` is used by errno and trace, EPERM without it. */
export function returnValue(action: string, errnoRet?: number): number {
  if (!Object.hasOwn(RETURN_VALUES, action))
    throw invalidParameter(`string ${action} is not a valid action for seccomp`);
  const value = RETURN_VALUES[action as LinuxSeccompAction];
  if (action !== "SCMP_ACT_ERRNO" && action !== "SCMP_ACT_TRACE") return value;
  return (value | ((errnoRet ?? EPERM) & 0xffff)) >>> 0;
}

/** Whether calls that the profile's authors did not know are let through anyway: no ENOSYS needed then. */
export function isPermissive(action: string): boolean {
  return action === "SCMP_ACT_ALLOW" || action === "SCMP_ACT_LOG" || action === "SCMP_ACT_TRACE";
}

const FLAGS: Record<string, number> = {
  // Filters are set in a process with one thread, just before its exec.
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 1 << 1,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 1 << 2,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 1 << 5,
};
const FLAG_NEW_LISTENER = 1 << 3;

/** The `flags` argument of seccomp(SECCOMP_SET_MODE_FILTER) for a profile: a listener where a rule notifies. */
export function seccompFlags(profile: LinuxSeccomp): number {
  let flags = 0;
  for (const flag of profile.flags ?? []) {
    if (!Object.hasOwn(FLAGS, flag)) throw invalidParameter(`seccomp flag ${flag} is not known`);
    flags |= FLAGS[flag]!;
  }
  if (profile.syscalls?.some((rule) => rule.action === "SCMP_ACT_NOTIFY")) flags |= FLAG_NEW_LISTENER;
  return flags;
}
