import { invalidParameter, type LinuxDevice } from "@gantry/spec";

/** What every container finds in /dev (OCI config-linux.md, "Default Devices"), console and ptmx aside. */
export const DEFAULT_DEVICES: readonly LinuxDevice[] = [
  { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o666 },
  { type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: 0o666 },
  { type: "c", path: "/dev/full", major: 1, minor: 7, fileMode: 0o666 },
  { type: "c", path: "/dev/random", major: 1, minor: 8, fileMode: 0o666 },
  { type: "c", path: "/dev/urandom", major: 1, minor: 9, fileMode: 0o666 },
  { type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: 0o666 },
];

const TYPES: Record<string, number> = { c: 0o020000, u: 0o020000, b: 0o060000, p: 0o010000 };

/** st_mode of a device: type and permissions. Throws invalidParameter. */
export function deviceMode(device: LinuxDevice): number {
  const type = TYPES[device.type];
  if (type === undefined)
    throw invalidParameter(`invalid device type ${JSON.stringify(device.type)} of ${device.path}`);
  return type | ((device.fileMode ?? 0o666) & 0o7777);
}

/** The defaults with the container's own over them, each path once. */
export function allDevices(own: readonly LinuxDevice[] = []): LinuxDevice[] {
  const byPath = new Map(DEFAULT_DEVICES.map((device) => [device.path, device]));
  for (const device of own) byPath.set(device.path, device);
  return [...byPath.values()];
}
