import { familiarName, parseReference, withDefaultTag } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";

export const tag = defineCommand({
  usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
  short: "Give an image another name",
  aliases: ["image tag", "tag"],
  flags: {},
  arity: { exactly: 2 },
  async run({ cli, args }) {
    const [source, target] = args as [string, string];
    let reference: ReturnType<typeof parseReference>;
    try {
      reference = withDefaultTag(parseReference(target));
    } catch (error) {
      throw new CliError(
        `Error parsing reference: ${JSON.stringify(target)} is not a valid repository/tag: ${(error as Error).message}`,
      );
    }
    if (reference.digest) throw new CliError("refusing to create a tag with a digest reference");
    await cli.docker.images.tag(source, familiarName(reference), reference.tag);
  },
});
