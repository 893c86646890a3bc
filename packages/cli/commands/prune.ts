import type { Filters } from "@gantry/client";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { CliError } from "../errors.ts";
import { bool, value } from "../flags.ts";
import { humanSize } from "../format/units.ts";
import { filterFlag } from "../options/filters.ts";
import { parseSize } from "../options/sizes.ts";
import { line, out } from "../output.ts";
import { confirm } from "../terminal/ask.ts";

const force = bool("f", "Do not ask");
const filter = filterFlag("", 'Remove only what fits conditions (e.g., "until=<timestamp>")');

/** Asks before a prune. Who says no, or ends the question by a signal, has what he wanted: the command does nothing. */
async function agreed(sure: boolean, warning: string): Promise<void> {
  if (sure) return;
  const answer = await confirm(`WARNING! ${warning}\nAre you sure you want to continue?`);
  if (answer !== true) throw new CliError("", 0);
}

function reclaimed(bytes: number): void {
  line(`Total reclaimed space: ${humanSize(bytes)}`);
}

export const containerPrune = defineCommand({
  usage: "[OPTIONS]",
  short: "Remove all stopped containers",
  flags: { filter, force },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    await agreed(flags.force, "This will remove all stopped containers.");
    reclaimed(await pruneContainers(cli, flags.filter));
  },
});

export const imagePrune = defineCommand({
  usage: "[OPTIONS]",
  short: "Remove unused images",
  flags: { all: bool("a", "Remove all unused images, not just unnamed ones"), filter, force },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    await agreed(
      flags.force,
      flags.all
        ? "This will remove all images without at least one container associated to them."
        : "This will remove all dangling images.",
    );
    reclaimed(await pruneImages(cli, flags.all, flags.filter));
  },
});

export const networkPrune = defineCommand({
  usage: "[OPTIONS]",
  short: "Remove all unused networks",
  flags: { filter, force },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    await agreed(flags.force, "This will remove all custom networks not used by at least one container.");
    await pruneNetworks(cli, flags.filter);
  },
});

export const volumePrune = defineCommand({
  usage: "[OPTIONS]",
  short: "Remove unused volumes",
  flags: { all: bool("a", "Remove all unused volumes, not just anonymous ones"), filter, force },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    if (flags.all && flags.filter.all)
      throw new CliError("conflicting options: cannot specify both --all and --filter all=1");
    await agreed(
      flags.force,
      flags.all
        ? "This will remove all local volumes not used by at least one container."
        : "This will remove anonymous local volumes not used by at least one container.",
    );
    reclaimed(await pruneVolumes(cli, flags.all, flags.filter));
  },
});

export const builderPrune = defineCommand({
  usage: "",
  short: "Remove build cache",
  flags: {
    all: bool("a", "Remove all unused cache"),
    filter,
    force,
    "keep-storage": value("", "How much to keep", { type: "bytes", initial: 0, parse: parseSize }),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    await agreed(
      flags.force,
      flags.all ? "This will remove all build cache." : "This will remove all dangling build cache.",
    );
    reclaimed(await pruneBuilds(cli, flags.all, flags.filter, flags["keep-storage"]));
  },
});

export const systemPrune = defineCommand({
  usage: "[OPTIONS]",
  short: "Remove unused data",
  flags: {
    all: bool("a", "Remove all unused images, not just unnamed ones"),
    filter,
    force,
    volumes: bool("", "Remove anonymous volumes, too"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    if (flags.volumes && flags.filter.until)
      throw new CliError('ERROR: The "until" filter is not supported with "--volumes"');
    const items = [
      "all stopped containers",
      "all networks not used by at least one container",
      ...(flags.volumes ? ["all anonymous volumes not used by at least one container"] : []),
      flags.all ? "all images without at least one container associated to them" : "all dangling images",
      flags.all ? "all build cache" : "unused build cache",
    ];
    const filters = Object.entries(flags.filter).flatMap(([name, values]) => values.map((one) => `${name}=${one}`));
    const shown =
      filters.length > 0
        ? `\n  Items to be pruned will be filtered with:\n${filters.map((one) => `  - ${one}\n`).join("")}`
        : "";
    await agreed(flags.force, `This will remove:\n${items.map((item) => `  - ${item}\n`).join("")}${shown}`);
    let bytes = await pruneContainers(cli, flags.filter);
    await pruneNetworks(cli, flags.filter);
    if (flags.volumes) bytes += await pruneVolumes(cli, false, flags.filter);
    bytes += await pruneImages(cli, flags.all, flags.filter);
    bytes += await pruneBuilds(cli, flags.all, flags.filter);
    reclaimed(bytes);
  },
});

function listed(title: string, names: readonly string[] | null | undefined): void {
  if (names && names.length > 0) out(`${title}\n${names.map((name) => `${name}\n`).join("")}\n`);
}

async function pruneContainers(cli: Cli, filters: Filters): Promise<number> {
  const { ContainersDeleted, SpaceReclaimed } = await cli.docker.containers.prune(filters);
  listed("Deleted Containers:", ContainersDeleted);
  return SpaceReclaimed;
}

async function pruneNetworks(cli: Cli, filters: Filters): Promise<void> {
  listed("Deleted Networks:", (await cli.docker.networks.prune(filters)).NetworksDeleted);
}

async function pruneVolumes(cli: Cli, all: boolean, filters: Filters): Promise<number> {
  const { VolumesDeleted, SpaceReclaimed } = await cli.docker.volumes.prune({
    ...filters,
    ...(all ? { all: ["true"] } : {}),
  });
  listed("Deleted Volumes:", VolumesDeleted);
  return SpaceReclaimed;
}

async function pruneImages(cli: Cli, all: boolean, filters: Filters): Promise<number> {
  const { ImagesDeleted, SpaceReclaimed } = await cli.docker.images.prune({ ...filters, dangling: [String(!all)] });
  listed(
    "Deleted Images:",
    ImagesDeleted?.map(({ Deleted, Untagged }) => (Untagged ? `untagged: ${Untagged}` : `deleted: ${Deleted}`)),
  );
  return SpaceReclaimed;
}

async function pruneBuilds(cli: Cli, all: boolean, filters: Filters, keepStorage?: number): Promise<number> {
  const { CachesDeleted, SpaceReclaimed } = await cli.docker.system.buildPrune({
    all,
    filters,
    ...(keepStorage ? { keepStorage } : {}),
  });
  listed("Deleted build cache objects:", CachesDeleted);
  return SpaceReclaimed;
}
