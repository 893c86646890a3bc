import { readFileSync } from "node:fs";
import { invalidParameter, messageOf, type Ulimit } from "@gantry/spec";
import { DAEMON_OPTIONS, type DaemonOption } from "./daemon-options.ts";

export type Values = Map<DaemonOption, unknown>;

export const byFlag = new Map(
  DAEMON_OPTIONS.filter((option) => option.flag !== "").map((option) => [option.flag, option]),
);
const byShort = new Map(
  DAEMON_OPTIONS.filter((option) => option.short).map((option) => [option.short as string, option]),
);
export const byKey = new Map(
  DAEMON_OPTIONS.filter((option) => option.key !== "").map((option) => [option.key, option]),
);
// The plural flags dockerd hides but takes.
byFlag.set("hosts", byFlag.get("host") as DaemonOption);

/** The command line as values by option. Throws invalidParameter for what dockerd does not know. */
export function parseFlags(args: string[]): Values {
  const values: Values = new Map();
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    let option: DaemonOption | undefined;
    let value: string | undefined;
    let shown = arg;
    if (arg.startsWith("--") && arg.length > 2) {
      const equals = arg.indexOf("=");
      shown = equals < 0 ? arg : arg.slice(0, equals);
      option = byFlag.get(shown.slice(2));
      value = equals < 0 ? undefined : arg.slice(equals + 1);
    } else if (arg.startsWith("-") && arg.length > 1) {
      shown = arg.slice(0, 2);
      option = byShort.get(arg[1] as string);
      if (arg.length > 2) value = arg.slice(arg[2] === "=" ? 3 : 2);
      if (option === undefined) throw invalidParameter(`unknown shorthand flag: '${arg[1]}' in ${arg}`);
    } else throw invalidParameter(`"daemon" accepts no arguments: ${arg}`);
    if (option === undefined) throw invalidParameter(`unknown flag: ${shown}`);
    if (value === undefined) {
      if (option.kind === "bool") value = "true";
      else {
        i++;
        value = args[i];
        if (value === undefined) throw invalidParameter(`flag needs an argument: ${shown}`);
      }
    }
    values.set(option, fromFlag(option, value, values.get(option), shown));
  }
  return values;
}

function bad(flag: string, value: string, why: string): Error {
  return invalidParameter(`invalid argument ${JSON.stringify(value)} for "${flag}" flag: ${why}`);
}

function fromFlag(option: DaemonOption, text: string, before: unknown, flag: string): unknown {
  switch (option.kind) {
    case "string":
      return text;
    case "bool":
      if (/^(1|t|true)$/i.test(text)) return true;
      if (/^(0|f|false)$/i.test(text)) return false;
      throw bad(flag, text, `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    case "int":
      if (!/^-?\d{1,15}$/.test(text))
        throw bad(flag, text, `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
      return Number(text);
    case "list":
      return [...((before as string[]) ?? []), text];
    case "map": {
      const [key, ...rest] = text.split("=");
      return { ...(before as object), [key as string]: rest.join("=") };
    }
    case "opts": {
      const [driver, key, value] = /^([^=]+)=([^=]+)=(.*)$/.exec(text)?.slice(1) ?? [];
      if (driver === undefined || key === undefined) throw bad(flag, text, "invalid option: expected driver=key=value");
      const all = { ...(before as Record<string, Record<string, string>>) };
      all[driver] = { ...all[driver], [key]: value ?? "" };
      return all;
    }
    case "runtimes": {
      const [name, path] = text.split("=");
      if (!name || !path) throw bad(flag, text, "invalid runtime: expected name=path");
      return { ...(before as object), [name.trim()]: { path: path.trim() } };
    }
    case "ulimits": {
      const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
      if (match === null) throw bad(flag, text, "invalid ulimit argument");
      const limit: Ulimit = { Name: match[1] as string, Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
      return { ...(before as object), [match[1] as string]: limit };
    }
    case "pools": {
      const fields = Object.fromEntries(text.split(",").map((part) => part.split("=", 2) as [string, string]));
      if (!fields["base"] || !/^\d+$/.test(fields["size"] ?? ""))
        throw bad(flag, text, "invalid address pool: expected base=<cidr>,size=<bits>");
      return [...((before as object[]) ?? []), { base: fields["base"], size: Number(fields["size"]) }];
    }
    case "object": {
      const [key, value] = text.split("=", 2);
      return { ...(before as object), [key as string]: value === undefined || /^(true|1)$/i.test(value) };
    }
  }
}

/** daemon.json as values by option; none where it is missing and was not `asked` for. */
export function readConfigFile(path: string, asked: boolean): Values {
  const fail = (why: string) => invalidParameter(`unable to configure the daemon with file ${path}: ${why}`);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (!asked && (error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw fail(messageOf(error));
  }
  if (text.trim() === "") return new Map();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw fail(messageOf(error));
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw fail("it is no JSON object");
  const values: Values = new Map();
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(parsed)) {
    const option = byKey.get(key);
    if (option === undefined) unknown.push(key);
    else if (value !== null) values.set(option, fromFile(option, value, fail));
  }
  if (unknown.length > 0) {
    throw fail(`the following directives don't match any configuration option: ${unknown.join(", ")}`);
  }
  return values;
}

function fromFile(option: DaemonOption, value: unknown, fail: (why: string) => Error): unknown {
  const mismatch = (type: string) =>
    fail(`json: cannot unmarshal ${typeof value} into Go struct field Config.${option.key} of type ${type}`);
  switch (option.kind) {
    case "string":
      if (option.key === "default-shm-size" && typeof value === "number") return String(value);
      if (typeof value !== "string") throw mismatch("string");
      return value;
    case "bool":
      if (typeof value !== "boolean") throw mismatch("bool");
      return value;
    case "int":
      if (!Number.isInteger(value)) throw mismatch("int");
      return value;
    case "list":
      if (!Array.isArray(value) || !value.every((entry) => typeof entry === "string")) throw mismatch("[]string");
      return value;
    case "pools":
      if (
        !Array.isArray(value) ||
        !value.every((entry) => typeof entry?.base === "string" && Number.isInteger(entry?.size))
      ) {
        throw mismatch("[]NetworkToSplit");
      }
      return value;
    case "map":
      if (!isObject(value) || !Object.values(value).every((entry) => typeof entry === "string"))
        throw mismatch("map[string]string");
      return value;
    default:
      if (!isObject(value)) throw mismatch("map");
      return value;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What is in both places. Lists and maps that add up with themselves are conflicts too, as they are for dockerd. */
export function conflicts(flags: Values, file: Values): string[] {
  const result: string[] = [];
  for (const [option, value] of flags) {
    if (!file.has(option)) continue;
    const show = (entry: unknown) => (typeof entry === "object" ? JSON.stringify(entry) : String(entry));
    result.push(`${option.flag}: (from flag: ${show(value)}, from file: ${show(file.get(option))})`);
  }
  return result;
}
