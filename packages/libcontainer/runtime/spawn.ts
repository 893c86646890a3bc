import { readFileSync } from "node:fs";
import {
  AF,
  bind,
  close,
  libc,
  listen,
  memfd,
  O,
  open,
  SOCK,
  setCloexec,
  socket,
  unixAddress,
  writeAll,
} from "@gantry/sys";
import { SOCKET_NAME } from "./control.ts";

const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const SEALS = 1 | 2 | 4 | 8;

/**
 * The shim's program as a sealed memory file. Containers' processes can come to see the file a process was started
 * from (/proc/self/exe); of this one nobody can change a byte, and all shims share its pages.
 */
export class ShimProgram {
  readonly #fd: number;
  /** A path that any process of this user can start while this one lives. */
  readonly path: string;

  constructor(shimPath: string) {
    const bytes = readFileSync(shimPath);
    this.#fd = memfd("gantry-shim", 1 | MFD_ALLOW_SEALING);
    writeAll(this.#fd, bytes);
    libc.fcntl(this.#fd, F_ADD_SEALS, SEALS);
    this.path = `/proc/${process.pid}/fd/${this.#fd}`;
  }

  close(): void {
    close(this.#fd);
  }
}

/** A listening socket named `sock` in the directory, whose path may be of any length. */
function listenIn(stateDir: string): number {
  const dir = open(stateDir, O.PATH | O.DIRECTORY | O.CLOEXEC);
  try {
    const fd = socket(AF.UNIX, SOCK.STREAM | SOCK.NONBLOCK);
    try {
      bind(fd, unixAddress(`/proc/self/fd/${dir}/${SOCKET_NAME}`));
      listen(fd, 4096); // cut to the host's net.core.somaxconn; a full queue refuses
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  } finally {
    close(dir);
  }
}

/** Starts a shim on a plan. It listens when this returns; what it does is asked for over the socket. */
export function spawnShim(program: ShimProgram, stateDir: string, plan: Uint8Array): void {
  const listener = listenIn(stateDir);
  let data = -1;
  try {
    data = memfd("gantry-plan", 1);
    writeAll(data, plan);
    const child = Bun.spawn({
      cmd: [program.path],
      argv0: "gantry-shim",
      env: {},
      stdio: ["ignore", "ignore", "ignore", data, listener],
    });
    child.unref();
  } finally {
    close(listener);
    if (data >= 0) close(data);
  }
}

export { setCloexec };
