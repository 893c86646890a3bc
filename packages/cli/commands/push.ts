import { familiarName, isNameOnly, parseReference, referenceString, withDefaultTag } from "@gantry/spec/reference";
import { defineCommand } from "../command.ts";
import { credentialsFor, registryKey } from "../credentials.ts";
import { CliError } from "../errors.ts";
import { bool, str } from "../flags.ts";
import { contentTrustFlag, refuseContentTrust } from "../options/content-trust.ts";
import { parsePlatform } from "../options/platform.ts";
import { line } from "../output.ts";
import { showProgress } from "../terminal/progress.ts";

export const push = defineCommand({
  usage: "[OPTIONS] NAME[:TAG]",
  short: "Put an image into a registry",
  aliases: ["image push", "push"],
  flags: {
    "all-tags": bool("a", "Put all tags of the repository"),
    "disable-content-trust": contentTrustFlag("Skip image signing"),
    platform: str("", "Put one platform of the image only (e.g., linux/amd64)"),
    quiet: bool("q", "Print the name only"),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, args }) {
    refuseContentTrust(flags["disable-content-trust"]);
    let reference = parseReference(args[0]!);
    if (flags["all-tags"]) {
      if (!isNameOnly(reference)) throw new CliError("tag can't be used with --all-tags/-a");
    } else if (isNameOnly(reference)) {
      reference = withDefaultTag(reference);
      if (!flags.quiet) line(`Using default tag: ${reference.tag}`);
    }
    const auth = credentialsFor(cli.configDir, registryKey(reference.domain));
    const stream = await cli.docker.images.push(familiarName(reference), {
      ...(reference.tag ? { tag: reference.tag } : {}),
      ...(auth ? { auth } : {}),
      ...(flags.platform ? { platform: parsePlatform(flags.platform) } : {}),
    });
    if (!flags.quiet) {
      await showProgress(stream);
      return;
    }
    for await (const message of stream) {
      if (message.errorDetail || message.error) throw new CliError(message.errorDetail?.message ?? message.error ?? "");
    }
    line(referenceString(reference));
  },
});
