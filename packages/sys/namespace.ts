import { close, O, open } from "./file.ts";
import { check, libc } from "./libc.ts";

/** clone(2) flags of namespaces. */
export const CLONE_NEW = {
  TIME: 0x80,
  NS: 0x20000,
  CGROUP: 0x2000000,
  UTS: 0x4000000,
  IPC: 0x8000000,
  USER: 0x10000000,
  PID: 0x20000000,
  NET: 0x40000000,
} as const;

/** Moves the calling thread into a namespace. Bun's own threads stay where they are. */
export function setns(fd: number, type: number): void {
  check(libc.setns(fd, type), "setns");
}

export function unshare(flags: number): void {
  check(libc.unshare(flags), "unshare");
}

/**
 * Runs `work` with this thread inside the network namespace behind `fd` and comes back whatever happens. `work` must be
 * synchronous: an await inside would leave everything else on this thread in the wrong namespace.
 */
export function inNetworkNamespace<T>(fd: number, work: () => T extends Promise<unknown> ? never : T): T {
  const home = open("/proc/thread-self/ns/net", O.RDONLY);
  try {
    setns(fd, CLONE_NEW.NET);
    try {
      return work();
    } finally {
      setns(home, CLONE_NEW.NET);
    }
  } finally {
    close(home);
  }
}
