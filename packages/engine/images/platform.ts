import { formatPlatform, parsePlatform, platformRank } from "@gantry/distribution";
import { type Descriptor, notFound } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { byManifest, indexesOf } from "./manifests.ts";
import type { ImageRoom } from "./room.ts";

/** An image by name or ID that is to be of a platform, `os/arch[/variant]`. Throws notFound in Docker's words where it is of another. */
export function imageOf(room: Pick<ImageRoom, "storage">, name: string, platform: string | undefined): StoredImage {
  const image = room.storage.images.resolve(name);
  if (platform === undefined) return image;
  const { os, architecture, variant } = image.config;
  const actual = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  if (platformRank(parsePlatform(platform), actual) >= 0) return image;
  throw notFound(
    `image with reference ${name} was found but its platform (${formatPlatform(actual)}) does not match the specified platform (${platform})`,
  );
}

/**
 * The same, but where the name's image is of another platform, one of the same index that is here serves too: it was
 * pulled under this name as well.
 */
export async function imageFor(
  room: Pick<ImageRoom, "storage">,
  name: string,
  platform: string | undefined,
): Promise<StoredImage> {
  try {
    return imageOf(room, name, platform);
  } catch (error) {
    if (platform === undefined) throw error;
    const { images } = room.storage;
    const here = byManifest(images.list());
    const wanted = parsePlatform(platform);
    // Only the very platform: another that merely runs as well may be in the registry as what is asked for.
    const same = (entry: Descriptor) => entry.platform !== undefined && platformRank(wanted, entry.platform) === 0;
    for (const { index } of await indexesOf(room, images.resolve(name))) {
      for (const entry of index.manifests) {
        const image = same(entry) ? here.get(entry.digest) : undefined;
        if (image) return image;
      }
    }
    throw error;
  }
}
