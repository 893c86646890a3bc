import type { LinuxResources, RuntimeSpec } from "@gantry/spec";

/**
 * The contract between the engine (and the builder) and whatever runs containers.
 *
 * Life cycle of a task, one per running container:
 *
 *     Runtime.create ──▶ created ──start()──▶ running ⇄ paused ──▶ stopped ──delete()──▶ gone
 *
 * `create` returns when the namespaces exist and the init process waits in them: the time to set up the network by
 * `pid` (mounts of the root file system go on in parallel). `start` lets init go on and returns once the user's
 * executable was exec'd, or throws a `StartError` and leaves a stopped task. `wait` resolves when init has exited *and*
 * its output was drained into the log and all attached streams. `delete` removes cgroup, socket and state directory; it
 * is refused while init runs. A failing `create` leaves nothing behind.
 *
 * A task outlives the process that made it: `Runtime.find` finds it again from `stateDir` after a crash, running or
 * stopped, with its exit status.
 */
export interface Runtime {
  /** "gantry" (our shim), or the name of an external OCI runtime. */
  readonly name: string;
  create(request: CreateRequest): Promise<Task>;
  /**
   * The task that was created with this id and state directory, or null where there is none. Never throws for debris.
   * `pid`: its init's, where it is known to have been started; then a shim that does not answer within a second (stopped, or
   * hanging in the kernel) is taken for that of a running container, and what is asked of it waits.
   */
  find(id: string, stateDir: string, pid?: number): Promise<Task | null>;
}

/** What becomes `/`: an overlay that is mounted inside the container's own mount namespace, or a ready directory. */
export type Rootfs =
  | {
      type: "overlay";
      /** Lower directories, topmost first; absolute paths. Any number: the runtime deals with mount's page-size limit. */
      lower: string[];
      upper: string;
      work: string;
      /** Mount with `volatile`: no sync at unmount. For containers that are removed at exit. */
      volatile?: boolean;
      readonly?: boolean;
    }
  | { type: "directory"; path: string; readonly?: boolean };

/** json-file log, written by the shim itself so that it survives the daemon. */
export interface LogTarget {
  /**
   * Path of the current file; rotated ones get `.1`, `.2`, … Whoever compresses one (`.1.gz`) or needs the names to stand
   * still holds flock(2) on the directory for that moment; the shim rotates under the same lock, and later where it is taken.
   */
  path: string;
  /** Bytes at which the file is rotated; 0 for never. */
  maxSize: number;
  /** How many files are kept, the current one included; at least 1. */
  maxFile: number;
  /** Extra `attrs` object of each line, already JSON; absent for none. */
  attrs?: string;
}

export interface CreateRequest {
  /** 1 to 64 characters of [a-zA-Z0-9_.-]. */
  id: string;
  /** The OCI runtime spec; `root.path` is ignored in favour of `rootfs`. */
  spec: RuntimeSpec;
  rootfs: Rootfs;
  /** A directory of this task alone (made by create, removed by delete): socket, pid, plan. On tmpfs where possible. */
  stateDir: string;
  /** File that gets the exit status as JSON (`ExitStatus`), written atomically by the shim. Must be on lasting storage. */
  exitFile: string;
  terminal: boolean;
  /** Keep stdin open for attachers; without it stdin is /dev/null. */
  openStdin: boolean;
  /** Close the container's stdin when the first attached stdin closes (docker's StdinOnce). */
  stdinOnce: boolean;
  /** Initial size of the terminal. */
  consoleSize?: { height: number; width: number };
  log: LogTarget | null;
}

/** How init or an exec'd process ended. */
export interface ExitStatus {
  /** 0 to 255; 128 + signal where a signal ended it (137 for SIGKILL). */
  exitCode: number;
  signal?: number;
  oomKilled: boolean;
  /** RFC 3339 with nanoseconds, UTC. */
  exitedAt: string;
}

/** Why the user's executable could not be run. `exitCode` is Docker's: 127 not found, 126 not executable, 125 else. */
export class StartError extends Error {
  readonly exitCode: 125 | 126 | 127;
  /** The kernel's errno, 0 where there was none. */
  readonly errno: number;
  constructor(message: string, exitCode: 125 | 126 | 127, errno = 0) {
    super(message);
    this.name = "StartError";
    this.exitCode = exitCode;
    this.errno = errno;
  }
}

