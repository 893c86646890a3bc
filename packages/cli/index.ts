import { Cli, type Globals } from "./cli.ts";
import type { Arity, Command } from "./command.ts";
import { CliError, errorText, UsageError } from "./errors.ts";
import { err, line, out } from "./output.ts";
import { parseArguments } from "./parse.ts";
import { rootFlags } from "./root-flags.ts";
import { type Group, type Node, tree } from "./tree.ts";

/**
 * Runs the `gantry` command line and returns the exit status. `argv0` is the name it was called by: by the name of
 * `docker` all messages name docker.
 */
export async function main(argv0: string, argv: readonly string[]): Promise<number> {
  const program = /(^|\/)docker$/.test(argv0) ? "docker" : "gantry";
  const environment = new Cli(program, {});
  const flags = rootFlags(environment.configDir);
  let globals: ReturnType<typeof parseArguments<typeof flags>>;
  try {
    globals = parseArguments(argv, flags, false);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    err(
      `${error.message}\n\nUsage:  ${program} [OPTIONS] COMMAND [ARG...]\n\nRun '${program} --help' for more information\n`,
    );
    return 125;
  }
  if (globals.flags.version) {
    const { COMMIT, VERSION } = await import("./version.ts");
    line(`${program === "docker" ? "Docker" : "Gantry"} version ${VERSION}, build ${COMMIT}`);
    return 0;
  }
  const hosts = globals.flags.host;
  const cli = new Cli(program, pickGlobals(globals.flags, globals.changed, hosts[0]));
  const words = globals.args;
  if (words.length === 0 || globals.help || words[0] === "help")
    return help(program, words[0] === "help" ? words.slice(1) : words);

  let node: Node | undefined = Object.hasOwn(tree, words[0]!) ? tree[words[0]!] : undefined;
  let path = `${program} ${words[0]}`;
  let at = 1;
  if (!node) {
    err(`${program}: unknown command: ${path}\n\nRun '${program} --help' for more information\n`);
    return 1;
  }
  while ("commands" in node) {
    const word: string | undefined = words[at];
    if (word === undefined || word === "--help" || word === "-h") {
      const { groupHelp } = await import("./help.ts");
      // Asked for, it is output; for want of a command, a remark.
      (word === undefined ? err : out)(groupHelp(path, node));
      return 0;
    }
    if (word.startsWith("-")) {
      err(`unknown flag: ${word}\n\nUsage:  ${path}\n\nRun '${path} --help' for more information\n`);
      return 125;
    }
    const next: Node | undefined = Object.hasOwn(node.commands, word) ? node.commands[word] : undefined;
    if (!next) {
      err(
        `${program}: unknown command: ${path} ${word}\n\nUsage:  ${path}\n\nRun '${path} --help' for more information\n`,
      );
      return 1;
    }
    node = next;
    path += ` ${word}`;
    at++;
  }
  // The connection is made while the command's code is loaded.
  if (!node.offline) cli.warm();
  return runCommand(cli, path, await node.load(), words.slice(at));
}

async function runCommand(cli: Cli, path: string, command: Command, argv: readonly string[]): Promise<number> {
  try {
    if (command.raw) {
      const status = await command.run({ cli, path, flags: {}, changed: new Set(), args: [...argv] });
      return status ?? 0;
    }
    const parsed = parseArguments(argv, command.flags, command.interspersed ?? true);
    if (parsed.help) {
      const { commandHelp } = await import("./help.ts");
      out(commandHelp(cli.program, path, command));
      return 0;
    }
    checkArity(path, command.arity, parsed.args.length);
    const status = await command.run({ cli, path, flags: parsed.flags, changed: parsed.changed, args: parsed.args });
    return status ?? 0;
  } catch (error) {
    return failed(cli, path, command, error);
  }
}

function failed(cli: Cli, path: string, command: Command, error: unknown): number {
  if (error instanceof UsageError) {
    const prefix = error.kind === "flag" ? "" : `${cli.program}: `;
    const verb = error.kind === "minimum" ? "See" : "Run";
    err(
      `${prefix}${error.message}\n\nUsage:  ${path}${command.usage ? ` ${command.usage}` : ""}\n\n${verb} '${path} --help' for more information\n`,
    );
    return error.kind === "flag" ? 125 : 1;
  }
  const text = errorText(error);
  if (text) err(`${text}\n`);
  if (cli.globals.debug && error instanceof Error && error.stack) err(`${error.stack}\n`);
  return error instanceof CliError ? error.exitCode : 1;
}

function checkArity(path: string, arity: Arity, count: number): void {
  const plural = (n: number) => `${n} argument${n === 1 ? "" : "s"}`;
  if ("exactly" in arity) {
    if (count === arity.exactly) return;
    if (arity.exactly === 0) throw new UsageError("arguments", `'${path}' accepts no arguments`);
    throw new UsageError("arguments", `'${path}' requires ${plural(arity.exactly)}`);
  }
  if ("atLeast" in arity) {
    if (count < arity.atLeast) throw new UsageError("minimum", `'${path}' requires at least ${plural(arity.atLeast)}`);
    return;
  }
  if ("atMost" in arity) {
    if (count > arity.atMost) throw new UsageError("arguments", `'${path}' requires at most ${plural(arity.atMost)}`);
    return;
  }
  const [least, most] = arity.between;
  if (count < least || count > most) {
    throw new UsageError("arguments", `'${path}' requires at least ${least} and at most ${plural(most)}`);
  }
}

async function help(program: string, words: readonly string[]): Promise<number> {
  const { commandHelp, groupHelp, rootHelp } = await import("./help.ts");
  let node: Node | Group = { short: "", commands: tree };
  let path = program;
  for (const word of words) {
    const next: Node | undefined =
      "commands" in node && Object.hasOwn(node.commands, word) ? node.commands[word] : undefined;
    if (!next) {
      err(`unknown help topic: ${words.join(" ")}\n`);
      return 1;
    }
    node = next;
    path += ` ${word}`;
  }
  if (!("commands" in node)) out(commandHelp(program, path, await node.load()));
  else if (path === program) out(rootHelp(program, tree, rootFlags(new Cli(program, {}).configDir)));
  else out(groupHelp(path, node));
  return 0;
}

function pickGlobals(
  flags: ReturnType<typeof parseArguments<ReturnType<typeof rootFlags>>>["flags"],
  changed: ReadonlySet<string>,
  host: string | undefined,
): Globals {
  return {
    ...(host ? { host } : {}),
    ...(flags.context ? { context: flags.context } : {}),
    ...(flags.config ? { config: flags.config } : {}),
    debug: flags.debug,
    ...(changed.has("tls") ? { tls: flags.tls } : {}),
    ...(changed.has("tlsverify") ? { tlsverify: flags.tlsverify } : {}),
    ...(flags.tlscacert ? { tlscacert: flags.tlscacert } : {}),
    ...(flags.tlscert ? { tlscert: flags.tlscert } : {}),
    ...(flags.tlskey ? { tlskey: flags.tlskey } : {}),
  };
}
