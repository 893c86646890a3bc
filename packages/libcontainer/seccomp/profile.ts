import {
  invalidParameter,
  type LinuxSeccomp,
  type LinuxSeccompArg,
  type LinuxSyscallRule,
  messageOf,
} from "@gantry/spec";
import { atLeastKernel, type KernelVersion, parseKernelVersion, runningKernel } from "./kernel.ts";

const ARCH_NAMES = {
  x64: { docker: "amd64", oci: "SCMP_ARCH_X86_64" },
  arm64: { docker: "arm64", oci: "SCMP_ARCH_AARCH64" },
};

/** When a rule counts: for all of these; `null` and empty lists are as good as absent. */
interface Condition {
  caps?: string[] | null;
  arches?: string[] | null;
  minKernel?: string | null;
}

const decodingFailed = (why: string) => invalidParameter(`Decoding seccomp profile failed: ${why}`);

type Fields = Record<string, unknown>;

/** Go's decoder takes field names in any case; so do people's profiles. */
function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw decodingFailed(`${what} is not an object`);
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key.toLowerCase(), field]));
}

function list(value: unknown, what: string): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw decodingFailed(`${what} is not an array`);
  return value;
}

function string(value: unknown, what: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw decodingFailed(`${what} is not a string`);
  return value;
}

function unsigned(value: unknown, what: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0)
    throw decodingFailed(`${what} is not an unsigned integer`);
  return value;
}

const strings = (value: unknown, what: string) => list(value, what).map((one) => string(one, what));

function parseArg(value: unknown): LinuxSeccompArg {
  const arg = fields(value, "args");
  const valueTwo = unsigned(arg.valuetwo, "valueTwo");
  return {
    index: unsigned(arg.index, "index") ?? 0,
    value: unsigned(arg.value, "value") ?? 0,
    ...(valueTwo === undefined ? {} : { valueTwo }),
    op: string(arg.op, "op") as LinuxSeccompArg["op"],
  };
}

function parseCondition(value: unknown, what: string): Condition | null {
  if (value === undefined || value === null) return null;
  const { caps, arches, minkernel } = fields(value, what);
  const minKernel = string(minkernel, "minKernel");
  return { caps: strings(caps, "caps"), arches: strings(arches, "arches"), ...(minKernel ? { minKernel } : {}) };
}

interface Host {
  capabilities: readonly string[];
  arch: string;
  kernel: KernelVersion;
}

function excluded(condition: Condition, host: Host): boolean {
  if (condition.arches?.includes(host.arch)) return true;
  if (condition.caps?.some((name) => host.capabilities.includes(name))) return true;
  return !!condition.minKernel && atLeastKernel(host.kernel, parseKernelVersion(condition.minKernel));
}

function included(condition: Condition, host: Host): boolean {
  if (condition.arches?.length && !condition.arches.includes(host.arch)) return false;
  if (condition.caps?.some((name) => !host.capabilities.includes(name))) return false;
  return !condition.minKernel || atLeastKernel(host.kernel, parseKernelVersion(condition.minKernel));
}

/** One entry of `syscalls`, or null where its conditions leave it out. */
function parseRule(value: unknown, host: Host): LinuxSyscallRule | null {
  const rule = fields(value, "syscalls");
  const name = string(rule.name, "name");
  let names = strings(rule.names, "names");
  if (name) {
    if (names.length)
      throw invalidParameter(
        "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
      );
    names = [name];
  }
  const excludes = parseCondition(rule.excludes, "excludes");
  const includes = parseCondition(rule.includes, "includes");
  if ((excludes && excluded(excludes, host)) || (includes && !included(includes, host))) return null;
  const errnoRet = unsigned(rule.errnoret, "errnoRet");
  const args = list(rule.args, "args").map(parseArg);
  return {
    names,
    action: string(rule.action, "action") as LinuxSyscallRule["action"],
    ...(errnoRet === undefined ? {} : { errnoRet }),
    ...(args.length ? { args } : {}),
  };
}

function architectures(profile: Fields, arch: "x64" | "arm64"): string[] {
  const given = strings(profile.architectures, "architectures");
  const map = list(profile.archmap, "archMap").map((entry) => fields(entry, "archMap"));
  if (given.length && map.length)
    throw invalidParameter(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  const own = map.find((entry) => entry.architecture === ARCH_NAMES[arch].oci);
  if (!own) return given;
  return [ARCH_NAMES[arch].oci, ...strings(own.subarchitectures, "subArchitectures")];
}

/**
 * Reads a profile in Docker's format (`--security-opt seccomp=…`, daemon.json's `seccomp-profile`): OCI's with
 * `archMap`, rules by `name`, and `includes`/`excludes` by capability, architecture and kernel, which are resolved
 * against the container's bounding set and this machine. Null where the profile is empty, which means unconfined.
 *
 * Throws `invalidParameter` in Docker's words.
 */
export function loadDockerProfile(
  json: string,
  capabilities: readonly string[],
  arch: "x64" | "arm64",
  kernel: KernelVersion = runningKernel(),
): LinuxSeccomp | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw decodingFailed(messageOf(error));
  }
  const profile = fields(parsed, "profile");
  const rules = list(profile.syscalls, "syscalls");
  const defaultAction = string(profile.defaultaction, "defaultAction");
  if (!defaultAction && !rules.length) return null;
  const host = { capabilities, arch: ARCH_NAMES[arch].docker, kernel };
  const defaultErrnoRet = unsigned(profile.defaulterrnoret, "defaultErrnoRet");
  const flags = strings(profile.flags, "flags");
  const listenerPath = string(profile.listenerpath, "listenerPath");
  const listenerMetadata = string(profile.listenermetadata, "listenerMetadata");
  return {
    defaultAction: defaultAction as LinuxSeccomp["defaultAction"],
    ...(defaultErrnoRet === undefined ? {} : { defaultErrnoRet }),
    architectures: architectures(profile, arch),
    ...(flags.length ? { flags } : {}),
    ...(listenerPath ? { listenerPath } : {}),
    ...(listenerMetadata ? { listenerMetadata } : {}),
    syscalls: rules.map((rule) => parseRule(rule, host)).filter((rule) => rule !== null),
  };
}
