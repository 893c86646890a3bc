import { familiarName, familiarString, GantryError, type Reference, systemError } from "@gantry/spec";
import { RegistryError } from "./failure.ts";
import { TransientError } from "./retry.ts";

/** Takes the wrapping off that only matters while there are tries left. */
export function finalError(error: unknown): Error {
  if (error instanceof TransientError) {
    return error.cause instanceof GantryError ? error.cause : systemError(error.message, error);
  }
  return error instanceof Error ? error : systemError(String(error));
}

/** What Docker makes of a registry's refusal to give an image. */
export function pullError(error: unknown, reference: Reference): Error {
  const final = finalError(error);
  if (!(final instanceof RegistryError)) return final;
  const name = familiarName(reference);
  switch (final.code) {
    case "DENIED":
      return say(final, `pull access denied for ${name}, repository does not exist or may require 'docker login'`);
    case "MANIFEST_UNKNOWN":
      return say(final, `manifest for ${familiarString(reference)} not found`);
    case "NAME_UNKNOWN":
      return say(final, `repository ${name} not found`);
    default:
      // No 401 either, for the reason given at noBasicAuth.
      return final.statusCode === 401 ? systemError(final.message, final) : final;
  }
}

function say(error: RegistryError, words: string): GantryError {
  return new GantryError("notFound", `${words}: ${error.message}`, { cause: error });
}
