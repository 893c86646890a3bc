import { randomBytes } from "node:crypto";
import { forbidden, invalidParameter, notFound, notImplemented } from "@gantry/spec";
import { isErrno, type LinkInfo, type LinkKind } from "@gantry/sys";
import type { Host } from "../host.ts";
import type { Endpoint, NetworkRecord } from "../model.ts";
import type { Driver } from "./driver.ts";
import { isLinkName, mtuOption } from "./options.ts";

type Kind = "macvlan" | "ipvlan";
const MACVLAN_MODES = ["bridge", "private", "vepa", "passthru"] as const;
const IPVLAN_MODES = ["l2", "l3", "l3s"] as const;
const IPVLAN_FLAGS = ["bridge", "private", "vepa"] as const;

/** macvlan and ipvlan: an endpoint is a sublink of one of the host's own interfaces and stands in its network. */
export class SublinkDriver implements Driver {
  private readonly networks = new Map<string, NetworkRecord>();

  constructor(
    readonly name: Kind,
    private readonly host: Host,
  ) {}

  check(network: NetworkRecord): void {
    mtuOption(network.options);
    this.linkKind(network, 0);
    const parent = network.options["parent"] ?? "";
    if (parent !== "" && !isLinkName(parent))
      throw invalidParameter(`invalid parent interface ${JSON.stringify(parent)}`);
  }

  create(network: NetworkRecord): void {
    const parent = network.internal ? "" : (network.options["parent"] ?? "");
    const name = parent || `${this.name === "macvlan" ? "dm" : "di"}-${network.id.slice(0, 12)}`;
    const sharers = this.sharers(name);
    for (const other of sharers) this.refuseSharing(network, other);
    network.state["parent"] = name;
    try {
      this.ensureParent(network);
      this.probe(network);
      // Whichever is removed last deletes it.
      if (sharers.some((other) => other.state["made"] === "1")) network.state["made"] = "1";
    } catch (error) {
      if (network.state["made"] === "1") this.host.deleteLinksLater([network.state["parent"]!], 0);
      throw error;
    }
    network.options["parent"] = name;
    this.networks.set(network.id, network);
  }

  restore(network: NetworkRecord): void {
    this.ensureParent(network);
    this.networks.set(network.id, network);
  }

  async remove(network: NetworkRecord): Promise<void> {
    this.networks.delete(network.id);
    if (network.state["made"] === "1" && this.sharers(network.state["parent"]!).length === 0)
      await this.host.deleteNow([network.state["parent"]!]);
  }

  private sharers(parent: string): NetworkRecord[] {
    return [...this.networks.values()].filter((network) => network.state["parent"] === parent);
  }

  /** Networks of macvlan may stand side by side on one interface, but for mode passthru, which takes it whole. */
  private refuseSharing(network: NetworkRecord, other: NetworkRecord): void {
    const using = `is already using parent interface ${other.state["parent"]}`;
    if (this.name === "ipvlan") throw forbidden(`network di-${other.id.slice(0, 12)} ${using}`);
    if (other.options["macvlan_mode"] === "passthru") {
      throw forbidden(`macvlan network ${other.id} ${using} in mode passthru`);
    }
    if (network.options["macvlan_mode"] === "passthru") {
      throw forbidden(`cannot use mode passthru, macvlan network ${other.id} ${using}`);
    }
  }

  createEndpoint(network: NetworkRecord, endpoint: Endpoint): void {
    if (this.name === "macvlan") return;
    // An ipvlan link has its parent's MAC; in the layer 3 modes it has no neighbours, and routes lead to the link itself.
    endpoint.mac = "";
    if (network.options["ipvlan_mode"] === "l3" || network.options["ipvlan_mode"] === "l3s") {
      endpoint.gateway4 = "";
      endpoint.gateway6 = "";
      endpoint.routes = [
        ...(endpoint.ipv4 === "" ? [] : [{ destination: "0.0.0.0/0" }]),
        ...(endpoint.ipv6 === "" ? [] : [{ destination: "::/0" }]),
      ];
    }
  }

