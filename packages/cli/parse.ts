import { UsageError } from "./errors.ts";
import type { Flag, Flags, FlagValues } from "./flags.ts";

export interface Parsed<F extends Flags> {
  flags: FlagValues<F>;
  /** The options that were given. */
  changed: ReadonlySet<string>;
  args: string[];
  help: boolean;
}

/**
 * Reads a command line as Docker's does: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-abc` for switches in
 * one word, `--` ends the options. Not `interspersed`: the first word that is no option ends them, too. Throws
 * UsageError.
 */
export function parseArguments<F extends Flags>(argv: readonly string[], spec: F, interspersed = true): Parsed<F> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(spec)) values[name] = spec[name]!.initial;
  const changed = new Set<string>();
  const args: string[] = [];
  let help = false;

  const assign = (name: string, flag: Flag<unknown>, text: string) => {
    try {
      values[name] = flag.parse(text, changed.has(name) ? values[name] : emptied(flag.initial));
    } catch (error) {
      const label = flag.short ? `-${flag.short}, --${name}` : `--${name}`;
      throw new UsageError(
        "flag",
        `invalid argument ${JSON.stringify(text)} for "${label}" flag: ${(error as Error).message}`,
      );
    }
    changed.add(name);
  };

  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    if (word === "--") {
      args.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      args.push(word);
      if (interspersed) continue;
      args.push(...argv.slice(i + 1));
      break;
    }
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
      if (!name || name.startsWith("-")) throw new UsageError("flag", `bad flag syntax: ${word}`);
      const flag = Object.hasOwn(spec, name) ? spec[name] : undefined;
      if (!flag) {
        if (name === "help") {
          help = true;
          continue;
        }
        throw new UsageError("flag", `unknown flag: --${name}`);
      }
      if (equals >= 0) assign(name, flag, word.slice(equals + 1));
      else if (flag.bare !== undefined) assign(name, flag, flag.bare);
      else if (i + 1 < argv.length) assign(name, flag, argv[++i]!);
      else throw new UsageError("flag", `flag needs an argument: --${name}`);
      continue;
    }
    let rest = word.slice(1);
    while (rest) {
      const letter = rest[0]!;
      const name = Object.keys(spec).find((key) => spec[key]!.short === letter);
      const flag = name && spec[name];
      if (!flag) {
        if (letter === "h") {
          help = true;
          break;
        }
        throw new UsageError("flag", `unknown shorthand flag: '${letter}' in -${rest}`);
      }
      rest = rest.slice(1);
      if (rest.startsWith("=")) {
        assign(name, flag, rest.slice(1));
        break;
      }
      if (flag.bare !== undefined) {
        assign(name, flag, flag.bare);
        continue;
      }
      if (rest) assign(name, flag, rest);
      else if (i + 1 < argv.length) assign(name, flag, argv[++i]!);
      else throw new UsageError("flag", `flag needs an argument: '${letter}' in -${word.slice(1)}`);
      break;
    }
  }
  return { flags: values as FlagValues<F>, changed, args, help };
}

/** A list's default is replaced by the first value given, not added to. */
function emptied(initial: unknown): unknown {
  return Array.isArray(initial) ? [] : initial;
}
