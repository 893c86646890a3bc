import type { PullImage } from "@gantry/builder";
import type { Credentials } from "@gantry/distribution";
import type { Images } from "@gantry/engine";
import { GantryError, type Platform, parseReference } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";

const HUB_KEY = "https://index.docker.io/v1/";

/** How builds get their base images: what is here, else (or with `--pull`) from the registry. */
export function buildPull(images: Images): PullImage {
  return async (reference, { platform, always, auth, progress, signal }) => {
    if (!always) {
      const image = present(images, reference);
      if (image && (!platform || isOf(image, platform))) return image;
    }
    const wanted = platform && [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
    const credentials = credentialsFor(reference, auth);
    const image = withTag(reference);
    return images.pullAndGet({ image, platform: wanted, credentials, signal }, progress);
  };
}

function present(images: Images, reference: string): StoredImage | null {
  try {
    return images.resolve(reference);
  } catch (error) {
    if (error instanceof GantryError && error.kind === "notFound") return null;
    throw error;
  }
}

function isOf({ config }: StoredImage, platform: Platform): boolean {
  const variant = platform.variant === undefined || config.variant === undefined || platform.variant === config.variant;
  return config.os === platform.os && config.architecture === platform.architecture && variant;
}

/** Without a tag a pull would be of the whole repository. */
function withTag(reference: string): string {
  const { tag, digest } = parseReference(reference);
  return tag || digest ? reference : `${reference}:latest`;
}

/** The entry of `X-Registry-Config` for a reference's registry. */
function credentialsFor(reference: string, auth: Record<string, unknown> | undefined): Credentials | undefined {
  const { domain } = parseReference(reference);
  const keys =
    domain === "docker.io"
      ? [HUB_KEY, "docker.io", "index.docker.io"]
      : [domain, `https://${domain}`, `http://${domain}`];
  const entry = keys.map((key) => auth?.[key]).find((value) => typeof value === "object" && value !== null);
  if (!entry) return undefined;
  const field = (name: string) => {
    const value = (entry as Record<string, unknown>)[name];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  return {
    username: field("username"),
    password: field("password"),
    identityToken: field("identitytoken"),
    registryToken: field("registrytoken"),
    serverAddress: field("serveraddress"),
  };
}
