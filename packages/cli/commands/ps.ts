import type { Filters } from "@gantry/client";
import type { ContainerSummary } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { readConfig } from "../credentials.ts";
import { bool, int } from "../flags.ts";
import { displayPorts } from "../format/ports.ts";
import { formatListing } from "../format/table.ts";
import type { TemplateFunction } from "../format/template-functions.ts";
import { ellipsis, shortId } from "../format/text.ts";
import { goTime, humanDuration, humanSize } from "../format/units.ts";
import { filterFlag } from "../options/filters.ts";
import { listFormat } from "../options/format.ts";
import { out } from "../output.ts";

const headers: Record<string, string> = {
  ID: "CONTAINER ID",
  Names: "NAMES",
  Image: "IMAGE",
  Command: "COMMAND",
  CreatedAt: "CREATED AT",
  RunningFor: "CREATED",
  Ports: "PORTS",
  State: "STATE",
  Status: "STATUS",
  Size: "SIZE",
  Labels: "LABELS",
  Mounts: "MOUNTS",
  LocalVolumes: "LOCAL VOLUMES",
  Networks: "NETWORKS",
  Platform: "PLATFORM",
};

export const ps = defineCommand({
  usage: "[OPTIONS]",
  short: "List containers",
  aliases: ["container ls", "container list", "container ps", "ps"],
  flags: {
    all: bool("a", "Show all containers, not just running ones"),
    filter: filterFlag("f", "Show only what fits conditions"),
    format: listFormat(),
    last: int("n", "Show the last n created containers, in any state", -1, { shown: "-1" }),
    latest: bool("l", "Show the last created container, in any state"),
    "no-trunc": bool("", "Do not shorten anything"),
    quiet: bool("q", "Show IDs only"),
    size: bool("s", "Show sizes"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags, changed }) {
    const format = flags.format || (flags.quiet ? "" : (readConfig(cli.configDir).psFormat ?? ""));
    const limit = flags.latest && !changed.has("last") ? 1 : flags.last;
    // Sizes are costly: asked for only where they are shown.
    const size = flags.size || /\.Size\b/.test(format);
    const containers = await cli.docker.containers.list({
      all: flags.all,
      ...(limit > 0 ? { limit } : {}),
      size,
      filters: flags.filter as Filters,
    });
    const columns = [
      "ID",
      "Image",
      "Command",
      "RunningFor",
      "Status",
      "Ports",
      "Names",
      ...(flags.size ? ["Size"] : []),
    ];
    out(
      await formatListing(
        {
          rows: containers,
          fields: (container) => containerFields(container, !flags["no-trunc"]),
          headers,
          columns,
          key: "ID",
          type: "*formatter.ContainerContext",
        },
        format,
        flags.quiet,
      ),
    );
  },
});

/** The template fields of one container. */
export function containerFields(
  container: ContainerSummary,
  truncate: boolean,
  now = Date.now(),
): Record<string, TemplateFunction> {
  const labels = container.Labels ?? {};
  const names = container.Names.map((name) => name.replace(/^\//, ""));
  const mounts = container.Mounts ?? [];
  return {
    ID: () => (truncate ? shortId(container.Id) : container.Id),
    // Links have more slashes; shortened, only the container's own name is shown.
    Names: () => (truncate ? names.filter((name) => !name.includes("/")) : names).join(","),
    Image: () => imageName(container, truncate),
    Command: () => quote(truncate ? ellipsis(container.Command, 20) : container.Command),
    CreatedAt: () => goTime(container.Created),
    RunningFor: () => `${humanDuration(now - container.Created * 1000)} ago`,
    Ports: () => displayPorts(container.Ports ?? []),
    State: () => container.State,
    Status: () => container.Status,
    Size: () => {
      const own = humanSize(container.SizeRw ?? 0, 3);
      return container.SizeRootFs ? `${own} (virtual ${humanSize(container.SizeRootFs, 3)})` : own;
    },
    Labels: () =>
      Object.entries(labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(","),
    Label: (name: string) => labels[name] ?? "",
    Mounts: () =>
      mounts
        .map((mount) => mount.Name || mount.Source)
        .map((name) => (truncate ? ellipsis(name, 15) : name))
        .join(","),
    LocalVolumes: () => String(mounts.filter((mount) => mount.Driver === "local").length),
    Networks: () => Object.keys(container.NetworkSettings?.Networks ?? {}).join(","),
    Platform: () => {
      const platform = (
        container.ImageManifestDescriptor as
          | { platform?: { os: string; architecture: string; variant?: string } }
          | undefined
      )?.platform;
      return platform ? [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/") : null;
    },
  };
}

function imageName(container: ContainerSummary, truncate: boolean): string {
  const { Image: image, ImageID: id } = container;
  if (!image) return "<no image>";
  if (!truncate) return image;
  if (shortId(id) === shortId(image)) return shortId(image);
  return image.replace(/@sha256:[0-9a-f]{64}$/, "");
}

/** Go's `strconv.Quote`, for what stands in commands. */
function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u00a0]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
