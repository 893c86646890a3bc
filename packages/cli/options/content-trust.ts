import { CliError } from "../errors.ts";
import { bool } from "../flags.ts";

/** DOCKER_CONTENT_TRUST: set to anything that does not say no. */
function trustWanted(): boolean {
  const text = process.env.DOCKER_CONTENT_TRUST ?? "";
  return text !== "" && !/^(0|f|false)$/i.test(text);
}

/** `--disable-content-trust`, which DOCKER_CONTENT_TRUST turns off. */
export const contentTrustFlag = (short: string) => bool("", short, !trustWanted());

/**
 * Signatures are not looked at, so whoever asks for it is not served without: throws CliError unless content trust is disabled. A name
 * with a digest (a part after an `@`) needs none.
 */
export function refuseContentTrust(disabled: boolean, name = ""): void {
  if (disabled || name.includes("@")) return;
  throw new CliError(
    "content trust is not supported: name the image by its digest, or use --disable-content-trust (unset DOCKER_CONTENT_TRUST)",
  );
}
