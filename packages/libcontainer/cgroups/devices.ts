import { invalidParameter, type LinuxDeviceCgroup } from "@gantry/spec";

/** A set of devices and what may be done with them; null is every number. Access is some of "rwm", in that order. */
export interface DeviceException {
  type: "b" | "c";
  major: number | null;
  minor: number | null;
  access: string;
}

/** What a list of rules comes to: allow or deny everything, but for the exceptions. */
export interface DevicePolicy {
  allowByDefault: boolean;
  exceptions: DeviceException[];
}

const sorted = (access: string) => [..."rwm"].filter((letter) => access.includes(letter)).join("");
const without = (access: string, taken: string) => [...access].filter((letter) => !taken.includes(letter)).join("");

/** -1 and absent both mean any. */
function number(value: number | undefined, what: string): number | null {
  if (value === undefined || value === null || value === -1) return null;
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw invalidParameter(`invalid device cgroup rule: ${what} ${value}`);
  return value;
}

function exceptions(rule: LinuxDeviceCgroup): DeviceException[] {
  const type = rule.type || "a";
  const access = rule.access || "rwm";
  if (!/^[abc]$/.test(type)) throw invalidParameter(`invalid device cgroup rule: type ${JSON.stringify(rule.type)}`);
  if (!/^[rwm]+$/.test(access))
    throw invalidParameter(`invalid device cgroup rule: access ${JSON.stringify(rule.access)}`);
  const rest = { major: number(rule.major, "major"), minor: number(rule.minor, "minor"), access: sorted(access) };
  if (type !== "a") return [{ type: type as "b" | "c", ...rest }];
  return [
    { type: "b", ...rest },
    { type: "c", ...rest },
  ];
}

/** Whether every device of `b` is one of `a`. */
function covers(a: DeviceException, b: DeviceException): boolean {
  return a.type === b.type && (a.major === null || a.major === b.major) && (a.minor === null || a.minor === b.minor);
}

function add(policy: DevicePolicy, one: DeviceException): void {
  const covered = policy.exceptions.filter((other) => covers(other, one)).map((other) => other.access);
  if (without(one.access, covered.join("")) === "") return;
  const same = policy.exceptions.find((other) => covers(other, one) && covers(one, other));
  const access = sorted(one.access + (same?.access ?? ""));
  const whole = { ...one, access };
  // What the new one covers entirely need not be told to the kernel.
  policy.exceptions = policy.exceptions.filter(
    (other) => !(covers(whole, other) && without(other.access, access) === ""),
  );
  policy.exceptions.push(whole);
}

function take(policy: DevicePolicy, one: DeviceException): void {
  const wider = policy.exceptions.find(
    (other) => covers(other, one) && !covers(one, other) && without(other.access, one.access) !== other.access,
  );
  // The kernel's lists cannot hold an exception from an exception.
  if (wider)
    throw invalidParameter(
      `invalid device cgroup rule: a rule for ${describe(one)} cannot be taken out of the wider ${describe(wider)}`,
    );
  policy.exceptions = policy.exceptions
    .map((other) => (covers(one, other) ? { ...other, access: without(other.access, one.access) } : other))
    .filter((other) => other.access !== "");
}

/**
 * What the OCI's rules, which are applied in order, come to. A list says all: what it begins with nothing about is
 * denied. Throws `invalidParameter` for rules that make no sense or that the kernel has no way to enforce.
 */
export function devicePolicy(rules: readonly LinuxDeviceCgroup[]): DevicePolicy {
  const policy: DevicePolicy = { allowByDefault: false, exceptions: [] };
  for (const rule of rules) {
    const parts = exceptions(rule);
    const everything = parts.length === 2 && parts[0]!.major === null && parts[0]!.minor === null;
    if (everything && parts[0]!.access === "rwm") {
      policy.allowByDefault = rule.allow;
      policy.exceptions = [];
      continue;
    }
    for (const part of parts) {
      if (rule.allow === policy.allowByDefault) take(policy, part);
      else add(policy, part);
    }
  }
  return policy;
}

/** As v1's devices.allow and devices.deny take it: `c 1:3 rwm`. */
export function describe(one: DeviceException): string {
  return `${one.type} ${one.major ?? "*"}:${one.minor ?? "*"} ${one.access}`;
}

/** v1's devices.list of a cgroup that denies by default; null where it allows by default (exceptions are not shown). */
export function parseDevicesList(text: string): string[] | null {
  const lines = text.trim().split("\n").filter(Boolean);
  return lines.some((line) => line.startsWith("a ")) ? null : lines;
}
