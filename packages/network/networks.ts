import { randomBytes } from "node:crypto";
import { conflict, forbidden, invalidParameter, type NetworkCreateRequest, notFound } from "@gantry/spec";
import type { Driver } from "./drivers/driver.ts";
import type { Drivers } from "./drivers/drivers.ts";
import type { Host } from "./host.ts";
import type { IpamDriver } from "./ipam/driver.ts";
import type { NetworkRecord } from "./model.ts";
import type { NetworkStore } from "./store.ts";

/** In the stored state of a network that is not there yet. */
const MAKING = "making";
const PREDEFINED = ["bridge", "host", "none", "default", "container"];

/** All networks: their names, records and drivers. */
export class Networks {
  private readonly byId = new Map<string, NetworkRecord>();
  private readonly byName = new Map<string, NetworkRecord>();
  private readonly leaving = new Set<NetworkRecord>();

  constructor(
    private readonly store: NetworkStore,
    private readonly host: Host,
    private readonly drivers: Drivers,
  ) {}

  all(): NetworkRecord[] {
    return [...this.byId.values()];
  }

  get(id: string): NetworkRecord {
    const network = this.byId.get(id);
    if (network === undefined) throw notFound(`network ${id} not found`);
    return network;
  }

  find(name: string): NetworkRecord | undefined {
    return this.byName.get(name) ?? this.byId.get(name);
  }

  /** By ID, name or unambiguous prefix of an ID, in this order. */
  resolve(nameOrId: string): NetworkRecord {
    const exact = this.byId.get(nameOrId) ?? this.byName.get(nameOrId);
    if (exact !== undefined) return exact;
    const matches = nameOrId === "" ? [] : this.all().filter((network) => network.id.startsWith(nameOrId));
    if (matches.length === 0) throw notFound(`network ${nameOrId} not found`);
    if (matches.length > 1) {
      throw invalidParameter(`network ${nameOrId} is ambiguous (${matches.length} matches found based on ID prefix)`);
    }
    return matches[0]!;
  }

  /** The driver of a network that is there. Throws notFound where its plugin is not. */
  driver(network: NetworkRecord): Driver {
    return this.drivers.network(network.driver);
  }

  /** As `driver` and `ipam`, asking for plugins that were not up when the daemon started. */
  async findDrivers(network: NetworkRecord): Promise<{ driver: Driver; ipam: IpamDriver }> {
    const driver = await this.drivers.findNetwork(network.driver);
    return { driver, ipam: await this.drivers.findIpam(network.ipam.driver) };
  }

  ipam(network: NetworkRecord): IpamDriver {
    return this.drivers.ipam(network.ipam.driver);
  }

  /** Throws notFound where the network is being removed, or was. */
  refuseLeaving(network: NetworkRecord): void {
    if (this.leaving.has(network) || this.byId.get(network.id) !== network)
      throw notFound(`network ${network.name} not found`);
  }

  /** Puts a network in that is already on disk, or that the daemon makes by itself. */
  add(network: NetworkRecord): void {
    this.byId.set(network.id, network);
    this.byName.set(network.name, network);
  }

  /** Makes a network from a client's request. Throws GantryError with nothing left behind. */
  async create(request: NetworkCreateRequest): Promise<NetworkRecord> {
    const name = request.Name ?? "";
    if (name.trim() === "") throw invalidParameter("invalid name: name is empty");
    if (name.length > 1024) throw invalidParameter("invalid name: too long");
    if (PREDEFINED.includes(name)) throw forbidden(`operation is not permitted on predefined ${name} network`);
    if (this.byName.has(name)) throw conflict(`network with name ${name} already exists`);
    const network = this.recordOf(request, name);
    if (network.configOnly) {
      this.add(network);
      this.store.saveNetwork(network);
      return network;
    }
    const driver = await this.drivers.findNetwork(network.driver);
    await this.drivers.findIpam(network.ipam.driver);
    // Another request may have taken the name while a plugin was asked.
    if (this.byName.has(name)) throw conflict(`network with name ${name} already exists`);
    if (driver.name === "host" || driver.name === "null") {
      throw forbidden(`only one instance of "${driver.name}" network is allowed`);
    }
    if (network.scope === "swarm") throw forbidden("This node is not a swarm manager.");
    await this.establish(network, driver);
    return network;
  }

  /** Plans addresses, has the driver make the network, and writes it down. */
  async establish(network: NetworkRecord, driver: Driver, exceptLinks = new Set<number>()): Promise<void> {
    driver.check(network);
    if (!network.ipv4 && !network.ipv6) throw invalidParameter("IPv4 or IPv6 must be enabled");
    // Taken before the first await, so that two requests of one name, or one subnet, cannot both pass.
    this.add(network);
    let made = false;
    try {
      await this.ipam(network).plan(network, this.host.routedBlocks(exceptLinks));
      this.ipam(network).open(network);
      // First that it is being made: a daemon that is killed meanwhile takes it away at its next start.
      if (!network.predefined) this.store.saveNetwork({ ...network, state: { ...network.state, [MAKING]: "1" } });
      await driver.create(network);
      made = true;
      this.store.saveNetwork(network);
    } catch (error) {
      await this.undo(network, made ? driver : null);
      throw error;
    }
  }

