import type { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { invalidParameter, messageOf } from "@gantry/spec";
import { reserveDescriptors } from "@gantry/sys";
import type { FilesChange, NetworkController, NetworkEvent } from "./contract.ts";
import { Controller } from "./controller.ts";
import { openResolver } from "./dns/resolver.ts";
import { BridgeDriver } from "./drivers/bridge.ts";
import { Drivers } from "./drivers/drivers.ts";
import { deviceless } from "./drivers/none.ts";
import { isLinkName } from "./drivers/options.ts";
import { SublinkDriver } from "./drivers/sublink.ts";
import { Endpoints } from "./endpoints.ts";
import { ConnectionSweeper } from "./firewall/connections.ts";
import { Firewall } from "./firewall/firewall.ts";
import { Host } from "./host.ts";
import { formatCidr, parseCidr } from "./ipam/cidr.ts";
import { AddressManager } from "./ipam/manager.ts";
import { type AddressPool, DEFAULT_POOLS, SubnetPools, ulaPool } from "./ipam/subnets.ts";
import { Links } from "./links.ts";
import { bare, type NetworkRecord } from "./model.ts";
import { Names } from "./names.ts";
import { Networks, timestamp } from "./networks.ts";
import { PortAllocator } from "./ports/allocator.ts";
import { Publisher } from "./ports/publisher.ts";
import { Relays } from "./relay/relays.ts";
import type { Resolver } from "./resolver.ts";
import { Sandboxes } from "./sandboxes.ts";
import { NetworkStore } from "./store.ts";

/** How often is looked whether another program changed the firewall, e.g. by `nft flush ruleset`. */
const WATCH_MS = 1000;

/** What the daemon is told about networks; names of daemon.json keys where those exist. */
export interface NetworkOptions {
  db: Database;
  /** Where sockets and other things that last until the next boot live. */
  execRoot: string;
  /** Interface of the default bridge, "gantry0" where left out; "none" for no default bridge. */
  bridge?: string;
  /** Address and block of the default bridge, "172.17.0.1/16". */
  bip?: string;
  bip6?: string;
  fixedCidr?: string;
  fixedCidrV6?: string;
  defaultGateway?: string;
  defaultGatewayV6?: string;
  /** Of the default bridge, in bytes; 0 for the kernel's default. */
  mtu?: number;
  icc?: boolean;
  ipMasq?: boolean;
  ipv6?: boolean;
  /** Where ports are published that ask for no address; empty for all. */
  ip?: string;
  addressPools?: AddressPool[];
  /** False: no firewall table is written. */
  iptables?: boolean;
  /** False: nothing of IPv6 is filtered or translated; ports published there go through the relay, as by Docker's proxy. */
  ip6tables?: boolean;
  /** Published ports may be reached from other hosts under containers' own addresses too. */
  allowDirectRouting?: boolean;
  ipForward?: boolean;
  ipForwardNoDrop?: boolean;
  hostGatewayIps?: string[];
  /** Options for every new network of a driver: `{bridge: {"com.docker.network.driver.mtu": "1400"}}`. */
  defaultNetworkOpts?: Record<string, Record<string, string>>;
  /** Name of the firewall table; `gantry` for the bridge gantry0, else `gantry-<bridge>`, so that engines do not meet. */
  table?: string;
  /** Where plugins are looked for, instead of Docker's folders. */
  pluginPlaces?: { sockets: string; specs: string[] };
  /** Told what went wrong where nothing fails for it. */
  warn?: (text: string) => void;
  /** Another resolver than the embedded one. */
  resolver?: Resolver;
}

/**
 * Opens the networks of one engine: the predefined ones are there afterwards, those on disk have their devices again. The firewall table
 * is written by `restore`, or by the first container where nothing has to be restored.
 */
export async function openNetwork(options: NetworkOptions): Promise<NetworkController> {
  reserveDescriptors();
  const bridge = options.bridge || "gantry0";
  if (!isLinkName(bridge)) throw invalidParameter(`invalid bridge name ${JSON.stringify(bridge)}`);
  const store = new NetworkStore(options.db);
  const host = new Host();
  const table = options.table || tableName(bridge, store);
  const firewall = new Firewall(
    table,
    options.iptables ?? true,
    () => new Set(host.netlink.links().map((link) => link.name)),
  );
  const given = options.addressPools ?? [];
  const pools = given.some((pool) => !pool.base.includes(":")) ? given : [...given, ...DEFAULT_POOLS];
  const ula = given.some((pool) => pool.base.includes(":")) ? [] : [ulaPool(hostId())];
  const addresses = new AddressManager(new SubnetPools([...pools, ...ula]));
  const resolver = options.resolver ?? openResolver();
  const forwarded = new Set<boolean>();
  const forwarding = (ipv6: boolean) => {
    if (forwarded.has(ipv6) || options.ipForward === false) return;
    forwarded.add(ipv6);
    if (host.enableForwarding(store, ipv6) && !options.ipForwardNoDrop) firewall.setGuard(true);
  };
  const publishing = {
    defaultIp: options.ip ?? "",
    translates6: options.ip6tables ?? true,
    direct: options.allowDirectRouting ?? false,
  };
  const own = [
    new BridgeDriver(host, firewall, forwarding, { rules6: publishing.translates6, direct: publishing.direct }),
    new SublinkDriver("macvlan", host),
    new SublinkDriver("ipvlan", host),
    deviceless("host"),
    deviceless("null"),
  ];
  const drivers = new Drivers(own, addresses, host, options.defaultNetworkOpts ?? {}, options.pluginPlaces);
  const networks = new Networks(store, host, drivers);
  const endpoints = new Endpoints(networks);
  const connections = new ConnectionSweeper(options.warn ?? (() => {}));
  const allocator = new PortAllocator();
  const relays = new Relays();
  if (firewall.enabled) relays.start();
  const publisher = new Publisher(networks, firewall, connections, allocator, relays, publishing);
  const listeners = new Set<(event: NetworkEvent) => void>();
  const filesListeners = new Set<(change: FilesChange) => void>();
  const names: Names = new Names(
    networks,
    resolver,
    () => options.hostGatewayIps?.[0] ?? Object.values(networks.find("bridge")?.gateways ?? {})[0] ?? "",
    () => sandboxes.byContainer.values(),
  );
  const sandboxes: Sandboxes = new Sandboxes({
    store,
    host,
    networks,
    endpoints,
    publisher,
    links: new Links(names, firewall, () => sandboxes.byContainer.values()),
    names,
    resolver,
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
    filesChanged: (change) => {
      for (const listener of filesListeners) listener(change);
    },
  });

  for (const network of store.networks()) {
    if (networks.sweepHalfMade(network)) continue;
    networks.add(network);
    if (network.configOnly || network.name === "bridge") continue;
    try {
      await drivers.findIpam(network.ipam.driver);
      const driver = await drivers.findNetwork(network.driver);
      networks.ipam(network).open(network);
      await driver.restore(network);
    } catch (error) {
      // A plugin that is not up, a parent interface that is gone: the network stays and its containers are told.
      options.warn?.(`network ${network.name}: ${messageOf(error)}`);
    }
  }
  for (const [name, driver] of [
    ["host", "host"],
    ["none", "null"],
  ] as const) {
    if (networks.find(name) !== undefined) continue;
    const network = predefined(name, driver);
    networks.add(network);
    store.saveNetwork(network);
  }
  await openDefaultBridge(options, bridge, networks, host, store);
  const watch = setInterval(() => {
    try {
      if (firewall.repair())
        options.warn?.(`firewall table ${table} was changed by another program; it was written again`);
    } catch (error) {
      options.warn?.(messageOf(error));
    }
  }, WATCH_MS);
  watch.unref();
  return new Controller({
    store,
    host,
    networks,
    sandboxes,
    names,
    firewall,
    allocator,
    resolver,
    listeners,
    filesListeners,
    stop: [() => clearInterval(watch), () => relays.stop(), () => connections.now()],
  });
}

/** The default bridge follows the daemon's options anew at each start, but keeps its ID and, unless told, its block. */
async function openDefaultBridge(
  options: NetworkOptions,
  bridge: string,
  networks: Networks,
  host: Host,
  store: NetworkStore,
): Promise<void> {
  const before = networks.find("bridge");
  if (bridge === "none") {
    if (before !== undefined) {
      before.predefined = false;
      await networks.remove(before);
    }
    return;
  }
  const network = predefined("bridge", "bridge");
  if (before !== undefined) {
    network.id = before.id;
    network.created = before.created;
    if (before.state["bridge"] === bridge) network.state = { ...before.state };
    await networks.ipam(before).close(before);
  }
  network.ipv6 = options.ipv6 ?? false;
  network.options = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": String(options.icc ?? true),
    "com.docker.network.bridge.enable_ip_masquerade": String(options.ipMasq ?? true),
    "com.docker.network.bridge.host_binding_ipv4": options.ip || "0.0.0.0",
    "com.docker.network.bridge.name": bridge,
    "com.docker.network.driver.mtu": String(options.mtu || 1500),
  };
  const link = host.link(bridge);
  const present = link === null ? [] : host.netlink.addresses().filter((address) => address.link === link.index);
  for (const family of [4, 6] as const) {
    if (family === 6 && !network.ipv6) continue;
    const kept = before?.ipam.config.find((pool) => (pool.Subnet ?? "").includes(":") === (family === 6));
    const found = present.find(
      (one) => one.address.includes(":") === (family === 6) && !one.address.startsWith("fe80:"),
    );
    const wanted = family === 4 ? options.bip : options.bip6;
    const fixed = family === 4 ? options.fixedCidr : options.fixedCidrV6;
    const gateway = family === 4 ? options.defaultGateway : options.defaultGatewayV6;
    const own = wanted ?? (found === undefined ? undefined : `${found.address}/${found.prefix}`);
    const block = parseCidr(own ?? (family === 6 ? fixed : undefined) ?? kept?.Subnet ?? "");
    if (wanted !== undefined && block === null) throw invalidParameter(`invalid CIDR address: ${wanted}`);
    if (block === null) continue;
    network.ipam.config.push({
      Subnet: formatCidr(block),
      ...(fixed !== undefined && formatCidr(block) !== fixed ? { IPRange: fixed } : {}),
      ...(own !== undefined ? { Gateway: bare(own) } : kept?.Gateway ? { Gateway: kept.Gateway } : {}),
    });
    if (gateway !== undefined && gateway !== "") network.state[`gateway${family}`] = gateway;
  }
  await networks.establish(network, networks.driver(network), new Set(link === null ? [] : [link.index]));
  if (before?.state["bridge"] !== undefined && before.state["bridge"] !== bridge && before.state["made"] === "1") {
    host.deleteLinksLater([before.state["bridge"]], 0);
  }
  store.saveNetwork(network);
}

/** Engines are told apart by their bridges; one without gets a name of its own, once and for all. */
function tableName(bridge: string, store: NetworkStore): string {
  if (bridge === "gantry0") return "gantry";
  if (bridge !== "none") return `gantry-${bridge}`;
  const kept = store.note("table") ?? `gantry-none-${randomBytes(4).toString("hex")}`;
  store.saveNote("table", kept);
  return kept;
}

function predefined(name: string, driver: string): NetworkRecord {
  return {
    id: randomBytes(32).toString("hex"),
    name,
    created: timestamp(),
    driver,
    scope: "local",
    ipv4: true,
    ipv6: false,
    internal: false,
    attachable: false,
    ingress: false,
    configOnly: false,
    configFrom: "",
    options: {},
    labels: {},
    ipam: { driver: "default", options: null, config: [] },
    gateways: {},
    userSubnet: false,
    predefined: true,
    state: {},
  };
}

/** What makes this host's unique local addresses its own. */
function hostId(): string {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim() || hostname();
  } catch {
    return hostname();
  }
}
