import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { err, line } from "../output.ts";
import { session } from "../terminal/session.ts";
import { proxySignals } from "../terminal/signals.ts";
import { isTerminal } from "../terminal/tty.ts";
import { exitStatus, followSize } from "./run.ts";

export const start = defineCommand({
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Start stopped containers",
  aliases: ["container start", "start"],
  flags: {
    attach: bool("a", "Attach STDOUT and STDERR and forward signals"),
    checkpoint: str("", "Restore from this checkpoint", "", { hidden: true }),
    "checkpoint-dir": str("", "Folder of the checkpoints", "", { hidden: true }),
    "detach-keys": str("", "Keys that detach from the container"),
    interactive: bool("i", "Attach STDIN"),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    if (flags.attach || flags.interactive) {
      if (args.length > 1) throw new CliError("you cannot start and attach multiple containers at once");
      return attachAndStart(cli, args[0]!, flags.interactive, flags["detach-keys"]);
    }
    const failed: string[] = [];
    for (const name of args) {
      try {
        await cli.docker.containers.start(name, {
          detachKeys: flags["detach-keys"],
          checkpoint: flags.checkpoint,
          checkpointDir: flags["checkpoint-dir"],
        });
        line(name);
      } catch (error) {
        err(`${errorText(error)}\n`);
        failed.push(name);
      }
    }
    if (failed.length > 0) throw new CliError(`Error: failed to start containers: ${failed.join(", ")}`);
  },
});

async function attachAndStart(cli: Cli, name: string, interactive: boolean, detachKeys: string): Promise<number> {
  const { containers } = cli.docker;
  const { Id: id, Config: config, HostConfig: host } = await containers.inspect(name);
  const tty = config.Tty === true;
  const endSignals = tty ? () => {} : proxySignals((signal) => containers.kill(id, signal));
  const stdin = interactive && config.OpenStdin === true;
  const [stream, wait] = await Promise.all([
    containers.attach(id, { stdin, stdout: true, stderr: true, detachKeys }),
    containers.wait(id, host.AutoRemove ? "removed" : "next-exit"),
  ]);
  const talk = session(stream, { tty, stdin, output: true, detachKeys });
  talk.catch(() => {});
  try {
    await containers.start(id, { detachKeys });
  } catch (error) {
    stream.destroy();
    await talk.catch(() => {});
    throw error;
  }
  const endResize = tty && isTerminal(1) ? followSize(cli, id) : () => {};
  const end = await talk;
  endSignals();
  endResize();
  return end === "detached" ? 0 : exitStatus(await wait.done);
}
