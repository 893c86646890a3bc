import { defineCommand } from "../command.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, list } from "../flags.ts";
import { parsePlatform } from "../options/platform.ts";
import { err, line } from "../output.ts";

export const rmi = defineCommand({
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Remove images",
  aliases: ["image rm", "image remove", "rmi"],
  flags: {
    force: bool("f", "Remove even images in use"),
    "no-prune": bool("", "Leave untagged parents"),
    platform: list("", 'Remove one platform only ("os[/arch[/variant]]", e.g., "linux/amd64")', { type: "strings" }),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    const failures: string[] = [];
    let fatal = false;
    for (const name of args) {
      try {
        const items = await cli.docker.images.remove(name, {
          force: flags.force,
          noprune: flags["no-prune"],
          ...(flags.platform.length > 0
            ? { platforms: flags.platform.flatMap((item) => item.split(",")).map(parsePlatform) }
            : {}),
        });
        for (const { Deleted, Untagged } of items) line(Deleted ? `Deleted: ${Deleted}` : `Untagged: ${Untagged}`);
      } catch (error) {
        if ((error as { status?: number }).status !== 404) fatal = true;
        failures.push(errorText(error));
      }
    }
    if (failures.length === 0) return;
    if (!flags.force || fatal) throw new CliError(failures.join("\n"));
    err(`${failures.join("\n")}\n`);
  },
});
