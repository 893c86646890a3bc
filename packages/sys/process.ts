import { SysError } from "./errno.ts";
import { check, errno, libc, NR, syscall } from "./libc.ts";

/** kill(2). Returns false where there is no such process. */
export function kill(pid: number, signal: number): boolean {
  if (libc.kill(pid, signal) === 0) return true;
  const code = errno();
  if (code === 3) return false;
  throw new SysError("kill", code, String(pid));
}

/** Whether a process exists (zombies count). */
export function exists(pid: number): boolean {
  return libc.kill(pid, 0) === 0 || errno() !== 3;
}

/** A descriptor of a process, safe against pid reuse; readable (poll) when it has exited. */
export function pidfdOpen(pid: number): number {
  return syscall("pidfd_open", NR.pidfd_open, [pid, 0], String(pid));
}

export function pidfdSendSignal(pidfd: number, signal: number): void {
  syscall("pidfd_send_signal", NR.pidfd_send_signal, [pidfd, signal, 0, 0]);
}

/** Makes this process the reaper of orphaned descendants. */
export function setChildSubreaper(on: boolean): void {
  check(libc.prctl(36, on ? 1 : 0, 0, 0, 0), "prctl");
}

export const FD_CLOEXEC = 1;

/** Sets or clears close-on-exec, e.g. before a spawn that is to inherit the descriptor. */
export function setCloexec(fd: number, on: boolean): void {
  check(libc.fcntl(fd, 2, on ? FD_CLOEXEC : 0), "fcntl");
}
