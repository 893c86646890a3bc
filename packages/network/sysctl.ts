import { readFileSync, writeFileSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";

/**
 * Writes a network sysctl of this thread's namespace; `path` below /proc/sys/net, with slashes. A value that is there already is
 * not written again. Returns false where the kernel does not have it.
 */
export function writeSysctl(path: string, value: string): boolean {
  const file = `/proc/sys/net/${path}`;
  try {
    if (readFileSync(file, "utf8").trim() === value) return true;
    writeFileSync(file, value);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return false;
    throw error;
  }
}

/** As `writeSysctl` without reading before: for interfaces that have just been made. */
export function setSysctl(path: string, value: string): void {
  try {
    writeFileSync(`/proc/sys/net/${path}`, value);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
  }
}

export function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${path}`, "utf8").trim();
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
        `unrecognised network interface sysctl '${entry}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'`,
      );
    }
    return [[parts[1], parts[2], interfaceName, parts[4]].join("/"), entry.slice(equals + 1).trim()];
  });
}
