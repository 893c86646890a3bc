import { demultiplex } from "@gantry/client";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { timestamp } from "../options/timestamps.ts";
import { writeAll } from "../output.ts";

export const logs = defineCommand({
  usage: "[OPTIONS] CONTAINER",
  short: "Show the logs of a container",
  aliases: ["container logs", "logs"],
  flags: {
    details: bool("", "Show the attributes given to the log driver"),
    follow: bool("f", "Go on with new lines"),
    since: str("", 'From a time (e.g., "2013-01-02T13:23:37Z") or from a duration ago (e.g., "42m")'),
    tail: str("n", "Number of lines to show from the end", "all"),
    timestamps: bool("t", "Show the time of each line"),
    until: str("", 'Up to a time (e.g., "2013-01-02T13:23:37Z") or up to a duration ago (e.g., "42m")'),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    const { containers } = cli.docker;
    const since = point("since", flags.since);
    const until = point("until", flags.until);
    const response = await containers.logs(args[0]!, {
      stdout: true,
      stderr: true,
      ...(since ? { since } : {}),
      ...(until ? { until } : {}),
      ...(flags.timestamps ? { timestamps: true } : {}),
      ...(flags.follow ? { follow: true } : {}),
      ...(flags.details ? { details: true } : {}),
      tail: flags.tail,
    });
    // Newer engines tell by the content type whether there are frames; older ones have to be asked for the tty.
    const type = response.headers["content-type"];
    const framed = type?.includes("multiplexed-stream")
      ? true
      : type?.includes("raw-stream")
        ? false
        : !(await containers.inspect(args[0]!)).Config.Tty;
    const feed = framed
      ? demultiplex((name, bytes) => writeAll(name === "stderr" ? 2 : 1, bytes))
      : (bytes: Uint8Array) => writeAll(1, bytes);
    for await (const chunk of response.body) feed(chunk);
  },
});

function point(name: string, text: string): string {
  try {
    return timestamp(text);
  } catch (error) {
    throw new CliError(`invalid value for ${JSON.stringify(name)}: ${(error as Error).message}`);
  }
}
