import type { NetworkSummary } from "@gantry/spec";
import { defineCommand } from "../command.ts";
import { readConfig } from "../credentials.ts";
import { CliError, errorText } from "../errors.ts";
import { bool, int, list, str } from "../flags.ts";
import { formatListing } from "../format/table.ts";
import { shortId } from "../format/text.ts";
import { goTimeText } from "../format/times.ts";
import { keyValueMap } from "../options/csv.ts";
import { checkLabel } from "../options/env.ts";
import { filterFlag } from "../options/filters.ts";
import { listFormat } from "../options/format.ts";
import { ipamPools } from "../options/ipam.ts";
import { err, line, out } from "../output.ts";

const headers: Record<string, string> = {
  ID: "NETWORK ID",
  Name: "NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  IPv4: "IPV4",
  IPv6: "IPV6",
  Internal: "INTERNAL",
  Labels: "LABELS",
  CreatedAt: "CREATED AT",
};

export const networkLs = defineCommand({
  usage: "[OPTIONS]",
  short: "List networks",
  aliases: ["network ls", "network list"],
  flags: {
    filter: filterFlag("f", 'Show only what fits conditions (e.g., "driver=bridge")'),
    format: listFormat(),
    "no-trunc": bool("", "Do not shorten anything"),
    quiet: bool("q", "Show IDs only"),
  },
  arity: { exactly: 0 },
  async run({ cli, flags }) {
    const rows = await cli.docker.networks.list(flags.filter);
    rows.sort((a, b) => natural(a.Name, b.Name));
    const fields = (network: NetworkSummary) => ({
      ID: () => (flags["no-trunc"] ? network.Id : shortId(network.Id)),
      Name: () => network.Name,
      Driver: () => network.Driver,
      Scope: () => network.Scope,
      IPv4: () => String(network.EnableIPv4),
      IPv6: () => String(network.EnableIPv6),
      Internal: () => String(network.Internal),
      Labels: () =>
        Object.entries(network.Labels ?? {})
          .map(([name, value]) => `${name}=${value}`)
          .join(","),
      Label: (name: string) => network.Labels?.[name] ?? "",
      CreatedAt: () => goTimeText(network.Created),
    });
    const format = flags.format || (flags.quiet ? "" : (readConfig(cli.configDir).networksFormat ?? ""));
    out(
      await formatListing(
        {
          rows,
          fields,
          headers,
          columns: ["ID", "Name", "Driver", "Scope"],
          key: "ID",
          type: "*formatter.networkContext",
        },
        format,
        flags.quiet,
      ),
    );
  },
});

export const networkCreate = defineCommand({
  usage: "[OPTIONS] NETWORK",
  short: "Create a network",
  flags: {
    attachable: bool("", "Let containers be attached by hand"),
    "aux-address": list("", "Addresses that the driver uses", { type: "map", shown: "map[]" }),
    "config-from": str("", "Network to copy the configuration from"),
    "config-only": bool("", "Create a configuration only"),
    driver: str("d", "Driver of the network", "bridge"),
    gateway: list("", "Gateway of the subnet", { type: "strings" }),
    ingress: bool("", "Create the swarm's routing mesh"),
    internal: bool("", "No way out of the network"),
    "ip-range": list("", "Part of the subnet to give addresses from", { type: "strings" }),
    "ipam-driver": str("", "Driver of the address management", "default"),
    "ipam-opt": list("", "Options of the address management", { type: "map", shown: "map[]" }),
    ipv4: bool("", "Give out IPv4 addresses", true),
    ipv6: bool("", "Give out IPv6 addresses"),
    label: list("", "Set labels on the network", { check: checkLabel }),
    opt: list("o", "Options of the driver", { type: "map", shown: "map[]" }),
    scope: str("", "Scope of the network"),
    subnet: list("", "Subnet in CIDR notation", { type: "strings" }),
  },
  arity: { exactly: 1 },
  async run({ cli, flags, changed, args }) {
    const pools = ipamPools({
      subnets: commas(flags.subnet),
      ranges: commas(flags["ip-range"]),
      gateways: commas(flags.gateway),
      auxiliary: keyValueMap(flags["aux-address"]),
    });
    const { Id, Warning } = await cli.docker.networks.create({
      Name: args[0]!,
      Driver: flags.driver,
      Scope: flags.scope,
      ...(changed.has("ipv4") ? { EnableIPv4: flags.ipv4 } : {}),
      ...(changed.has("ipv6") ? { EnableIPv6: flags.ipv6 } : {}),
      IPAM: { Driver: flags["ipam-driver"], Options: keyValueMap(flags["ipam-opt"]), Config: pools },
      Internal: flags.internal,
      Attachable: flags.attachable,
      Ingress: flags.ingress,
      ConfigOnly: flags["config-only"],
      ConfigFrom: flags["config-from"] ? { Network: flags["config-from"] } : null,
      Options: keyValueMap(flags.opt),
      Labels: keyValueMap(flags.label),
    });
    if (Warning) err(`WARNING: ${Warning}\n`);
    line(Id);
  },
});

