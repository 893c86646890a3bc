import { existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { jsonStream } from "@gantry/client";
import type { ProgressMessage } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { readInput, refuseTerminal, writeOutput } from "../file-stream.ts";
import { bool, list, str } from "../flags.ts";
import { parsePlatform } from "../options/platform.ts";
import { writeAll } from "../output.ts";
import { showProgress } from "../terminal/progress.ts";
import { isTerminal } from "../terminal/tty.ts";

export const save = defineCommand({
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Write images to a tar (to STDOUT by default)",
  aliases: ["image save", "save"],
  flags: {
    output: str("o", "Write to a file, not to STDOUT"),
    platform: list("", 'Save one platform only ("os[/arch[/variant]]", e.g., "linux/amd64")', { type: "string" }),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    checkTarget(flags.output);
    const { body } = await cli.docker.images.save(args, {
      ...(flags.platform.length > 0 ? { platforms: flags.platform.map(parsePlatform) } : {}),
    });
    await writeOutput(flags.output || undefined, body);
  },
});

export const load = defineCommand({
  usage: "[OPTIONS]",
  short: "Load images from a tar",
  aliases: ["image load", "load"],
  flags: {
    input: str("i", "Read from a file, not from STDIN"),
    platform: list("", 'Load one platform only ("os[/arch[/variant]]", e.g., "linux/amd64")', { type: "string" }),
    quiet: bool("q", "Do not show the progress"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    if (flags.input && !existsSync(flags.input)) throw new CliError(`open ${flags.input}: no such file or directory`);
    const response = await cli.docker.images.load(readInput(flags.input || undefined), {
      // Without a terminal nobody watches a bar.
      quiet: flags.quiet || !isTerminal(1),
      ...(flags.platform.length > 0 ? { platforms: flags.platform.map(parsePlatform) } : {}),
    });
    if (response.headers["content-type"]?.includes("json")) {
      await showProgress(jsonStream<ProgressMessage>(response.body));
      return;
    }
    for await (const chunk of response.body) writeAll(1, chunk);
  },
});

/** Refuses what a tar cannot be written to. */
export function checkTarget(path: string): void {
  refuseTerminal(path || undefined);
  if (!path) return;
  const dir = dirname(path);
  if (!existsSync(dir))
    throw new CliError(`failed to save image: invalid output path: directory ${JSON.stringify(dir)} does not exist`);
  if (existsSync(path) && statSync(path).isDirectory())
    throw new CliError(`failed to save image: invalid output path: ${JSON.stringify(path)} must not be a directory`);
}