  /**
   * In two steps: up to Linux 6.12 a new link's name must be free among the host's too, even if it is made in another namespace, and a
   * host's own interface is likely to be called eth0.
   */
  attach(network: NetworkRecord, endpoint: Endpoint, namespaceFd: number): void {
    const parent = this.ensureParent(network);
    const mtu = mtuOption(network.options);
    const { netlink } = this.host;
    const name = passingName(endpoint);
    const mac = endpoint.mac === "" ? {} : { mac: endpoint.mac };
    for (const left of this.detach(network, endpoint)) netlink.run(netlink.batch().deleteLink(left));
    const settings = { name, ...mac, ...(mtu > 0 ? { mtu } : {}) };
    netlink.run(netlink.batch().createLink(settings, this.linkKind(network, parent.index)));
    try {
      const { index } = this.host.link(name)!;
      netlink.run(netlink.batch().setLink(index, { name: endpoint.interfaceName, namespaceFd }));
    } catch (error) {
      netlink.run(netlink.batch().deleteLink(name));
      throw error;
    }
  }

  /** The link ends with its namespace, but for one that a killed daemon had not moved there yet. */
  detach(_network: NetworkRecord, endpoint: Endpoint): string[] {
    const name = passingName(endpoint);
    return this.host.link(name) === null ? [] : [name];
  }

  /** The parent, up; made where it is ours to make: a dummy, or a VLAN of an interface (`eth0.10`). */
  private ensureParent(network: NetworkRecord): LinkInfo {
    const name = network.state["parent"]!;
    const { netlink } = this.host;
    let link = this.host.link(name);
    if (link === null) {
      const vlan = /^(.+)\.(\d{1,4})$/.exec(name);
      const base = vlan === null ? null : this.host.link(vlan[1]!);
      const asked = network.state["made"] === undefined && network.options["parent"] === name && !network.internal;
      if (asked && vlan === null) {
        throw invalidParameter(`invalid subinterface vlan name ${name}, example formatting is eth0.10`);
      }
      if (asked && base === null) throw notFound(`parent interface ${vlan![1]} was not found on the host: ${name}`);
      try {
        const kind: LinkKind =
          base === null ? { kind: "dummy" } : { kind: "vlan", parent: base.index, id: Number(vlan![2]) };
        netlink.run(netlink.batch().createLink({ name, up: true }, kind));
      } catch (error) {
        if (!isErrno(error, "EOPNOTSUPP")) throw error;
        throw notImplemented(
          `the ${this.name} driver needs a parent interface (-o parent=…): this kernel has no ${base === null ? "dummy" : "VLAN"} links`,
          error,
        );
      }
      network.state["made"] = "1";
      link = this.host.link(name)!;
    }
    if (!link.up) netlink.run(netlink.batch().setLink(link.index, { up: true }));
    return link;
  }

  /** Asks the kernel for such a link, so that a network is refused and not its first container. */
  private probe(network: NetworkRecord): void {
    // A parent in passthru mode has room for one sublink only.
    if (network.options["macvlan_mode"] === "passthru") return;
    const { netlink } = this.host;
    const name = `gp${randomBytes(5).toString("hex")}`;
    try {
      const parent = this.host.link(network.state["parent"]!)!;
      netlink.run(netlink.batch().createLink({ name }, this.linkKind(network, parent.index)));
    } catch (error) {
      if (isErrno(error, "EOPNOTSUPP")) {
        throw notImplemented(`this kernel has no ${this.name} (CONFIG_${this.name.toUpperCase()} is needed)`, error);
      }
      throw error;
    }
    this.host.deleteLinksLater([name], 0);
  }

  private linkKind(network: NetworkRecord, parent: number): LinkKind {
    const { options } = network;
    if (this.name === "macvlan") {
      const mode = options["macvlan_mode"] || "bridge";
      const known = MACVLAN_MODES.find((one) => one === mode);
      if (known === undefined)
        throw invalidParameter(
          `requested macvlan mode '${mode}' is not valid, 'bridge' mode is the macvlan driver default`,
        );
      return { kind: "macvlan", parent, mode: known };
    }
    const mode = options["ipvlan_mode"] || "l2";
    const flag = options["ipvlan_flag"] || "bridge";
    const knownMode = IPVLAN_MODES.find((one) => one === mode);
    const knownFlag = IPVLAN_FLAGS.find((one) => one === flag);
    if (knownMode === undefined)
      throw invalidParameter(`requested ipvlan mode '${mode}' is not valid, 'l2' mode is the ipvlan driver default`);
    if (knownFlag === undefined)
      throw invalidParameter(
        `requested ipvlan flag '${flag}' is not valid, 'bridge' flag is the ipvlan driver default`,
      );
    return { kind: "ipvlan", parent, mode: knownMode, flag: knownFlag };
  }
}

/** What the link of an endpoint is called on the host, before it is in its namespace. */
const passingName = (endpoint: Endpoint) => `gs-${endpoint.id.slice(0, 12)}`;