export interface AttachRequest {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

/**
 * A live connection to a process's stdio. Output bytes are Docker's multiplexed stream (8-byte headers) when the
 * process has no terminal, raw bytes when it has one: exactly what the API sends on, so they are passed unparsed.
 * A reader that does not read stops the process's output (back-pressure), never loses it.
 */
export interface AttachStream {
  /** Output, ending when the process's output has ended. May be iterated once. */
  readonly output: ReadableStream<Uint8Array>;
  /** Writes stdin; resolves when the bytes were taken (await it for back-pressure). Rejects when stdin is closed. */
  write(chunk: Uint8Array): Promise<void>;
  /** Half-closes stdin; output goes on. */
  closeStdin(): void;
  /** Detaches; the process goes on. Idempotent. */
  close(): void;
}

export interface ExecRequest {
  /** 1 to 64 characters of [a-zA-Z0-9_.-], unique within the task. */
  id: string;
  /** The OCI `process` object: args, env, cwd, user, capabilities, rlimits, noNewPrivileges, terminal, … */
  process: NonNullable<RuntimeSpec["process"]>;
  openStdin: boolean;
  consoleSize?: { height: number; width: number };
  /**
   * Makes the process at once, up to its executable: then `start` takes a third of the time. It waits in the container; whoever does
   * not start it has to `discard` it. It ends with the process that asked for it. External runtimes make it at `start` all the same.
   */
  early?: boolean;
}

/** A process started in a running container. `attach` must be called before `start` to see all of its output. */
export interface ExecTask {
  readonly id: string;
  /** Host pid; 0 before start. */
  readonly pid: number;
  attach(request: AttachRequest): Promise<AttachStream>;
  /** Runs it. Throws StartError. */
  start(): Promise<void>;
  resize(height: number, width: number): Promise<void>;
  kill(signal: number): Promise<void>;
  /** Resolves when it has exited and its output was drained. */
  wait(): Promise<ExitStatus>;
  /** Ends what was made early and is not to be started. Its id is free again when this resolves. */
  discard(): Promise<void>;
}

export type TaskStatus = "created" | "running" | "paused" | "stopped";

export interface Task {
  readonly id: string;
  /** Init's pid on the host. */
  readonly pid: number;
  status(): Promise<TaskStatus>;
  /** Whether nobody has asked for its start, even if its init has ended meanwhile; null where that cannot be told any more. */
  neverStarted(): Promise<boolean | null>;
  start(): Promise<void>;
  attach(request: AttachRequest): Promise<AttachStream>;
  exec(request: ExecRequest): Promise<ExecTask>;
  /** Finds an exec again after a daemon restart; null where it is gone. */
  findExec(id: string): Promise<ExecTask | null>;
  resize(height: number, width: number): Promise<void>;
  /** Sends a signal to init, or with `all` to every process of the container. Not an error where it has exited. */
  kill(signal: number, all?: boolean): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  update(resources: LinuxResources): Promise<void>;
  stats(): Promise<CgroupStats>;
  /** Host pids of all processes in the container's cgroup. */
  pids(): Promise<number[]>;
  /** Resolves with the exit status, at once where it is known; may be awaited by many. */
  wait(): Promise<ExitStatus>;
  /** Makes the shim open its log file anew (after truncation or rotation from outside). */
  reopenLog(): Promise<void>;
  delete(): Promise<void>;
}

/** One reading of a container's cgroups, v1 and v2 brought to one shape. Counters in the units named. */
export interface CgroupStats {
  readAt: string;
  cpu: {
    usageNs: number;
    userNs: number;
    systemNs: number;
    perCpuNs: number[];
    periods: number;
    throttledPeriods: number;
    throttledNs: number;
  };
  memory: {
    usage: number;
    maxUsage: number;
    limit: number;
    failcnt: number;
    /** memory.stat, as the kernel names its fields (v1 or v2 names). */
    stats: Record<string, number>;
    oomKills: number;
  };
  pids: { current: number; limit: number };
  blkio: {
    serviceBytes: BlkioEntry[];
    serviced: BlkioEntry[];
  };
}

export interface BlkioEntry {
  major: number;
  minor: number;
  op: string;
  value: number;
}