  /** Whatever of it there is; the reason is told by who calls. */
  private async undo(network: NetworkRecord, driver: Driver | null): Promise<void> {
    for (const step of [
      async () => driver?.remove(network),
      async () => (network.predefined ? undefined : this.store.dropNetwork(network.id)),
      () => this.forget(network),
    ]) {
      try {
        await step();
      } catch {
        // The next one all the same.
      }
    }
  }

  /** Takes away what a killed daemon left of a network that it was making; true where this one was. */
  sweepHalfMade(network: NetworkRecord): boolean {
    if (network.state[MAKING] === undefined) return false;
    this.host.deleteLinksLater(
      ["br", "dm", "di"].map((kind) => `${kind}-${network.id.slice(0, 12)}`),
      0,
    );
    this.store.dropNetwork(network.id);
    return true;
  }

  async remove(network: NetworkRecord): Promise<void> {
    if (network.predefined) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
    const user = this.all().find((other) => network.configOnly && other.configFrom === network.name);
    if (user !== undefined)
      throw forbidden(`error while removing network: configuration network ${JSON.stringify(network.name)} is in use`);
    // Nobody may join while it is being taken down.
    if (this.leaving.has(network)) throw notFound(`network ${network.name} not found`);
    this.leaving.add(network);
    try {
      if (!network.configOnly) await (await this.findDrivers(network)).driver.remove(network);
      this.store.dropNetwork(network.id);
      await this.forget(network);
    } finally {
      this.leaving.delete(network);
    }
  }

  private async forget(network: NetworkRecord): Promise<void> {
    this.byId.delete(network.id);
    if (this.byName.get(network.name) === network) this.byName.delete(network.name);
    if (network.configOnly) return;
    try {
      await this.ipam(network).close(network);
    } catch {
      // The plugin is gone, and what it kept with it.
    }
  }

  private recordOf(request: NetworkCreateRequest, name: string): NetworkRecord {
    const ipam = request.IPAM;
    const network: NetworkRecord = {
      id: randomBytes(32).toString("hex"),
      name,
      created: timestamp(),
      driver: request.ConfigOnly ? "null" : request.Driver || "bridge",
      scope: request.Scope === "swarm" || request.Scope === "global" ? request.Scope : "local",
      ipv4: request.EnableIPv4 ?? true,
      ipv6: request.EnableIPv6 ?? false,
      internal: request.Internal ?? false,
      attachable: request.Attachable ?? false,
      ingress: request.Ingress ?? false,
      configOnly: request.ConfigOnly ?? false,
      configFrom: request.ConfigFrom?.Network ?? "",
      options: { ...(request.Options ?? {}) },
      labels: { ...(request.Labels ?? {}) },
      ipam: {
        driver: ipam?.Driver || "default",
        options: ipam?.Options ?? null,
        config: ipam?.Config ?? [],
      },
      gateways: {},
      userSubnet: (ipam?.Config ?? []).some((pool) => pool.Subnet),
      predefined: false,
      state: {},
    };
    if (network.ingress) throw forbidden("This node is not a swarm manager.");
    const operated = network.internal || network.attachable || network.scope !== "local";
    if (network.configOnly && operated) {
      throw forbidden(
        "configuration network can only contain network specific fields. " +
          "Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
      );
    }
    if (network.configOnly && network.configFrom !== "") {
      throw forbidden("a configuration network depends on another configuration network");
    }
    if (network.configFrom !== "") this.applyConfig(network, request);
    else network.options = { ...this.drivers.defaultOptions(network.driver), ...network.options };
    return network;
  }

  private applyConfig(network: NetworkRecord, request: NetworkCreateRequest): void {
    const source = this.byName.get(network.configFrom);
    if (source === undefined || !source.configOnly) {
      throw notFound(`configuration network ${JSON.stringify(network.configFrom)} does not exist`);
    }
    const own = Object.keys(request.Options ?? {}).length + Object.keys(request.Labels ?? {}).length;
    if (own > 0 || network.ipam.config.length > 0 || network.ipv6 || network.internal) {
      throw forbidden(
        "user specified configurations are not supported if the network depends on a configuration network",
      );
    }
    network.options = { ...source.options };
    network.labels = { ...source.labels };
    network.ipam = structuredClone(source.ipam);
    network.userSubnet = source.userSubnet;
    network.ipv4 = source.ipv4;
    network.ipv6 = source.ipv6;
    network.internal = source.internal;
  }
}

/** Now as RFC 3339 with nanoseconds, as Go prints it. */
export function timestamp(): string {
  const micros = Math.trunc((performance.timeOrigin + performance.now()) * 1000);
  const millis = Math.trunc(micros / 1000);
  const rest = String(micros % 1000).padStart(3, "0");
  return `${new Date(millis).toISOString().slice(0, -1)}${rest}000Z`;
}
