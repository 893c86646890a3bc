import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";
import { close, fsconfigCreate, fsmount, fsopen } from "@gantry/sys";

/** With a small buffer: of a large one the kernel zeroes every page before it fills in the one digit. */
function readValue(file: string): string {
  const fd = openSync(file, "r");
  try {
    const buffer = Buffer.allocUnsafe(256);
    return buffer.toString("utf8", 0, readSync(fd, buffer)).trim();
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes a network sysctl of this thread's namespace; `path` below /proc/sys/net, with slashes. A value that is there already is
 * not written again. Returns false where the kernel does not have it.
 */
export function writeSysctl(path: string, value: string): boolean {
  const file = `/proc/sys/net/${path}`;
  try {
    if (readValue(file) === value) return true;
    writeFileSync(file, value);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

/** Containers whose sysctls are set by one proc file system. */
const USES_OF_A_PROC = 32;

let ownProc = -1;
let uses = 0;

/**
 * A proc file system that nobody else sees. In one that all use, every namespace's "ipv4" and "ipv6" are entries of one directory, and
 * with a thousand containers a look-up passes a thousand of them: 2 ms a start. One of our own starts empty, and is exchanged in time.
 */
function sysctlRoot(): string {
  if (ownProc < 0 || uses++ >= USES_OF_A_PROC) {
    if (ownProc >= 0) close(ownProc);
    ownProc = -1;
    const context = fsopen("proc");
    try {
      fsconfigCreate(context);
      ownProc = fsmount(context);
    } finally {
      close(context);
    }
    uses = 0;
  }
  return `/proc/self/fd/${ownProc}/sys/net`;
}

/** As `writeSysctl` without reading before: for interfaces of a container that have just been made. */
export function setSysctl(path: string, value: string): void {
  try {
    writeFileSync(`${sysctlRoot()}/${path}`, value);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}

export function readSysctl(path: string): string | undefined {
  try {
    return readValue(`/proc/sys/net/${path}`);
  } catch {
    return undefined;
  }
}

/**
 * Sysctls of one interface from the option `com.docker.network.endpoint.sysctls`: `net.X.Y.IFNAME.Z=V` separated by commas. Returns
 * paths below /proc/sys/net with IFNAME replaced. Throws invalidParameter.
 */
export function endpointSysctls(option: string | undefined, interfaceName: string): [path: string, value: string][] {
  if (option === undefined || option === "") return [];
  return option.split(",").map((entry) => {
    const equals = entry.indexOf("=");
    const parts = entry.slice(0, equals).trim().split(".");
    const sane = parts.every((part) => /^[\w-]+$/.test(part));
    if (equals < 0 || parts.length !== 5 || parts[0] !== "net" || parts[3] !== "IFNAME" || !sane) {
      throw invalidParameter(
        `unrecognised network interface sysctl '${entry}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'`,
      );
    }
    return [[parts[1], parts[2], interfaceName, parts[4]].join("/"), entry.slice(equals + 1).trim()];
  });
}
