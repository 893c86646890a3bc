import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { err } from "../output.ts";
import { session } from "../terminal/session.ts";
import { proxySignals } from "../terminal/signals.ts";
import { isTerminal, onResize, terminalSize } from "../terminal/tty.ts";
import { exitStatus } from "./run.ts";

export const attach = defineCommand({
  usage: "[OPTIONS] CONTAINER",
  short: "Connect this terminal to a running container",
  aliases: ["container attach", "attach"],
  flags: {
    "detach-keys": str("", "Keys that detach from the container"),
    "no-stdin": bool("", "Do not attach STDIN"),
    "sig-proxy": bool("", "Give received signals to the process", true),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    const { containers } = cli.docker;
    const { Id: id, Config: config, State: state } = await containers.inspect(args[0]!);
    if (!state.Running) throw new CliError("You cannot attach to a stopped container, start it first");
    if (state.Paused) throw new CliError("You cannot attach to a paused container, unpause it first");
    if (state.Restarting) throw new CliError("You cannot attach to a restarting container, wait until it is running");
    const tty = config.Tty === true;
    const stdin = !flags["no-stdin"] && config.OpenStdin === true;
    if (stdin && tty && !isTerminal(0)) {
      throw new CliError("the input device is not a TTY");
    }
    const detachKeys = flags["detach-keys"];
    const endSignals = flags["sig-proxy"] && !tty ? proxySignals((signal) => containers.kill(id, signal)) : () => {};
    const [stream, wait] = await Promise.all([
      containers.attach(id, { stdin, stdout: true, stderr: true, detachKeys }),
      containers.wait(id, "not-running"),
    ]);
    let endResize = () => {};
    if (tty && isTerminal(1)) {
      const resize = (size: { rows: number; columns: number }) => containers.resize(id, size).catch(() => {});
      // A program redraws when its size changes: one row more, then the right size.
      const size = terminalSize();
      if (size) resize({ rows: size.rows + 1, columns: size.columns + 1 }).then(() => resize(size));
      endResize = onResize(resize);
    }
    const end = await session(stream, { tty, stdin, output: true, detachKeys });
    endSignals();
    endResize();
    if (end === "detached") {
      err("read escape sequence\n");
      return 1;
    }
    return exitStatus(await wait.done);
  },
});
