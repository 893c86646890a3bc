import { familiarName, isNameOnly, parseReference, referenceString, withDefaultTag } from "@gantry/spec/reference";
import type { Cli } from "../cli.ts";
import { credentialsFor, registryKey } from "../credentials.ts";
import { line } from "../output.ts";
import { showProgress } from "../terminal/progress.ts";

/** Pulls one image (or all tags) and shows the progress. Returns the reference that was pulled. */
export async function pullImage(
  cli: Cli,
  name: string,
  options: { platform?: string; quiet?: boolean; all?: boolean; fd?: number; announce?: boolean },
): Promise<string> {
  let reference = parseReference(name);
  if (!options.all && isNameOnly(reference)) {
    reference = withDefaultTag(reference);
    if (options.announce && !options.quiet) line(`Using default tag: ${reference.tag}`);
  }
  const auth = credentialsFor(cli.configDir, registryKey(reference.domain));
  const stream = await cli.docker.images.pull(familiarName(reference), {
    ...(options.all ? {} : { tag: reference.digest ?? reference.tag! }),
    ...(options.platform ? { platform: options.platform } : {}),
    ...(auth ? { auth } : {}),
  });
  if (!options.quiet) {
    await showProgress(stream, { fd: options.fd ?? 1 });
  } else {
    for await (const message of stream) {
      if (message.errorDetail || message.error) {
        const { CliError } = await import("../errors.ts");
        throw new CliError(message.errorDetail?.message ?? message.error ?? "");
      }
    }
  }
  return referenceString(reference);
}
