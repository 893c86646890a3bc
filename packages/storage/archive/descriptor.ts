import { check, libc } from "@gantry/sys";

const F_DUPFD_CLOEXEC = 1030;

/** A duplicate of a descriptor, closed on exec. */
export function duplicate(fd: number): number {
  return check(libc.fcntl(fd, F_DUPFD_CLOEXEC, 3), "fcntl");
}
