import type { ContainerStats } from "@gantry/spec";
import type { Cli } from "../cli.ts";
import { defineCommand } from "../command.ts";
import { readConfig } from "../credentials.ts";
import { CliError, errorText } from "../errors.ts";
import { bool } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { shortId } from "../format/text.ts";
import { binarySize, humanSize } from "../format/units.ts";
import { listFormat } from "../options/format.ts";
import { err, out } from "../output.ts";
import { isTerminal } from "../terminal/tty.ts";

interface Usage {
  container: string;
  name: string;
  id: string;
  sample: ContainerStats | undefined;
  failed: boolean;
}

const headers: Record<string, string> = {
  Container: "CONTAINER",
  ID: "CONTAINER ID",
  Name: "NAME",
  CPUPerc: "CPU %",
  MemUsage: "MEM USAGE / LIMIT",
  MemPerc: "MEM %",
  NetIO: "NET I/O",
  BlockIO: "BLOCK I/O",
  PIDs: "PIDS",
};
const columns = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

export const stats = defineCommand({
  usage: "[OPTIONS] [CONTAINER...]",
  short: "Show what containers use, as it changes",
  aliases: ["container stats", "stats"],
  flags: {
    all: bool("a", "Show all containers, not just running ones"),
    format: listFormat(),
    "no-stream": bool("", "Show one sample and end"),
    "no-trunc": bool("", "Do not shorten anything"),
  },
  arity: { atLeast: 0 },
  async run({ cli, flags, args }) {
    const format = flags.format || (readConfig(cli.configDir).statsFormat ?? "");
    const truncate = !flags["no-trunc"];
    const show = (rows: readonly Usage[]) =>
      formatListing(
        {
          rows,
          fields: (usage) => usageFields(usage, truncate),
          headers,
          columns,
          key: "ID",
          type: "*formatter.statsContext",
        },
        format,
      );
    if (flags["no-stream"]) {
      const names = args.length > 0 ? args : (await cli.docker.containers.list({ all: flags.all })).map(({ Id }) => Id);
      const failures: string[] = [];
      const rows = await Promise.all(
        names.map((name) =>
          sampleOnce(cli, name).catch((error) => {
            failures.push(errorText(error));
            return undefined;
          }),
        ),
      );
      if (failures.length > 0) throw new CliError(failures.join("\n"));
      out(await show(rows.filter((row) => row !== undefined)));
      return;
    }
    await follow(cli, args, flags.all, show);
  },
});

async function sampleOnce(cli: Cli, name: string): Promise<Usage> {
  for await (const sample of await cli.docker.containers.stats(name, { stream: false })) {
    return { container: name, name: sample.name.replace(/^\//, ""), id: sample.id, sample, failed: false };
  }
  return { container: name, name: "", id: "", sample: undefined, failed: true };
}

async function follow(
  cli: Cli,
  names: readonly string[],
  all: boolean,
  show: (rows: Usage[]) => Promise<string>,
): Promise<void> {
  const { containers, system } = cli.docker;
  const watched = new Map<string, Usage>();
  const watch = async (name: string) => {
    const usage: Usage = { container: name, name: "", id: "", sample: undefined, failed: false };
    watched.set(name, usage);
    try {
      for await (const sample of await containers.stats(name)) {
        Object.assign(usage, { sample, name: sample.name.replace(/^\//, ""), id: sample.id });
      }
      if (names.length === 0 && !all) watched.delete(name);
    } catch (error) {
      usage.failed = true;
      if (names.length > 0) throw error;
    }
  };
  if (names.length > 0) {
    // A name that does not exist ends the command before anything is shown.
    for (const name of names) await containers.inspect(name);
    for (const name of names) watch(name).catch((error) => err(`${errorText(error)}\n`));
  } else {
    for (const { Id } of await containers.list({ all })) watch(Id);
    const follow = async () => {
      const stream = await system.events({
        filters: { type: ["container"], event: ["start", "die", "destroy", ...(all ? ["create"] : [])] },
      });
      for await (const { Action, Actor } of stream) {
        if (Action === "start" || Action === "create") watch(Actor.ID);
        else if (Action === "destroy" || !all) watched.delete(Actor.ID);
      }
    };
    follow().catch(() => {});
  }
  const terminal = isTerminal(1);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const text = await show([...watched.values()]);
    out(terminal ? `\x1b[H${text.replaceAll("\n", "\x1b[K\n")}\x1b[J` : text);
    if (names.length > 0 && [...watched.values()].every(({ failed }) => failed)) return;
  }
}

/** The template fields of one sample. Without one (a stopped container) all are dashes. */
export function usageFields(usage: Usage, truncate: boolean) {
  const { sample } = usage;
  const or =
    (value: () => string, without = "--") =>
    () =>
      sample ? value() : without;
  const memory = sample ? memoryUsed(sample) : 0;
  const limit = sample?.memory_stats.limit ?? 0;
  return {
    Container: () => usage.container,
    Name: () => usage.name || "--",
    ID: () => (truncate ? shortId(usage.id) : usage.id),
    CPUPerc: or(() => `${cpuPercent(sample!).toFixed(2)}%`),
    MemUsage: or(() => `${binarySize(memory)} / ${binarySize(limit)}`, "-- / --"),
    MemPerc: or(() => `${(limit > 0 ? (memory / limit) * 100 : 0).toFixed(2)}%`),
    NetIO: or(() => {
      const networks = Object.values(sample!.networks ?? {});
      const sum = (key: "rx_bytes" | "tx_bytes") => networks.reduce((all, network) => all + network[key], 0);
      return `${humanSize(sum("rx_bytes"), 3)} / ${humanSize(sum("tx_bytes"), 3)}`;
    }),
    BlockIO: or(() => {
      const entries = sample!.blkio_stats.io_service_bytes_recursive ?? [];
      const sum = (letter: string) =>
        entries.filter(({ op }) => op.toLowerCase().startsWith(letter)).reduce((all, { value }) => all + value, 0);
      return `${humanSize(sum("r"), 3)} / ${humanSize(sum("w"), 3)}`;
    }),
    PIDs: or(() => String(sample!.pids_stats.current ?? 0)),
  };
}

function cpuPercent({ cpu_stats: now, precpu_stats: before }: ContainerStats): number {
  const used = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const system = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cpus = now.online_cpus || now.cpu_usage.percpu_usage?.length || 0;
  return system > 0 && used > 0 ? (used / system) * cpus * 100 : 0;
}

/** Memory without the page cache that can be dropped at any time. */
function memoryUsed({ memory_stats: memory }: ContainerStats): number {
  const usage = memory.usage ?? 0;
  const cache = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}
