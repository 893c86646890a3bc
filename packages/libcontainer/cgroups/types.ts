import type { LinuxResources } from "@gantry/spec";
import type { CgroupStats } from "../contract.ts";

/** "hybrid" has v1 controllers and an empty cgroup2 tree beside them; it is driven as v1. */
export type CgroupMode = "v1" | "hybrid" | "v2";

/**
 * Cgroups of containers by path, such as "docker/<id>"; always below the manager's root. The calls that are not
 * promises are a few short file operations each.
 *
 *     prepare ──▶ (a process joins) ──▶ update, stats, pids, freeze, thaw, signalAll … ──▶ killAll ──▶ remove
 *
 * Paths may begin with a slash; `..`, empty paths and NULs are refused with `invalidParameter`.
 */
export interface CgroupManager {
  readonly mode: CgroupMode;
  /** Controllers that can be used, such as "memory". */
  readonly controllers: ReadonlySet<string>;
  /** Makes the cgroup and sets its limits. A failure leaves nothing of it. Refuses one that has processes. */
  prepare(path: string, resources: LinuxResources): PreparedCgroup;
  /** How a process joins an existing cgroup (exec, a restarted daemon). Throws `notFound` where it is gone. */
  find(path: string): PreparedCgroup;
  /** Sets the given limits and leaves the others as they are. */
  update(path: string, resources: LinuxResources): void;
  stats(path: string): CgroupStats;
  /** Host pids of all processes in the cgroup and the ones below; none where it is gone. */
  pids(path: string): number[];
  /** Stops all processes of the cgroup; resolves when they stand. Thaws again and throws where they do not in time. */
  freeze(path: string): Promise<void>;
  thaw(path: string): Promise<void>;
  isFrozen(path: string): boolean;
  /** Sends a signal to every process once. */
  signalAll(path: string, signal: number): void;
  /** SIGKILL to every process, frozen or forking ones too; resolves when none is left. */
  killAll(path: string): Promise<void>;
  /** Removes the cgroup and the ones below; retries while exited processes leave. Not an error where it is gone. */
  remove(path: string): Promise<void>;
  exists(path: string): boolean;
}

/** Where to look whether the kernel killed a process for want of memory. */
export interface OomWatch {
  /** memory.oom_control (v1) or memory.events (v2): a line `oom_kill <count>` (since Linux 4.13). */
  file: string;
  /**
   * How to be told: v1 writes `<eventfd> <fd of file>` to this cgroup.event_control; v2 (null) gives `file` an
   * inotify modification event.
   */
  eventControl: string | null;
}

export interface PreparedCgroup {
  /** Absolute path per v1 controller ("memory", "name=systemd"), or the one of v2 under "". */
  readonly directories: ReadonlyMap<string, string>;
  /**
   * v1: the `tasks` files by which a process with a single thread puts **itself** into the cgroup, by writing "0" to
   * each. The kernel then needs no lock on all forks, which costs an RCU grace period: 0.2 ms for seven hierarchies
   * against 6.5 ms by writing a pid to `procsFiles` (6.18, 2 cores). Empty on v2.
   */
  readonly joinFiles: readonly string[];
  /** `cgroup.procs` files to which any process's pid may be written by another. */
  readonly procsFiles: readonly string[];
  /** v2: the directory for clone3's CLONE_INTO_CGROUP, the fast way there; null on v1. */
  readonly directory: string | null;
  readonly oom: OomWatch | null;
}
