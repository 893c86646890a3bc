import { ApiError } from "@gantry/client";
import { defineCommand } from "../command.ts";
import { containerRequest } from "../options/container-config.ts";
import { containerFlags } from "../options/container-flags.ts";
import { line } from "../output.ts";
import { terminalSize } from "../terminal/tty.ts";
import { createContainer } from "./create-container.ts";
import { isBadName, refused } from "./run.ts";

export const create = defineCommand({
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create a container",
  aliases: ["container create", "create"],
  flags: containerFlags,
  arity: { atLeast: 1 },
  interspersed: false,
  async run({ cli, flags, changed, args }) {
    try {
      const request = containerRequest(flags, changed, args);
      const size = flags.tty ? terminalSize() : undefined;
      if (size) request.HostConfig!.ConsoleSize = [size.rows, size.columns];
      line(await createContainer(cli, request, flags));
    } catch (error) {
      // The engine's refusals stand alone here; only `run` ends with a hint and tells the kinds apart by the status.
      if (error instanceof ApiError && !isBadName(error)) throw error;
      throw refused(cli, error, "create");
    }
  },
});
