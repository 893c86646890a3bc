import type { DeviceMapping, DeviceRequest, ThrottleDevice, Ulimit, WeightDevice } from "@gantry/spec";
import { csvFields, keyValue } from "./csv.ts";
import { parseSize } from "./sizes.ts";

/** Whether the name is one of the Container Device Interface: `vendor.com/class=name`. */
export function isCdiDevice(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_.-]*\/[A-Za-z][A-Za-z0-9_.-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*$/.test(text);
}

/** One `--device`: `host[:container[:rwm]]`. Throws an Error. */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(":");
  const mode = (value: string) => /^[rwm]{1,3}$/.test(value) && new Set(value).size === value.length;
  let path = "";
  let permissions = "rwm";
  if (parts.length === 3) {
    permissions = parts[2]!;
    path = parts[1]!;
  } else if (parts.length === 2) {
    if (mode(parts[1]!)) permissions = parts[1]!;
    else path = parts[1]!;
  } else if (parts.length !== 1) {
    throw new Error(`invalid device specification: ${text}`);
  }
  return { PathOnHost: parts[0]!, PathInContainer: path || parts[0]!, CgroupPermissions: permissions };
}

/** Checks one `--device` as it is given. */
export function checkDevice(text: string): string {
  if (isCdiDevice(text)) return text;
  const parts = text.split(":");
  if (parts.length > 3 || !parts[0]) throw new Error(`bad format for path: ${text}`);
  const mode = parts.length === 3 ? parts[2]! : undefined;
  if (mode !== undefined && !/^[rwm]{1,3}$/.test(mode)) throw new Error(`bad mode specified: ${mode}`);
  const path = parts.length > 1 && !/^[rwm]{1,3}$/.test(parts[1]!) ? parts[1]! : parts[0]!;
  if (!path.startsWith("/")) throw new Error(`${path} is not an absolute path`);
  return text;
}

/** Checks one `--device-cgroup-rule`. */
export function checkDeviceRule(text: string): string {
  if (!/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(text))
    throw new Error(`invalid device cgroup format '${text}'`);
  return text;
}

/** One `--gpus`. */
export function parseGpus(text: string, before: DeviceRequest[]): DeviceRequest[] {
  const request: DeviceRequest = { Driver: "", Count: 1, DeviceIDs: null, Capabilities: null, Options: {} };
  let counted = false;
  for (const field of csvFields(text)) {
    const [key, value] = keyValue(field);
    if (value === undefined) {
      request.Count = gpuCount(key);
      counted = true;
      continue;
    }
    if (key === "driver") request.Driver = value;
    else if (key === "count") request.Count = gpuCount(value);
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") request.Capabilities = [[...value.split(","), "gpu"]];
    else if (key === "options")
      request.Options = Object.fromEntries(
        csvFields(value).map((option) => [keyValue(option)[0], keyValue(option)[1] ?? ""]),
      );
    else throw new Error(`unexpected key '${key}' in '${field}'`);
    if (key === "count") counted = true;
  }
  if (!counted && request.DeviceIDs) request.Count = 0;
  request.Capabilities ??= [["gpu"]];
  return [...before, request];
}

function gpuCount(text: string): number {
  if (text === "all") return -1;
  if (!/^[+-]?\d+$/.test(text)) {
    throw new Error(`invalid count (${text}): value must be either "all" or an integer: invalid syntax`);
  }
  return Number(text);
}

const ULIMITS = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(" "),
);

/** One `--ulimit`: `name=soft[:hard]`. A later one of the same name replaces the earlier. */
export function parseUlimit(text: string, before: Ulimit[]): Ulimit[] {
  const [name, limits] = keyValue(text);
  if (limits === undefined) throw new Error(`invalid ulimit argument: ${text}`);
  if (!ULIMITS.has(name)) throw new Error(`invalid ulimit type: ${name}`);
  const parts = limits.split(":");
  if (parts.length > 2)
    throw new Error(`too many limit value arguments - ${limits}, can only have up to two, \`soft[:hard]\``);
  const numbers = parts.map((part) => {
    if (!/^[+-]?\d+$/.test(part)) throw new Error(`strconv.ParseInt: parsing ${JSON.stringify(part)}: invalid syntax`);
    return Number(part);
  });
  const soft = numbers[0]!;
  const hard = numbers[1] ?? soft;
  if (hard !== -1 && (soft > hard || soft === -1)) {
    throw new Error(
      `ulimit soft limit must be less than or equal to hard limit: ${soft === -1 ? "unlimited" : soft} > ${hard}`,
    );
  }
  return [...before.filter((limit) => limit.Name !== name), { Name: name, Hard: hard, Soft: soft }];
}

/** One `--blkio-weight-device`: `path:weight`. */
export function parseWeightDevice(text: string, before: WeightDevice[]): WeightDevice[] {
  const [path = "", weight] = cutPath(text);
  if (!/^\d+$/.test(weight) || (Number(weight) !== 0 && (Number(weight) < 10 || Number(weight) > 1000))) {
    throw new Error(`invalid weight for device: ${text}`);
  }
  return [...before, { Path: path, Weight: Number(weight) }];
}

/** One `--device-read-bps` and the like: `path:rate[unit]`. */
export function parseRateDevice(bytes: boolean): (text: string, before: ThrottleDevice[]) => ThrottleDevice[] {
  return (text, before) => {
    const [path, rate] = cutPath(text);
    const hint = bytes
      ? "the correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
      : "the correct format is <device-path>:<number>. Number must be a positive integer";
    const invalid = () => new Error(`invalid rate for device: ${text}. ${hint[0]!.toUpperCase()}${hint.slice(1)}`);
    if (!bytes && !/^\d+$/.test(rate)) throw invalid();
    try {
      return [...before, { Path: path, Rate: bytes ? parseSize(rate) : Number(rate) }];
    } catch {
      throw invalid();
    }
  };
}

function cutPath(text: string): [path: string, rest: string] {
  const colon = text.indexOf(":");
  if (colon < 0) throw new Error(`bad format: ${text}`);
  if (!text.startsWith("/dev/")) throw new Error(`bad format for device path: ${text}`);
  return [text.slice(0, colon), text.slice(colon + 1)];
}
