import { randomBytes } from "node:crypto";
import { forbidden, invalidParameter, systemError } from "@gantry/spec";
import { type BridgePortFlags, formatMac, isErrno, parseLink } from "@gantry/sys";
import type { Firewall } from "../firewall/firewall.ts";
import type { FirewallNetwork, GatewayMode } from "../firewall/ruleset.ts";
import type { Host } from "../host.ts";
import { parseCidr } from "../ipam/cidr.ts";
import type { Endpoint, NetworkRecord } from "../model.ts";
import { linkLocalAddress, ownAddresses } from "../own-address.ts";
import { readSysctl, writeSysctl } from "../sysctl.ts";
import type { Driver } from "./driver.ts";
import { addressOption, boolOption, isLinkName, linkNameOption, mtuOption } from "./options.ts";

const PREFIX = "com.docker.network.bridge.";

/** A Linux bridge for each network, a veth pair for each endpoint. */
export class BridgeDriver implements Driver {
  readonly name = "bridge";
  private readonly indexes = new Map<string, number>();
  /** Networks' IDs by bridge. */
  private readonly owners = new Map<string, string>();

  constructor(
    private readonly host: Host,
    private readonly firewall: Firewall,
    private readonly forwarding: (ipv6: boolean) => void,
    /** What the daemon's options say of all networks: `ip6tables`, `allow-direct-routing`. */
    private readonly policy: Pick<FirewallNetwork, "rules6" | "direct">,
  ) {}

  check(network: NetworkRecord): void {
    const { options } = network;
    for (const key of ["enable_ip_masquerade", "enable_icc", "default_bridge", "inhibit_ipv4"]) {
      boolOption(options, PREFIX + key, false);
    }
    mtuOption(options);
    linkNameOption(options, `${PREFIX}name`);
    // What follows becomes a part of the firewall's rules.
    addressOption(options, `${PREFIX}host_binding_ipv4`, 4);
    addressOption(options, "com.docker.network.host_ipv4", 4);
    addressOption(options, "com.docker.network.host_ipv6", 6);
    for (const name of trustedInterfaces(network)) {
      if (!isLinkName(name)) throw invalidParameter(`invalid interface name ${JSON.stringify(name)}`);
    }
    const subnets = network.ipam.config.map((pool) => pool.Subnet ?? "").filter((subnet) => subnet !== "");
    const six = subnets.filter((subnet) => subnet.includes(":")).length;
    if ((network.ipv6 && six > 1) || (network.ipv4 && subnets.length - six > 1)) {
      throw forbidden("bridge driver doesn't support multiple subnets");
    }
    if (network.ipam.driver === "null") throw invalidParameter(`ipv${network.ipv4 ? 4 : 6} pool is empty`);
    for (const family of [4, 6] as const) {
      const mode = gatewayMode(network, family);
      if (mode === "isolated" && !network.internal) {
        throw invalidParameter("gateway mode 'isolated' can only be used for an internal network");
      }
    }
  }

  create(network: NetworkRecord): void {
    network.state["bridge"] = bridgeName(network);
    const other = this.owners.get(bridgeName(network));
    if (this.indexes.has(bridgeName(network))) {
      const name = bridgeName(network);
      const whose = other === undefined ? "" : ` ${other} (${name})`;
      throw forbidden(
        `cannot create network ${network.id} (${name}): conflicts with network${whose}: networks have same bridge name`,
      );
    }
    try {
      this.makeBridge(network);
      this.firewall.addNetwork(firewallNetwork(network, this.policy));
    } catch (error) {
      this.firewall.removeNetwork(bridgeName(network));
      this.forget(network);
      this.host.deleteLinksLater(linksOf(network), 0);
      throw error;
    }
  }

  restore(network: NetworkRecord): void {
    this.makeBridge(network);
    this.firewall.stage([firewallNetwork(network, this.policy)], []);
  }

  /** Waits until the bridge is gone: the next network may want its name or its addresses. */
  async remove(network: NetworkRecord): Promise<void> {
    this.firewall.removeNetwork(bridgeName(network));
    try {
      await this.host.deleteNow(linksOf(network));
    } finally {
      this.forget(network);
    }
  }

  /** Takes a network out of the books: from then on another one may have its bridge. */
  private forget(network: NetworkRecord): void {
    this.owners.delete(bridgeName(network));
    this.indexes.delete(bridgeName(network));
  }

