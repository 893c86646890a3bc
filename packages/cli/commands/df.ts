import type { DiskUsage, ImageSummary } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { bool } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { alignColumns } from "../format/tabwriter.ts";
import { shortId } from "../format/text.ts";
import { humanDuration, humanSize } from "../format/units.ts";
import { listFormat } from "../options/format.ts";
import { out } from "../output.ts";
import { imageLines } from "./images.ts";
import { containerFields } from "./ps.ts";
import { volumeFields } from "./volume.ts";

interface Sum {
  type: string;
  total: number;
  active: number;
  size: number;
  reclaimable: number;
  /** Whether the part that can be reclaimed is told in percent, too. */
  percent: boolean;
}

const headers: Record<string, string> = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};

export const df = defineCommand({
  usage: "[OPTIONS]",
  short: "Show how much disk is used",
  flags: { format: listFormat(), verbose: bool("v", "Show each object") },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    const usage = await cli.docker.system.diskUsage();
    if (flags.verbose && !flags.format) {
      out(verbose(usage));
      return;
    }
    const fields = (sum: Sum) => ({
      Type: () => sum.type,
      TotalCount: () => String(sum.total),
      Active: () => String(sum.active),
      Size: () => humanSize(sum.size),
      Reclaimable: () =>
        sum.percent && sum.size > 0
          ? `${humanSize(sum.reclaimable)} (${Math.trunc((sum.reclaimable * 100) / sum.size)}%)`
          : humanSize(sum.reclaimable),
    });
    const columns = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
    out(
      await formatListing(
        { rows: sums(usage), fields, headers, columns, key: "Type", type: "*formatter.diskUsageContext" },
        flags.format,
      ),
    );
  },
});

function sums(usage: DiskUsage): Sum[] {
  const images = usage.Images ?? [];
  const containers = usage.Containers ?? [];
  const volumes = usage.Volumes ?? [];
  const builds = usage.BuildCache ?? [];
  const layers = usage.LayersSize ?? 0;
  const used = images
    .filter((image) => image.Containers > 0)
    .reduce(
      (sum, image) => (image.Size === -1 || image.SharedSize === -1 ? sum : sum + image.Size - image.SharedSize),
      0,
    );
  const active = (state: string) => ["running", "paused", "restarting"].includes(state);
  const add = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0);
  const volumeSize = (list: typeof volumes) => add(list.map(({ UsageData }) => Math.max(0, UsageData?.Size ?? 0)));
  const buildSize = (list: typeof builds) => add(list.filter(({ Shared }) => !Shared).map(({ Size }) => Size));
  const inUse = add(builds.filter((build) => build.InUse && !build.Shared).map(({ Size }) => Size));
  return [
    {
      type: "Images",
      total: images.length,
      active: images.filter(({ Containers }) => Containers > 0).length,
      size: layers,
      reclaimable: layers - used,
      percent: true,
    },
    {
      type: "Containers",
      total: containers.length,
      active: containers.filter(({ State }) => active(State)).length,
      size: add(containers.map(({ SizeRw }) => SizeRw ?? 0)),
      reclaimable: add(containers.filter(({ State }) => !active(State)).map(({ SizeRw }) => SizeRw ?? 0)),
      percent: true,
    },
    {
      type: "Local Volumes",
      total: volumes.length,
      active: volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) > 0).length,
      size: volumeSize(volumes),
      reclaimable: volumeSize(volumes.filter(({ UsageData }) => (UsageData?.RefCount ?? 0) === 0)),
      percent: true,
    },
    {
      type: "Build Cache",
      total: builds.length,
      active: builds.filter(({ InUse }) => InUse).length,
      size: buildSize(builds),
      reclaimable: buildSize(builds) - inUse,
      percent: false,
    },
  ];
}

function verbose(usage: DiskUsage): string {
  const table = (rows: string[][]) => alignColumns(rows.map((cells) => `${cells.join("\t")}\n`).join(""));
  const ago = (seconds: number) => `${humanDuration(Date.now() - seconds * 1000)} ago`;
  const imageRow = (image: ImageSummary) =>
    imageLines(image, false).map(({ repository, tag }) => [
      repository,
      tag,
      shortId(image.Id),
      image.Created <= 0 ? "N/A" : ago(image.Created),
      humanSize(image.Size, 3),
      humanSize(image.SharedSize),
      humanSize(image.Size - image.SharedSize),
      String(image.Containers),
    ]);
  const containers = (usage.Containers ?? []).map((container) => {
    const fields = containerFields(container, true);
    return ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"].map((name) =>
      String(fields[name]!()),
    );
  });
  const volumes = (usage.Volumes ?? []).map((volume) => {
    const fields = volumeFields(volume);
    return [fields.Name(), fields.Links(), fields.Size()];
  });
  const builds = (usage.BuildCache ?? []).map((build) => [
    build.ID.slice(0, 12) + (build.InUse ? "*" : ""),
    build.Type,
    humanSize(build.Size, 3),
    ago(Date.parse(build.CreatedAt) / 1000),
    build.LastUsedAt ? ago(Date.parse(build.LastUsedAt) / 1000) : "",
    String(build.UsageCount),
    String(build.Shared),
  ]);
  const buildTotal = (usage.BuildCache ?? []).filter(({ Shared }) => !Shared).reduce((sum, { Size }) => sum + Size, 0);
  return (
    `Images space usage:\n\n${table([["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"], ...(usage.Images ?? []).flatMap(imageRow)])}` +
    `\nContainers space usage:\n\n${table([["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"], ...containers])}` +
    `\nLocal Volumes space usage:\n\n${table([["VOLUME NAME", "LINKS", "SIZE"], ...volumes])}` +
    `\nBuild cache usage: ${humanSize(buildTotal)}\n\n${table([["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"], ...builds])}`
  );
}
