import type { Volume } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { readConfig } from "../credentials.ts";
import { forEach } from "../each.ts";
import { CliError } from "../errors.ts";
import { bool, list, str } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { humanSize } from "../format/units.ts";
import { keyValueMap } from "../options/csv.ts";
import { checkLabel } from "../options/env.ts";
import { filterFlag } from "../options/filters.ts";
import { listFormat } from "../options/format.ts";
import { line, out } from "../output.ts";

const headers: Record<string, string> = {
  Name: "VOLUME NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  Mountpoint: "MOUNTPOINT",
  Labels: "LABELS",
  Links: "LINKS",
  Size: "SIZE",
  Availability: "AVAILABILITY",
  Group: "GROUP",
  Status: "STATUS",
};

export const volumeLs = defineCommand({
  usage: "[OPTIONS]",
  short: "List volumes",
  aliases: ["volume ls", "volume list"],
  flags: {
    filter: filterFlag("f", 'Show only what fits conditions (e.g., "dangling=true")'),
    format: listFormat(),
    quiet: bool("q", "Show names only"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    const rows = (await cli.docker.volumes.list(flags.filter)).Volumes ?? [];
    rows.sort((a, b) => (a.Name < b.Name ? -1 : 1));
    const format = flags.format || (flags.quiet ? "" : (readConfig(cli.configDir).volumesFormat ?? ""));
    out(
      await formatListing(
        {
          rows,
          fields: volumeFields,
          headers,
          columns: ["Driver", "Name"],
          key: "Name",
          type: "*formatter.volumeContext",
        },
        format,
        flags.quiet,
      ),
    );
  },
});

/** The template fields of one volume. */
export function volumeFields(volume: Volume) {
  return {
    Name: () => volume.Name,
    Driver: () => volume.Driver,
    Scope: () => volume.Scope,
    Mountpoint: () => volume.Mountpoint,
    Labels: () =>
      Object.entries(volume.Labels ?? {})
        .map(([name, value]) => `${name}=${value}`)
        .join(","),
    Label: (name: string) => volume.Labels?.[name] ?? "",
    Links: () => (volume.UsageData ? String(volume.UsageData.RefCount) : "N/A"),
    Size: () => (volume.UsageData ? humanSize(volume.UsageData.Size) : "N/A"),
    Availability: () => "N/A",
    Group: () => "N/A",
    Status: () => "N/A",
  };
}

export const volumeCreate = defineCommand({
  usage: "[OPTIONS] [VOLUME]",
  short: "Create a volume",
  flags: {
    driver: str("d", "Driver of the volume", "local"),
    label: list("", "Set labels on the volume", { check: checkLabel }),
    name: str("", "Name of the volume", "", { hidden: true }),
    opt: list("o", "Options of the driver", { type: "map", shown: "map[]" }),
  },
  arity: { atMost: 1 },
  async run({ cli, flags, args }) {
    if (args[0] && flags.name)
      throw new CliError("conflicting options: either specify --name or provide positional arg, not both");
    const { Name } = await cli.docker.volumes.create({
      Name: args[0] ?? flags.name,
      Driver: flags.driver,
      DriverOpts: keyValueMap(flags.opt),
      Labels: keyValueMap(flags.label),
    });
    line(Name);
  },
});

export const volumeRm = defineCommand({
  usage: "[OPTIONS] VOLUME [VOLUME...]",
  short: "Remove volumes",
  long: "Remove volumes. A volume that a container uses cannot be removed.",
  aliases: ["volume rm", "volume remove"],
  flags: { force: bool("f", "Remove in any case") },
  arity: { atLeast: 1 },
  run: ({ cli, flags, args }) => forEach(args, (name) => cli.docker.volumes.remove(name, flags)),
});
