import type { ExecConfig } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, list, str } from "../flags.ts";
import { checkEnv, readEnvironment } from "../options/env.ts";
import { session } from "../terminal/session.ts";
import { isTerminal, onResize, terminalSize } from "../terminal/tty.ts";

export const exec = defineCommand({
  usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
  short: "Run a command in a running container",
  aliases: ["container exec", "exec"],
  flags: {
    detach: bool("d", "Run the command in the background"),
    "detach-keys": str("", "Keys that detach from the command"),
    env: list("e", "Set environment variables", { check: checkEnv }),
    "env-file": list("", "Read environment variables from a file"),
    interactive: bool("i", "Keep STDIN open even if not attached"),
    privileged: bool("", "Give extended privileges to the command"),
    tty: bool("t", "Give the command a terminal"),
    user: str("u", 'User by name or number (format: "<name|uid>[:<group|gid>]")'),
    workdir: str("w", "Working directory in the container"),
  },
  arity: { atLeast: 2 },
  interspersed: false,
  async run({ cli, flags, args }) {
    const [container, ...command] = args as [string, ...string[]];
    const stdin = flags.interactive && !flags.detach;
    if (stdin && flags.tty && !isTerminal(0)) {
      throw new CliError("the input device is not a TTY");
    }
    const size = flags.tty ? terminalSize() : undefined;
    const consoleSize: [number, number] | undefined = size && [size.rows, size.columns];
    const env = readEnvironment(flags["env-file"], flags.env);
    const config: ExecConfig = {
      User: flags.user,
      Privileged: flags.privileged,
      Tty: flags.tty,
      ...(consoleSize && !flags.detach ? { ConsoleSize: consoleSize } : {}),
      AttachStdin: stdin,
      AttachStdout: !flags.detach,
      AttachStderr: !flags.detach,
      DetachKeys: flags["detach-keys"],
      Env: env.length > 0 ? env : null,
      WorkingDir: flags.workdir,
      Cmd: command,
    };
    const { execs } = cli.docker;
    const { Id: id } = await execs.create(container, config);
    const options = { tty: flags.tty, ...(consoleSize ? { consoleSize } : {}) };
    if (flags.detach) {
      await execs.start(id, options);
      return 0;
    }
    const stream = await execs.attach(id, options);
    let endResize = () => {};
    if (flags.tty && isTerminal(1)) {
      const resize = (to: { rows: number; columns: number }) => execs.resize(id, to).catch(() => {});
      if (size) resize(size);
      endResize = onResize(resize);
    }
    const end = await session(stream, { tty: flags.tty, stdin, output: true, detachKeys: flags["detach-keys"] });
    endResize();
    if (end === "detached") throw new CliError("read escape sequence");
    try {
      return (await execs.inspect(id)).ExitCode ?? 0;
    } catch (error) {
      // An engine that goes away in the middle tells no exit code.
      throw new CliError(errorText(error), 1);
    }
  },
});
