import { familiarName, parseReference } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { readInput } from "../file-stream.ts";
import { list, str } from "../flags.ts";
import { showProgress } from "../terminal/progress.ts";

export const importCommand = defineCommand({
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  short: "Make an image from a tar of files",
  aliases: ["image import", "import"],
  flags: {
    change: list("c", "Apply a Dockerfile instruction to the image"),
    message: str("m", "Message of the image's history"),
    platform: str("", "Platform of the image"),
  },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    const [source, name] = args as [string, string?];
    const remote = /^(https?|git|ftp):\/\//.test(source);
    const reference = name ? parseReference(name) : undefined;
    const stream = await cli.docker.images.import({
      source: remote ? source : "-",
      ...(remote ? {} : { body: readInput(source === "-" ? undefined : source) }),
      ...(reference ? { repo: familiarName(reference), ...(reference.tag ? { tag: reference.tag } : {}) } : {}),
      message: flags.message,
      changes: flags.change,
      platform: flags.platform,
    });
    await showProgress(stream);
  },
});
