import { familiarName, parseReference } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool, list, str } from "../flags.ts";
import { line } from "../output.ts";

export const commit = defineCommand({
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  short: "Make an image from a container's changes",
  aliases: ["container commit", "commit"],
  flags: {
    author: str("a", 'Author (e.g., "Ada Lovelace <ada@example.com>")'),
    change: list("c", "Apply a Dockerfile instruction to the image"),
    message: str("m", "Message of the image's history"),
    pause: bool("p", "Pause the container meanwhile", true),
  },
  arity: { between: [1, 2] },
  async run({ cli, flags, args }) {
    const [container, name] = args as [string, string?];
    const reference = name ? parseReference(name) : undefined;
    if (reference?.digest) throw new CliError("cannot commit to digest reference");
    const { Id } = await cli.docker.containers.commit(container, {
      ...(reference ? { repo: familiarName(reference), ...(reference.tag ? { tag: reference.tag } : {}) } : {}),
      comment: flags.message,
      author: flags.author,
      changes: flags.change,
      pause: flags.pause,
    });
    line(Id);
  },
});
