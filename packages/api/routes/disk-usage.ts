import { Filters, listContainers, volumeUsage } from "@gantry/engine";
import { type DiskUsage, invalidParameter } from "@gantry/spec";
import type { ApiParts } from "../server.ts";
import { toBuildCache } from "./build.ts";
import { summaryFor } from "./containers-versions.ts";
import { listEntryFor } from "./images-versions.ts";

const TYPES = ["container", "image", "volume", "build-cache"];

/** The answer of GET /system/df: lists up to API 1.51, sums from 1.52 on, with `verbose` of what (else the lists stay beside them). */
export async function diskUsage(
  { engine, images, builder }: ApiParts,
  options: { types: string[]; api: number; verbose: boolean },
): Promise<DiskUsage> {
  for (const type of options.api < 42 ? [] : options.types)
    if (!TYPES.includes(type)) throw invalidParameter(`unknown object type: ${type}`);
  // Older versions know no types: all is told.
  const wants = (type: string) => options.api < 42 || options.types.length === 0 || options.types.includes(type);
  const [image, containers, volumes] = await Promise.all([
    wants("image") ? images.usage(new Filters()) : null,
    wants("container") ? listContainers(engine, { all: true, limit: 0, size: true, filters: new Filters() }) : null,
    wants("volume") ? volumeUsage(engine) : null,
  ]);
  const cache = wants("build-cache") ? await builder.usage() : null;
  const result: DiskUsage = {};
  // Clients that know only the lists ask for the newest version, too; who asks for more knows the sums.
  const listed = options.api < 52 || !options.verbose;
  if (listed) {
    result.LayersSize = image?.LayersSize ?? 0;
    result.Images = image?.Images.map((one) => listEntryFor(one, options.api)) ?? null;
    result.Containers = containers?.map((one) => summaryFor(one, options.api)) ?? null;
    result.Volumes = volumes;
    result.BuildCache = cache?.map(toBuildCache) ?? null;
  }
  if (options.api < 52) return result;
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + Math.max(0, number), 0);
  if (image !== null) {
    const idle = image.Images.filter((one) => one.Containers === 0);
    result.ImageUsage = {
      ActiveCount: image.Images.length - idle.length,
      TotalCount: image.Images.length,
      TotalSize: image.LayersSize,
      // What only one image has: layers that idle images share are counted as kept.
      Reclaimable: sum(idle.map((one) => one.Size - one.SharedSize)),
      ...(options.verbose ? { Items: image.Images } : {}),
    };
  }
  if (containers !== null) {
    const active = containers.filter(
      ({ State }) => State === "running" || State === "paused" || State === "restarting",
    );
    const total = sum(containers.map((one) => one.SizeRw ?? 0));
    result.ContainerUsage = {
      ActiveCount: active.length,
      TotalCount: containers.length,
      TotalSize: total,
      Reclaimable: total - sum(active.map((one) => one.SizeRw ?? 0)),
      ...(options.verbose ? { Items: containers } : {}),
    };
  }
  if (volumes !== null) {
    const active = volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0);
    const total = sum(volumes.map((volume) => volume.UsageData?.Size ?? 0));
    result.VolumeUsage = {
      ActiveCount: active.length,
      TotalCount: volumes.length,
      TotalSize: total,
      Reclaimable: total - sum(active.map((volume) => volume.UsageData?.Size ?? 0)),
      ...(options.verbose ? { Items: volumes } : {}),
    };
  }
  if (cache !== null) {
    result.BuildCacheUsage = {
      ActiveCount: cache.filter((one) => one.inUse).length,
      TotalCount: cache.length,
      TotalSize: sum(cache.map((one) => one.size)),
      Reclaimable: sum(cache.filter((one) => !one.inUse && !one.shared).map((one) => one.size)),
      ...(options.verbose ? { Items: cache.map(toBuildCache) } : {}),
    };
  }
  return result;
}
