import type { Cli } from "./cli.ts";
import type { Flags, FlagValues } from "./flags.ts";

/** How many arguments a command takes. */
export type Arity = { exactly: number } | { atLeast: number } | { atMost: number } | { between: [number, number] };

export interface Invocation<F extends Flags> {
  cli: Cli;
  /** The words that name the command: `docker container run`. */
  path: string;
  flags: FlagValues<F>;
  changed: ReadonlySet<string>;
  args: string[];
}

export interface Command<F extends Flags = Flags> {
  /** What stands after the name in the usage line. */
  usage: string;
  short: string;
  /** Longer text for the help, where there is more to say. */
  long?: string;
  /** All names of the command without the program's, as the help lists them. */
  aliases?: string[];
  flags: F;
  arity: Arity;
  /** Options may follow arguments (they may not where the arguments are another program's command line). */
  interspersed?: boolean;
  /** All words are arguments, options included: the command reads them itself. */
  raw?: boolean;
  /** The exit status; nothing is 0. */
  run(invocation: Invocation<F>): Promise<number | void>;
}

/** A command with the types of its options worked out. */
export function defineCommand<F extends Flags>(command: Command<F>): Command {
  return command as unknown as Command;
}
