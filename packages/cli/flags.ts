/** One option of a command. `T` is the type of its value. */
export interface Flag<T> {
  short: string;
  /** The word after the name in the help; empty for switches. */
  type: string;
  help: string;
  /** The value where the option is not given. */
  initial: T;
  /** How the help shows the default; empty where it shows none. */
  shown: string;
  /** The value that the bare option stands for, where it may stand alone. */
  bare?: string;
  hidden?: boolean;
  /** The value after one more occurrence. Throws an Error with the reason for a bad one. */
  parse(text: string, before: T): T;
}

export type Flags = Record<string, Flag<unknown>>;
export type FlagValues<F extends Flags> = { [K in keyof F]: F[K] extends Flag<infer T> ? T : never };

interface Extra {
  hidden?: boolean;
  shown?: string;
}

/** A switch. */
export function bool(short: string, help: string, initial = false, extra: Extra = {}): Flag<boolean> {
  return {
    short,
    type: "",
    help,
    initial,
    shown: initial ? "true" : "",
    bare: "true",
    ...extra,
    parse(text) {
      if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
      if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
      throw new Error(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    },
  };
}

/** A text. */
export function str(short: string, help: string, initial = "", extra: Extra & { type?: string } = {}): Flag<string> {
  const { type = "string", ...rest } = extra;
  return { short, type, help, initial, shown: initial && JSON.stringify(initial), ...rest, parse: (text) => text };
}

/** A whole number, in any of Go's notations. */
export function int(short: string, help: string, initial = 0, extra: Extra & { type?: string } = {}): Flag<number> {
  const { type = "int", ...rest } = extra;
  return {
    short,
    type,
    help,
    initial,
    shown: initial ? String(initial) : "",
    ...rest,
    parse(text) {
      const unsigned = type.startsWith("uint");
      const match = /^([+-]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]+|\d+)$/.exec(text);
      if (!match || (unsigned && match[1]))
        throw new Error(`${goParser(type)}: parsing ${JSON.stringify(text)}: invalid syntax`);
      const digits = /^0[0-7]+$/.test(match[2]!) ? `0o${match[2]}` : match[2]!;
      const value = Number(digits) * (match[1] === "-" ? -1 : 1);
      const limit = type === "uint16" ? 0xffff : Number.MAX_SAFE_INTEGER;
      if (Math.abs(value) > limit)
        throw new Error(`${goParser(type)}: parsing ${JSON.stringify(text)}: value out of range`);
      return value;
    },
  };
}

/** A text that may be given several times; `check` may change or refuse each. */
export function list(
  short: string,
  help: string,
  extra: Extra & { type?: string; check?: (text: string) => string } = {},
): Flag<string[]> {
  const { type = "list", check, ...rest } = extra;
  return {
    short,
    type,
    help,
    initial: [],
    shown: "",
    ...rest,
    parse: (text, before) => [...before, check ? check(text) : text],
  };
}

/** A value with a notation of its own. */
export function value<T>(
  short: string,
  help: string,
  options: Extra & { type: string; initial: T; parse: (text: string, before: T) => T },
): Flag<T> {
  return { short, help, shown: "", ...options };
}

function goParser(type: string): string {
  return type.startsWith("uint") ? "strconv.ParseUint" : "strconv.ParseInt";
}
