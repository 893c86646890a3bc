import { invalidParameter } from "@gantry/spec";

/** What a command takes: flags without and with a value, by long name; short names point to long ones. */
export interface Flags {
  switches?: readonly string[];
  values?: readonly string[];
  short?: Readonly<Record<string, string>>;
}

export interface Arguments {
  switches: Set<string>;
  values: Map<string, string[]>;
  rest: string[];
}

/** Parses flags up to the first other word (`stopAtWord`) or wherever they stand; `--` ends them. */
export function parseArguments(words: readonly string[], flags: Flags, stopAtWord = false): Arguments {
  const out: Arguments = { switches: new Set(), values: new Map(), rest: [] };
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") {
      out.rest.push(...words.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      if (stopAtWord) {
        out.rest.push(...words.slice(i));
        break;
      }
      out.rest.push(word);
      continue;
    }
    const [given, inline] = split(word.replace(/^--?/, ""));
    const name = flags.short?.[given] ?? given;
    if (flags.values?.includes(name)) {
      const value = inline ?? words[++i];
      if (value === undefined) throw invalidParameter(`flag needs an argument: -${given}`);
      out.values.set(name, [...(out.values.get(name) ?? []), value]);
    } else if (flags.switches?.includes(name)) {
      if (inline !== "false") out.switches.add(name);
    } else {
      throw invalidParameter(`flag provided but not defined: -${given}`);
    }
  }
  return out;
}

function split(word: string): [string, string | undefined] {
  const equals = word.indexOf("=");
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

/** The last value given, or undefined. */
export const last = (args: Arguments, name: string): string | undefined => args.values.get(name)?.at(-1);

const SIGNALS =
  `HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU
  URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS`.split(/\s+/);

/** "KILL", "SIGKILL", "9" and "SIGRTMIN+3" to a number. Throws invalidParameter. */
export function parseSignal(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^RT(MIN|MAX)([+-]\d+)?$/.exec(name);
  const signal = realtime
    ? (realtime[1] === "MIN" ? 34 : 64) + Number(realtime[2] ?? 0)
    : number || SIGNALS.indexOf(name) + 1;
  if (signal < 1 || signal > 64) throw invalidParameter(`unknown signal ${JSON.stringify(text)}`);
  return signal;
}
