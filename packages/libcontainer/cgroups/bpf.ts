import { address, check, close, errno, isErrno, libc, NR, O, open, SysError } from "@gantry/sys";

/** Commands and flags of bpf(2). */
const PROG_LOAD = 5;
const PROG_ATTACH = 8;
const PROG_DETACH = 9;
const PROG_GET_FD_BY_ID = 13;
const PROG_QUERY = 16;
const PROG_TYPE_CGROUP_DEVICE = 15;
const CGROUP_DEVICE = 6;
const F_ALLOW_MULTI = 2;
const F_REPLACE = 4;
const MOST_PROGRAMS = 64;
const LOG_SIZE = 64 * 1024;

/** Large enough for every command used; zeros are "not given" in all of union bpf_attr. */
const ATTR_SIZE = 72;

function attr(fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(ATTR_SIZE);
  fill(new DataView(bytes.buffer));
  return bytes;
}

function bpf(command: number, what: string, bytes: Uint8Array): number {
  return check(Number(libc.syscall(NR.bpf, command, address(bytes), bytes.length, 0, 0, 0)), `bpf ${what}`);
}

/** Loads a device program; the caller closes the descriptor. Throws with the verifier's log where it is refused. */
export function loadDeviceProgram(program: Uint8Array): number {
  const license = new TextEncoder().encode("Apache-2.0\0");
  const load = (log: Uint8Array | null) =>
    attr((view) => {
      view.setUint32(0, PROG_TYPE_CGROUP_DEVICE, true);
      view.setUint32(4, program.length / 8, true);
      view.setBigUint64(8, BigInt(address(program)), true);
      view.setBigUint64(16, BigInt(address(license)), true);
      if (!log) return;
      view.setUint32(24, 1, true);
      view.setUint32(28, log.length, true);
      view.setBigUint64(32, BigInt(address(log)), true);
    });
  try {
    return bpf(PROG_LOAD, "prog_load", load(null));
  } catch (error) {
    if (!isErrno(error, "EINVAL", "EACCES")) throw error;
    const log = new Uint8Array(LOG_SIZE);
    const attributes = load(log);
    const fd = Number(libc.syscall(NR.bpf, PROG_LOAD, address(attributes), attributes.length, 0, 0, 0));
    if (fd >= 0) return fd;
    const code = errno();
    const text = new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim();
    throw new SysError("bpf prog_load", code, text.slice(-1024));
  }
}

/** Ids of the device programs attached to a cgroup itself. */
export function devicePrograms(cgroupFd: number): number[] {
  const ids = new Uint32Array(MOST_PROGRAMS);
  const query = attr((view) => {
    view.setUint32(0, cgroupFd, true);
    view.setUint32(4, CGROUP_DEVICE, true);
    view.setBigUint64(16, BigInt(address(ids)), true);
    view.setUint32(24, ids.length, true);
  });
  bpf(PROG_QUERY, "prog_query", query);
  return [...ids.subarray(0, new DataView(query.buffer).getUint32(24, true))];
}

function programFd(id: number): number {
  return bpf(
    PROG_GET_FD_BY_ID,
    "prog_get_fd_by_id",
    attr((view) => view.setUint32(0, id, true)),
  );
}

function attach(cgroupFd: number, program: number, flags: number, replaced = 0): void {
  const bytes = attr((view) => {
    view.setUint32(0, cgroupFd, true);
    view.setUint32(4, program, true);
    view.setUint32(8, CGROUP_DEVICE, true);
    view.setUint32(12, flags, true);
    view.setUint32(16, replaced, true);
  });
  bpf(PROG_ATTACH, "prog_attach", bytes);
}

function detach(cgroupFd: number, program: number): void {
  const bytes = attr((view) => {
    view.setUint32(0, cgroupFd, true);
    view.setUint32(4, program, true);
    view.setUint32(8, CGROUP_DEVICE, true);
  });
  bpf(PROG_DETACH, "prog_detach", bytes);
}

/**
 * Makes `program` the only device program of a cgroup v2 directory, or with null removes what is there. One that is
 * replaced goes in the same step (Linux 5.6), or else after the new one is in force: devices are never unguarded.
 * The kernel keeps the program for as long as the cgroup lives.
 */
export function setDeviceProgram(directory: string, program: Uint8Array | null): void {
  const cgroup = open(directory, O.RDONLY | O.DIRECTORY);
  const fds: number[] = [];
  try {
    const old = devicePrograms(cgroup).map((id) => {
      const fd = programFd(id);
      fds.push(fd);
      return fd;
    });
    if (program) {
      const loaded = loadDeviceProgram(program);
      fds.push(loaded);
      const only = old.length === 1 ? old[0]! : 0;
      if (only && tryReplace(cgroup, loaded, only)) return;
      attach(cgroup, loaded, F_ALLOW_MULTI);
    }
    for (const fd of old) detach(cgroup, fd);
  } finally {
    for (const fd of fds) close(fd);
    close(cgroup);
  }
}

function tryReplace(cgroup: number, program: number, old: number): boolean {
  try {
    attach(cgroup, program, F_ALLOW_MULTI | F_REPLACE, old);
    return true;
  } catch (error) {
    if (isErrno(error, "EINVAL")) return false;
    throw error;
  }
}