  /** EEXIST of a random name happens once in 268 million; another one is tried. */
  attach(network: NetworkRecord, endpoint: Endpoint, namespaceFd: number): void {
    const mtu = mtuOption(network.options);
    const size = mtu > 0 ? { mtu } : {};
    for (let attempt = 0; ; attempt++) {
      const name = `veth${randomBytes(4).toString("hex").slice(0, 7)}`;
      const flags = portFlags(network);
      const batch = this.host.netlink
        .batch()
        .createVeth(
          { name, master: this.index(network), ...size },
          { name: endpoint.interfaceName, mac: endpoint.mac, namespaceFd, ...size },
        );
      // Before it is up: else flags of a port without a carrier make the kernel look through all IPv6 routes of the host, and every
      // port gets an address and routes of its own there, though nobody speaks through it but the bridge.
      if (flags !== undefined) batch.setBridgePort(name, flags);
      batch.setLink(name, { addressGeneration: "none" }).setLink(name, { up: true });
      try {
        this.host.netlink.run(batch);
      } catch (error) {
        if (attempt < 3 && isErrno(error, "EEXIST") && this.host.link(name) !== null) continue;
        this.indexes.delete(bridgeName(network));
        throw error;
      }
      endpoint.hostInterface = name;
      return;
    }
  }

  /**
   * The kernel enables a bridge's port some time after its carrier came, and a first packet sent meanwhile is lost (a second's delay
   * for a TCP connection). To be asked about a link makes it do so at once (rtnl_getlink, since Linux 6.14).
   */
  ready(network: NetworkRecord, endpoint: Endpoint): void | Promise<void> {
    const { netlink } = this.host;
    const index = this.index(network);
    const answers = netlink.run(netlink.batch().getLink(endpoint.hostInterface).getLink(index));
    if (!network.ipv6 || gatewayMode(network, 6) === "isolated") return;
    // The bridge's addresses come to life with its first port. From the link-local one it looks for containers.
    const own = Object.values(network.gateways);
    if (network.state["made"] === "1") own.push(linkLocalAddress(parseLink(answers[1]![0]!.payload).mac));
    return ownAddresses(netlink, own, index);
  }

  detach(_network: NetworkRecord, endpoint: Endpoint): string[] {
    return endpoint.hostInterface === "" ? [] : [endpoint.hostInterface];
  }

  private index(network: NetworkRecord): number {
    const name = bridgeName(network);
    const known = this.indexes.get(name);
    if (known !== undefined) return known;
    // Somebody removed the bridge, or it was not looked for yet.
    this.makeBridge(network);
    return this.indexes.get(name)!;
  }

  private makeBridge(network: NetworkRecord): void {
    const name = bridgeName(network);
    const { netlink } = this.host;
    let link = this.host.link(name);
    if (link !== null && link.kind !== "bridge") throw systemError(`existing interface ${name} is not a bridge`);
    if (link === null) {
      const mac = randomMac();
      // Snooping on multicast makes the kernel go through all ports whenever one comes up (1.4 ms at a thousand); where nobody
      // sends queries, and on a network of containers nobody does, it floods all the same.
      netlink.run(netlink.batch().createLink({ name, mac }, { kind: "bridge", multicastSnooping: false }));
      // Whatever the host's default is: `ready` has to know the address.
      netlink.run(netlink.batch().setLink(name, { addressGeneration: "eui64" }));
      network.state["made"] = "1";
      link = this.host.link(name)!;
    }
    this.indexes.set(name, link.index);
    this.owners.set(name, network.id);
    writeSysctl(`ipv4/conf/${name}/route_localnet`, "1");
    if (network.ipv4 && portFlags(network)?.isolated === true) {
      // Isolated ports do not hear each other's questions for addresses: the host answers, so that its forward chain decides.
      writeSysctl(`ipv4/conf/${name}/proxy_arp_pvlan`, "1");
      writeSysctl(`ipv4/conf/${name}/send_redirects`, "0");
    }
    if (network.state["made"] === "1") {
      writeSysctl(`ipv6/conf/${name}/disable_ipv6`, network.ipv6 ? "0" : "1");
      writeSysctl(`ipv6/conf/${name}/accept_ra`, "0");
      if (network.ipv6) writeSysctl(`ipv6/conf/${name}/accept_dad`, "0");
    }
    const mtu = mtuOption(network.options);
    const batch = netlink.batch();
    const inhibited = boolOption(network.options, `${PREFIX}inhibit_ipv4`, false);
    for (const [text, gateway] of Object.entries(network.gateways)) {
      const subnet = parseCidr(text);
      if (subnet === null) continue;
      if ((subnet.family === 4 && inhibited) || gatewayMode(network, subnet.family) === "isolated") continue;
      batch.addAddress(link.index, `${gateway}/${subnet.prefix}`);
    }
    if (mtu > 0 && link.mtu !== mtu) batch.setLink(link.index, { mtu });
    netlink.run(batch.setLink(link.index, { up: true }));
    for (const ipv6 of [false, true]) if (ipv6 ? network.ipv6 : network.ipv4) this.forwarding(ipv6);
  }
}

