import type { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { invalidParameter, notFound } from "@gantry/spec";
import type { NetworkController, NetworkEvent } from "./contract.ts";
import { Controller } from "./controller.ts";
import { BridgeDriver } from "./drivers/bridge.ts";
import type { Driver } from "./drivers/driver.ts";
import { deviceless } from "./drivers/none.ts";
import { isLinkName } from "./drivers/options.ts";
import { Endpoints } from "./endpoints.ts";
import { Firewall } from "./firewall/firewall.ts";
import { Host } from "./host.ts";
import { formatCidr, parseCidr } from "./ipam/cidr.ts";
import { AddressManager } from "./ipam/manager.ts";
import { type AddressPool, DEFAULT_POOLS, SubnetPools, ulaPool } from "./ipam/subnets.ts";
import { bare, type NetworkRecord } from "./model.ts";
import { Networks, timestamp } from "./networks.ts";
import { PortAllocator } from "./ports/allocator.ts";
import { Publisher } from "./ports/publisher.ts";
import { Relay } from "./relay/relay.ts";
import type { Resolver } from "./resolver.ts";
import { Sandboxes } from "./sandboxes.ts";
import { NetworkStore } from "./store.ts";

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
  ip6tables?: boolean;
  ipForward?: boolean;
  ipForwardNoDrop?: boolean;
  hostGatewayIps?: string[];
  /** Options for every new network of a driver: `{bridge: {"com.docker.network.driver.mtu": "1400"}}`. */
  defaultNetworkOpts?: Record<string, Record<string, string>>;
  /** Name of the firewall table; `gantry` for the bridge gantry0, else `gantry-<bridge>`, so that engines do not meet. */
  table?: string;
  resolver?: Resolver;
}

/**
 * Opens the networks of one engine: the predefined ones are there afterwards, those on disk have their devices again. The firewall table
 * is written by `restore`, or by the first container where nothing has to be restored.
 */
export async function openNetwork(options: NetworkOptions): Promise<NetworkController> {
  const bridge = options.bridge || "gantry0";
  if (!isLinkName(bridge)) throw invalidParameter(`invalid bridge name ${JSON.stringify(bridge)}`);
  const store = new NetworkStore(options.db);
  const host = new Host();
  const table = options.table || (bridge === "gantry0" ? "gantry" : `gantry-${bridge}`);
  const firewall = new Firewall(table, options.iptables ?? true);
  const given = options.addressPools ?? [];
  const pools = given.some((pool) => !pool.base.includes(":")) ? given : [...given, ...DEFAULT_POOLS];
  const ula = given.some((pool) => pool.base.includes(":")) ? [] : [ulaPool(hostId())];
  const addresses = new AddressManager(new SubnetPools([...pools, ...ula]));
  const forwarded = new Set<boolean>();
  const forwarding = (ipv6: boolean) => {
    if (forwarded.has(ipv6) || options.ipForward === false) return;
    forwarded.add(ipv6);
    if (host.enableForwarding(store, ipv6) && !options.ipForwardNoDrop) firewall.setGuard(true);
  };
  const drivers = new Map<string, Driver>();
  for (const driver of [new BridgeDriver(host, firewall, forwarding), deviceless("host"), deviceless("null")]) {
    drivers.set(driver.name, driver);
  }
  const networks = new Networks(store, host, addresses, drivers, async (name) => {
    throw notFound(`plugin ${JSON.stringify(name)} not found`);
  });
  const endpoints = new Endpoints(networks, addresses);
  const allocator = new PortAllocator();
  const relay = new Relay((address, port) => publisher.relayTarget("tcp", address, port));
  if (firewall.enabled) relay.start();
  const publisher: Publisher = new Publisher(networks, firewall, allocator, options.ip ?? "", () => relay.port);
  const listeners = new Set<(event: NetworkEvent) => void>();
  const sandboxes = new Sandboxes({
    store,
    host,
    addresses,
    networks,
    endpoints,
    publisher,
    resolver: options.resolver,
    hostGateway: () => options.hostGatewayIps?.[0] ?? bare(networks.find("bridge")?.ipam.config[0]?.Gateway ?? ""),
    emit: (event) => {
      for (const listener of listeners) listener(event);
    },
  });

  for (const network of store.networks()) {
    networks.add(network);
    if (network.configOnly || network.name === "bridge") continue;
    addresses.open(network);
    await networks.driver(network).restore(network);
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
  await openDefaultBridge(options, bridge, networks, addresses, host, store);
  return new Controller({
    store,
    host,
    networks,
    sandboxes,
    firewall,
    allocator,
    resolver: options.resolver,
    listeners,
    stop: [() => relay.stop()],
  });
}

/** The default bridge follows the daemon's options anew at each start, but keeps its ID and, unless told, its block. */
async function openDefaultBridge(
  options: NetworkOptions,
  bridge: string,
  networks: Networks,
  addresses: AddressManager,
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
    addresses.close(before.id);
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
