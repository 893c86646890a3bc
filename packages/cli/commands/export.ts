import { defineCommand } from "../command.ts";
import { refuseTerminal, writeOutput } from "../file-stream.ts";
import { str } from "../flags.ts";

export const exportCommand = defineCommand({
  usage: "[OPTIONS] CONTAINER",
  short: "Write a container's filesystem as a tar",
  aliases: ["container export", "export"],
  flags: { output: str("o", "Write to a file, not to STDOUT") },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    refuseTerminal(flags.output || undefined);
    const { body } = await cli.docker.containers.export(args[0]!);
    await writeOutput(flags.output || undefined, body);
  },
});
