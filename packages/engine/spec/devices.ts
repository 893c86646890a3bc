import { lstatSync, readdirSync, realpathSync, type Stats, statSync } from "node:fs";
import {
  type DeviceRequest,
  type HostConfig,
  invalidParameter,
  type LinuxDevice,
  type LinuxDeviceCgroup,
  splitDevice,
  systemError,
} from "@gantry/spec";
import { DEFAULT_DEVICE_RULES, parseDeviceRule } from "./resources.ts";

/** The device nodes to make in the container, and the cgroup's rules for them. */
export function containerDevices(host: HostConfig): { devices: LinuxDevice[]; rules: LinuxDeviceCgroup[] } {
  if (host.Privileged === true) {
    return { devices: hostDevices("/dev", 0), rules: [{ allow: true, access: "rwm" }] };
  }
  const devices: LinuxDevice[] = [];
  const rules: LinuxDeviceCgroup[] = [...DEFAULT_DEVICE_RULES];
  for (const mapping of host.Devices ?? []) {
    const path = mapping.PathOnHost ?? "";
    const target = mapping.PathInContainer || path;
    const access = mapping.CgroupPermissions || "rwm";
    if (!/^[rwm]+$/.test(access)) throw invalidParameter(`invalid device mode: ${access}`);
    for (const found of devicesBelow(path, target)) {
      devices.push(found);
      rules.push({ allow: true, type: found.type, major: found.major ?? 0, minor: found.minor ?? 0, access });
    }
  }
  // No driver for them; as with Docker it is the start that finds out.
  for (const request of host.DeviceRequests ?? []) throw noDeviceDriver(request);
  for (const text of host.DeviceCgroupRules ?? []) rules.push(parseDeviceRule(text));
  return { devices, rules };
}

function noDeviceDriver(request: DeviceRequest): Error {
  if (request.Driver === "cdi") {
    return systemError(`CDI device injection failed: unresolvable CDI devices ${(request.DeviceIDs ?? []).join(", ")}`);
  }
  const capabilities = JSON.stringify(request.Capabilities ?? [])
    .replaceAll(",", " ")
    .replaceAll('"', "");
  return systemError(`could not select device driver "${request.Driver ?? ""}" with capabilities: ${capabilities}`);
}

function devicesBelow(path: string, target: string): LinuxDevice[] {
  let real: string;
  let stat: Stats;
  try {
    real = realpathSync(path);
    stat = statSync(real);
  } catch {
    throw invalidParameter(
      `error gathering device information while adding custom device "${path}": no such file or directory`,
    );
  }
  const one = toDevice(stat, target);
  if (one !== null) return [one];
  if (stat.isDirectory()) {
    const inside = hostDevices(real, 0).map((found) => ({ ...found, path: target + found.path.slice(real.length) }));
    if (inside.length > 0) return inside;
  }
  throw invalidParameter(`error gathering device information while adding custom device "${path}": not a device node`);
}

function toDevice(stat: Stats, path: string): LinuxDevice | null {
  const type = stat.isCharacterDevice() ? "c" : stat.isBlockDevice() ? "b" : null;
  if (type === null) return null;
  return { type, path, ...splitDevice(stat.rdev), fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

const SKIPPED = new Set(["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"]);

/** All device nodes below a directory of the host, three levels deep. */
function hostDevices(dir: string, depth: number): LinuxDevice[] {
  const result: LinuxDevice[] = [];
  for (const entry of readdirSync(dir)) {
    if (depth === 0 && dir === "/dev" && SKIPPED.has(entry)) continue;
    const path = `${dir}/${entry}`;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || result.length > 4096) continue;
    if (stat.isDirectory() && depth < 3) result.push(...hostDevices(path, depth + 1));
    const found = toDevice(stat, path);
    if (found !== null) result.push(found);
  }
  return result;
}
