import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { out } from "../output.ts";

const KINDS = ["C", "A", "D"];

export const diff = defineCommand({
  usage: "CONTAINER",
  short: "List what changed in a container's filesystem",
  aliases: ["container diff", "diff"],
  flags: {},
  arity: { exactly: 1 },
  async run({ cli, args }) {
    if (!args[0]) throw new CliError("Container name cannot be empty");
    const changes = await cli.docker.containers.diff(args[0]);
    out(changes.map(({ Kind, Path }) => `${KINDS[Kind] ?? ""} ${Path}\n`).join(""));
  },
});