/**
 * Where the bridge hands its frames to the IP hooks (br_netfilter), a packet translated to another port of the bridge is
 * bridged there, not routed: back into the port it came from only in hairpin mode, and never between isolated ports. There the
 * forward chain keeps containers apart; elsewhere it does not see them, and port isolation does.
 */
function portFlags(network: NetworkRecord): BridgePortFlags | undefined {
  const icc = boolOption(network.options, `${PREFIX}enable_icc`, true);
  const v4 = network.ipv4 && readSysctl("bridge/bridge-nf-call-iptables") === "1";
  const v6 = network.ipv6 && readSysctl("bridge/bridge-nf-call-ip6tables") === "1";
  const filtered = v4 === network.ipv4 && v6 === network.ipv6;
  const flags = { ...(v4 || v6 ? { hairpin: true } : {}), ...(icc || filtered ? {} : { isolated: true }) };
  return Object.keys(flags).length === 0 ? undefined : flags;
}

/** What goes with the network: a bridge that was there before us stays. */
function linksOf(network: NetworkRecord): string[] {
  return network.state["made"] === "1" ? [bridgeName(network)] : [];
}

/** The host's interface of a bridge network. */
export function bridgeName(network: NetworkRecord): string {
  return network.state["bridge"] ?? (network.options[`${PREFIX}name`] || `br-${network.id.slice(0, 12)}`);
}

/** Throws invalidParameter for a mode that is none. */
export function gatewayMode(network: NetworkRecord, family: 4 | 6): GatewayMode {
  const mode = network.options[`${PREFIX}gateway_mode_ipv${family}`] ?? "nat";
  if (mode === "nat" || mode === "nat-unprotected" || mode === "routed" || mode === "isolated") return mode;
  const key = `${PREFIX}gateway_mode_ipv${family}`;
  throw invalidParameter(`failed to parse ${key} value: ${mode} (unknown gateway mode ${mode})`);
}

/** Where ports of the network are published that ask for no address; empty for the daemon's own choice. */
export function hostBinding(network: NetworkRecord): string {
  return network.options[`${PREFIX}host_binding_ipv4`] ?? "";
}

function firewallNetwork(network: NetworkRecord, policy: Pick<FirewallNetwork, "rules6" | "direct">): FirewallNetwork {
  const { options } = network;
  const subnets = network.ipam.config.map((pool) => pool.Subnet ?? "").filter((subnet) => subnet !== "");
  return {
    bridge: bridgeName(network),
    subnets4: subnets.filter((subnet) => !subnet.includes(":")),
    subnets6: subnets.filter((subnet) => subnet.includes(":")),
    internal: network.internal,
    icc: boolOption(options, `${PREFIX}enable_icc`, true),
    masquerade: boolOption(options, `${PREFIX}enable_ip_masquerade`, true),
    mode4: gatewayMode(network, 4),
    mode6: gatewayMode(network, 6),
    hostAddress4: addressOption(options, "com.docker.network.host_ipv4", 4),
    hostAddress6: addressOption(options, "com.docker.network.host_ipv6", 6),
    trusted: trustedInterfaces(network),
    ...policy,
  };
}

/** Interfaces of the host from which published ports may be reached under containers' own addresses. */
export function trustedInterfaces(network: NetworkRecord): string[] {
  return (network.options[`${PREFIX}trusted_host_interfaces`] ?? "").split(":").filter((name) => name !== "");
}

/** A random unicast address with the bit for local administration set (IEEE 802). */
export function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = (bytes[0]! & 0xfc) | 2;
  return formatMac(bytes);
}
