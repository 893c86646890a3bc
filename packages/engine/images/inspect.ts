import type { HistoryResponseItem, ImageInspect } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import { parseTime, ZERO_TIME } from "../time.ts";
import { byManifest, manifestSummaries } from "./manifests.ts";
import { imageFor } from "./platform.ts";
import type { ImageRoom } from "./room.ts";

/** `GET /images/{name}/json`. Throws notFound in Docker's words. */
export async function inspect(
  room: ImageRoom,
  name: string,
  options: { manifests?: boolean | undefined; platform?: string | undefined } = {},
): Promise<ImageInspect> {
  const image = await imageFor(room, name, options.platform);
  const { config } = image;
  const out: ImageInspect = {
    Id: image.id,
    RepoTags: image.tags,
    RepoDigests: image.digests,
    Parent: image.parent ?? "",
    Comment: config.comment ?? config.history?.at(-1)?.comment ?? "",
    Created: config.created ?? ZERO_TIME,
    DockerVersion: config.docker_version ?? "",
    Author: config.author ?? "",
    Config: (config.config ?? null) as ImageInspect["Config"],
    Architecture: config.architecture,
    Os: config.os,
    Size: image.size,
    GraphDriver: { Name: "overlay2", Data: layerDirs(room, image) },
    RootFS: { Type: "layers", Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: image.lastTagged ?? ZERO_TIME },
  };
  if (config.variant) out.Variant = config.variant;
  if (config["os.version"]) out.OsVersion = config["os.version"];
  if (image.manifest) {
    const { mediaType, digest, size } = image.manifest;
    out.Descriptor = { mediaType, digest, size };
  }
  if (options.manifests) {
    const manifests = await manifestSummaries(room, image, byManifest(room.storage.images.list()));
    if (manifests.length > 0) out.Manifests = manifests;
  }
  return out;
}

function layerDirs(room: ImageRoom, image: StoredImage): Record<string, string> {
  const dirs = image.config.rootfs.diff_ids.map((diffId) => room.storage.layers.get(diffId).dir);
  const [upper, ...lower] = dirs.reverse();
  if (!upper) return {};
  return { ...(lower.length > 0 ? { LowerDir: lower.join(":") } : {}), UpperDir: upper };
}

/** `GET /images/{name}/history`, newest step first; steps of images that are not here have the ID `<missing>`. */
export async function history(room: ImageRoom, name: string, platform?: string): Promise<HistoryResponseItem[]> {
  const { images, layers } = room.storage;
  const image = await imageFor(room, name, platform);
  const diffIds = image.config.rootfs.diff_ids;
  let at = 0;
  const steps = (image.config.history ?? []).map((entry): HistoryResponseItem => {
    const diffId = entry.empty_layer ? undefined : diffIds[at++];
    const created = entry.created ? parseTime(entry.created) : null;
    return {
      Id: "<missing>",
      Created: created === null ? 0 : Number(created / 1_000_000_000n),
      CreatedBy: entry.created_by ?? "",
      Tags: null,
      Size: diffId && layers.has(diffId) ? layers.get(diffId).size : 0,
      Comment: entry.comment ?? "",
    };
  });
  steps.reverse();
  let from: StoredImage | null = image;
  for (const step of steps) {
    if (!from) break;
    step.Id = from.id;
    step.Tags = from.tags.length > 0 ? from.tags : null;
    from = from.parent ? images.get(from.parent) : null;
  }
  return steps;
}
