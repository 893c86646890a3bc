import { formatPlatform, parsePlatform, platformRank } from "@gantry/distribution";
import { notFound } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { ImageRoom } from "./room.ts";

/** An image by name or ID that is to be of a platform, `os/arch[/variant]`. Throws notFound in Docker's words where it is of another. */
export function imageOf(room: ImageRoom, name: string, platform: string | undefined): StoredImage {
  const image = room.storage.images.resolve(name);
  if (platform === undefined) return image;
  const { os, architecture, variant } = image.config;
  const actual = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  if (platformRank(parsePlatform(platform), actual) >= 0) return image;
  throw notFound(
    `image with reference ${name} was found but its platform (${formatPlatform(actual)}) does not match the specified platform (${platform})`,
  );
}
