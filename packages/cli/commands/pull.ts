import { isNameOnly, parseReference } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { contentTrustFlag, refuseContentTrust } from "../options/content-trust.ts";
import { line } from "../output.ts";
import { pullImage } from "./pull-image.ts";

export const pull = defineCommand({
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  short: "Get an image from a registry",
  aliases: ["image pull", "pull"],
  flags: {
    "all-tags": bool("a", "Get all tags of the repository"),
    "disable-content-trust": contentTrustFlag("Skip image verification"),
    platform: str("", "Platform to get, where the image has several"),
    quiet: bool("q", "Print the name only"),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    refuseContentTrust(flags["disable-content-trust"], args[0]);
    if (flags["all-tags"] && !isNameOnly(parseReference(args[0]!))) {
      throw new CliError("tag can't be used with --all-tags/-a");
    }
    line(
      await pullImage(cli, args[0]!, {
        platform: flags.platform,
        quiet: flags.quiet,
        all: flags["all-tags"],
        announce: true,
      }),
    );
  },
});
