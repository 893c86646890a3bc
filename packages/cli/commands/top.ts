import { defineCommand } from "../command.ts";
import { alignColumns } from "../format/tabwriter.ts";
import { out } from "../output.ts";

export const top = defineCommand({
  usage: "CONTAINER [ps OPTIONS]",
  short: "List the processes of a container",
  aliases: ["container top", "top"],
  flags: {},
  arity: { atLeast: 1 },
  interspersed: false,
  async run({ cli, args }) {
    const [name, ...ps] = args as [string, ...string[]];
    const { Titles, Processes } = await cli.docker.containers.top(name, ps.length > 0 ? ps.join(" ") : undefined);
    const lines = [Titles, ...(Processes ?? [])].map((cells) => `${cells.join("\t")}\n`);
    out(alignColumns(lines.join(""), 20, 3));
  },
});
