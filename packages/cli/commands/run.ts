import { ApiError, type HijackedStream } from "@gantry/client";
import type { ContainerCreateRequest, WaitResponse } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { refusalStatus } from "../exit-status.ts";
import { bool, str } from "../flags.ts";
import { containerRequest } from "../options/container-config.ts";
import { containerFlags } from "../options/container-flags.ts";
import { line } from "../output.ts";
import { session } from "../terminal/session.ts";
import { proxySignals } from "../terminal/signals.ts";
import { isTerminal, onResize, terminalSize } from "../terminal/tty.ts";
import { createContainer } from "./create-container.ts";

const flags = {
  ...containerFlags,
  detach: bool("d", "Run in the background and print the container's ID"),
  "detach-keys": str("", "Keys that detach from the container"),
  "sig-proxy": bool("", "Give received signals to the process", true),
};

export const run = defineCommand({
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create and run a container",
  aliases: ["container run", "run"],
  flags,
  arity: { atLeast: 1 },
  interspersed: false,
  async run({ cli, flags, changed, args }) {
    try {
      const request = containerRequest(flags, changed, args);
      if (flags.detach) {
        if (flags.attach.length > 0)
          throw new PlainError("conflicting options: cannot specify both --attach and --detach");
        Object.assign(request, { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false });
      } else if (request.AttachStdin && flags.tty && !isTerminal(0)) {
        throw new PlainError("the input device is not a TTY");
      }
      const size = flags.tty ? terminalSize() : undefined;
      if (size) request.HostConfig!.ConsoleSize = [size.rows, size.columns];
      const creating = createContainer(cli, request, flags);
      // Attach and wait need connections of their own.
      if (!flags.detach) cli.docker.warm(2);
      const id = await creating;
      return await runCreated(cli, id, request, {
        detachKeys: flags["detach-keys"],
        signals: flags["sig-proxy"],
        remove: flags.rm,
      });
    } catch (error) {
      throw refused(cli, error, "run");
    }
  },
});

interface RunOptions {
  detachKeys: string;
  signals: boolean;
  remove: boolean;
}

async function runCreated(cli: Cli, id: string, request: ContainerCreateRequest, options: RunOptions): Promise<number> {
  const { containers } = cli.docker;
  const stdin = request.AttachStdin === true;
  const output = request.AttachStdout === true || request.AttachStderr === true;
  if (!output && !stdin) {
    line(id);
    await containers.start(id, { detachKeys: options.detachKeys });
    return 0;
  }
  const endSignals = options.signals ? proxySignals((signal) => containers.kill(id, signal)) : () => {};
  // Attach and wait do not depend on each other; both must stand before the start, lest output or exit be missed.
  const [stream, wait] = await Promise.all([
    containers.attach(id, {
      stdin,
      stdout: request.AttachStdout === true,
      stderr: request.AttachStderr === true,
      detachKeys: options.detachKeys,
    }),
    containers.wait(id, options.remove ? "removed" : "next-exit"),
  ]);
  const tty = request.Tty === true;
  const talk = session(stream, { tty, stdin, output, detachKeys: options.detachKeys });
  talk.catch(() => {});
  try {
    await containers.start(id, { detachKeys: options.detachKeys });
  } catch (error) {
    await undoSession(stream, talk);
    // A container that never ran is removed all the same: only then is the command over.
    if (options.remove) await Promise.race([wait.done.catch(() => {}), pause(10_000)]);
    throw error;
  }
  const endResize = tty && isTerminal(1) ? followSize(cli, id) : () => {};
  // Without output the stream tells nothing of the container's end, and stdin may never end.
  const end = await (output ? talk : Promise.race([talk, wait.done.then(() => "ended" as const)]));
  endSignals();
  endResize();
  if (end === "detached") return 0;
  return exitStatus(await wait.done);
}

/** The exit status that a wait tells; 125 where the engine tells an error. */
export function exitStatus(response: WaitResponse): number {
  return response.Error ? 125 : response.StatusCode;
}

/** Keeps a container's terminal at the size of ours. Returns what ends it. */
export function followSize(cli: Cli, id: string): () => void {
  const resize = (size: { rows: number; columns: number }) => cli.docker.containers.resize(id, size).catch(() => {});
  const size = terminalSize();
  if (size) resize(size);
  return onResize(resize);
}

/** Printed as it is, without the program's name and the hint. */
class PlainError extends CliError {}

/** Whether the engine found that an image's name is none: with Docker that is the client's own finding. */
export function isBadName(error: ApiError): boolean {
  return /^invalid (reference format|repository name)/.test(error.message);
}

/** An error of `run` or `create` with the status and the hint that Docker ends with. */
export function refused(cli: Cli, error: unknown, command: string): CliError {
  if (error instanceof PlainError) return error;
  const engine = error instanceof ApiError;
  const own = !engine || isBadName(error);
  const text = own && engine ? error.message : errorText(error);
  const status = own ? 125 : refusalStatus(text);
  return new CliError(`${cli.program}: ${text}\n\nRun '${cli.program} ${command} --help' for more information`, status);
}

async function undoSession(stream: HijackedStream, talk: Promise<unknown>): Promise<void> {
  stream.destroy();
  await talk.catch(() => {});
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref?.());
}
