import { invalidParameter } from "@gantry/spec";
import { didYouMean } from "./suggest.ts";

export type FlagKind = "bool" | "string" | "strings";

/** The flags an instruction was given; a bool one that was not given is undefined. */
export type FlagValues<S extends Record<string, FlagKind>> = {
  [K in keyof S]: S[K] extends "bool" ? boolean | undefined : S[K] extends "strings" ? string[] : string | undefined;
};

/**
 * Reads `--name=value` flags against what an instruction knows. Throws invalidParameter for unknown, duplicate,
 * valueless and wrongly valued ones, in Docker's words.
 */
export function readFlags<S extends Record<string, FlagKind>>(given: string[], schema: S): FlagValues<S> {
  const values: Record<string, boolean | string | string[] | undefined> = {};
  for (const [name, kind] of Object.entries(schema)) values[name] = kind === "strings" ? [] : undefined;
  const used = new Set<string>();
  for (const flag of given) {
    const equals = flag.indexOf("=");
    const dashed = equals < 0 ? flag : flag.slice(0, equals);
    const value = equals < 0 ? undefined : flag.slice(equals + 1);
    const name = dashed.slice(2);
    const kind = Object.hasOwn(schema, name) ? schema[name] : undefined;
    if (!kind) throw invalidParameter(`unknown flag: ${dashed}${didYouMean(name, Object.keys(schema), true)}`);
    if (used.has(name) && kind !== "strings") throw invalidParameter(`duplicate flag specified: ${dashed}`);
    used.add(name);
    if (kind === "bool") values[name] = readBool(dashed, value);
    else if (value === undefined) throw invalidParameter(`missing a value on flag: ${dashed}`);
    else if (kind === "string") values[name] = value;
    else (values[name] as string[]).push(value);
  }
  return values as FlagValues<S>;
}

function readBool(dashed: string, value: string | undefined): boolean {
  if (value === "") throw invalidParameter(`missing a value on flag: ${dashed}`);
  const lower = value?.toLowerCase() ?? "true";
  if (lower === "true") return true;
  if (lower === "false") return false;
  throw invalidParameter(`expecting boolean value for flag ${dashed}, not: ${value}`);
}
