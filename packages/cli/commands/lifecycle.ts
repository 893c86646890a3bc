import { type Command, defineCommand, type Invocation } from "../command.ts";
import { forEach } from "../each.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, type Flags, int, str } from "../flags.ts";
import { line } from "../output.ts";

const usage = "[OPTIONS] CONTAINER [CONTAINER...]";
const timing = {
  signal: str("s", "Signal to send to the container"),
  timeout: int("t", "Seconds to wait before killing the container"),
  time: int("", "Seconds to wait before killing the container", 0, { hidden: true }),
};

function timingOf({ flags, changed }: Invocation<typeof timing>): { signal: string; timeout?: number } {
  if (changed.has("time") && changed.has("timeout")) {
    throw new CliError("conflicting options: cannot specify both --timeout and --time");
  }
  const timeout = changed.has("timeout") ? flags.timeout : changed.has("time") ? flags.time : undefined;
  return { signal: flags.signal, ...(timeout === undefined ? {} : { timeout }) };
}

export const stop = defineCommand({
  usage,
  short: "Stop running containers",
  aliases: ["container stop", "stop"],
  flags: timing,
  arity: { atLeast: 1 },
  run: (call) =>
    forEach(call.args, (name) => call.cli.docker.containers.stop(name, timingOf(call)), { parallel: true }),
});

export const restart = defineCommand({
  usage,
  short: "Restart containers",
  aliases: ["container restart", "restart"],
  flags: timing,
  arity: { atLeast: 1 },
  run: (call) => forEach(call.args, (name) => call.cli.docker.containers.restart(name, timingOf(call))),
});

export const kill = defineCommand({
  usage,
  short: "Kill running containers",
  aliases: ["container kill", "kill"],
  flags: { signal: str("s", "Signal to send to the container") },
  arity: { atLeast: 1 },
  run: ({ cli, flags, args }) =>
    forEach(args, (name) => cli.docker.containers.kill(name, flags.signal), { parallel: true }),
});

export const rm = defineCommand({
  usage,
  short: "Remove containers",
  aliases: ["container rm", "container remove", "rm"],
  flags: {
    force: bool("f", "Kill running containers first"),
    link: bool("l", "Remove the link of this name"),
    volumes: bool("v", "Remove the anonymous volumes, too"),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    const names = args.map((name) => name.replace(/^\/+(?=.)|\/+$/g, ""));
    if (names.includes("")) throw new CliError("invalid container name or ID: value is empty");
    await forEach(
      names,
      async (name) => {
        try {
          await cli.docker.containers.remove(name, flags);
        } catch (error) {
          // What is not there need not be removed: with --force that is a remark, not a failure.
          if (!flags.force || (error as { status?: number }).status !== 404) throw error;
          const { err } = await import("../output.ts");
          err(`${errorText(error)}\n`);
          throw new SilentlyMissing();
        }
      },
      { parallel: true },
    ).catch((error) => {
      if (!(error instanceof CliError)) throw error;
      const remaining = error.message.split("\n").filter((text) => text !== SILENT);
      if (remaining.length > 0) throw new CliError(remaining.join("\n"));
    });
  },
});

const SILENT = "\0missing";
class SilentlyMissing extends Error {
  constructor() {
    super(SILENT);
  }
}

function simple(name: "pause" | "unpause", short: string): Command {
  return defineCommand({
    usage: "CONTAINER [CONTAINER...]",
    short,
    aliases: [`container ${name}`, name],
    flags: {} as Flags,
    arity: { atLeast: 1 },
    run: ({ cli, args }) => forEach(args, (container) => cli.docker.containers[name](container), { parallel: true }),
  });
}

export const pause = simple("pause", "Pause all processes of containers");
export const unpause = simple("unpause", "Resume paused containers");

export const rename = defineCommand({
  usage: "CONTAINER NEW_NAME",
  short: "Rename a container",
  aliases: ["container rename", "rename"],
  flags: {},
  arity: { exactly: 2 },
  async run({ cli, args }) {
    const [from, to] = args.map((name) => name.trim()) as [string, string];
    if (!from || !to) throw new CliError("Error: Neither old nor new names may be empty");
    try {
      await cli.docker.containers.rename(from, to);
    } catch (error) {
      throw new CliError(`${errorText(error)}\nError: failed to rename container named ${from}`);
    }
  },
});

export const wait = defineCommand({
  usage: "CONTAINER [CONTAINER...]",
  short: "Wait for containers to stop, print their exit codes",
  aliases: ["container wait", "wait"],
  flags: {},
  arity: { atLeast: 1 },
  async run({ cli, args }) {
    const failures: string[] = [];
    for (const name of args) {
      try {
        const { done } = await cli.docker.containers.wait(name);
        const { Error: failure, StatusCode } = await done;
        if (failure) failures.push(failure.Message ?? "");
        else line(String(StatusCode));
      } catch (error) {
        failures.push(errorText(error));
      }
    }
    if (failures.length > 0) throw new CliError(failures.join("\n"));
  },
});