export const networkConnect = defineCommand({
  usage: "[OPTIONS] NETWORK CONTAINER",
  short: "Connect a container to a network",
  flags: {
    alias: list("", "Add a name for the container on the network", { type: "strings" }),
    "driver-opt": list("", "Options of the network's driver", { type: "strings" }),
    "gw-priority": int("", "The network with the highest gives the default gateway"),
    ip: str("", 'IPv4 address (e.g., "172.30.100.104")'),
    ip6: str("", 'IPv6 address (e.g., "2001:db8::33")'),
    link: list("", "Link to another container"),
    "link-local-ip": list("", "Add a link-local address", { type: "strings" }),
  },
  arity: { exactly: 2 },
  async run({ cli, flags, args }) {
    const driverOpts = commas(flags["driver-opt"]);
    if (driverOpts.some((option) => !/^[^=]+=/.test(option))) {
      throw new CliError("invalid key/value pair format in driver options");
    }
    const local = commas(flags["link-local-ip"]);
    await cli.docker.networks.connect(args[0]!, args[1]!, {
      IPAMConfig: {
        ...(flags.ip ? { IPv4Address: flags.ip } : {}),
        ...(flags.ip6 ? { IPv6Address: flags.ip6 } : {}),
        ...(local.length > 0 ? { LinkLocalIPs: local } : {}),
      },
      Links: flags.link.length > 0 ? flags.link : null,
      Aliases: flags.alias.length > 0 ? commas(flags.alias) : null,
      DriverOpts: driverOpts.length > 0 ? keyValueMap(driverOpts) : null,
      GwPriority: flags["gw-priority"],
    });
  },
});

export const networkDisconnect = defineCommand({
  usage: "[OPTIONS] NETWORK CONTAINER",
  short: "Disconnect a container from a network",
  flags: { force: bool("f", "Disconnect in any case") },
  arity: { exactly: 2 },
  run: ({ cli, flags, args }) => cli.docker.networks.disconnect(args[0]!, args[1]!, flags.force),
});

export const networkRm = defineCommand({
  usage: "NETWORK [NETWORK...]",
  short: "Remove networks",
  aliases: ["network rm", "network remove"],
  flags: { force: bool("f", "No error where the network does not exist") },
  arity: { atLeast: 1 },
  async run({ cli, flags, args }) {
    let status = 0;
    for (const name of args) {
      try {
        await cli.docker.networks.remove(name);
        line(name);
      } catch (error) {
        if (flags.force && (error as { status?: number }).status === 404) continue;
        err(`${errorText(error)}\n`);
        status = 1;
      }
    }
    if (status !== 0) err("exit status 1\n");
    return status;
  },
});

function commas(items: readonly string[]): string[] {
  return items.flatMap((item) => item.split(","));
}

/** Docker's order of names: numbers in them count as numbers. */
function natural(a: string, b: string): number {
  const parts = (text: string) => text.match(/\d+|\D+/g) ?? [];
  const [left, right] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x, y] = [left[i]!, right[i]!];
    if (x === y) continue;
    if (/^\d/.test(x) && /^\d/.test(y) && Number(x) !== Number(y)) return Number(x) - Number(y);
    return x < y ? -1 : 1;
  }
  return left.length - right.length;
}
