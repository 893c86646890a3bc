import {
  type EndpointSettings,
  forbidden,
  GantryError,
  invalidParameter,
  messageOf,
  type NetworkCreateRequest,
  type NetworkInspect,
  notFound,
  type PortBinding,
} from "@gantry/spec";
import type {
  FilesChange,
  InterfaceStats,
  NetworkController,
  NetworkEvent,
  PreparedSandbox,
  SandboxRequest,
  SubnetUsage,
} from "./contract.ts";
import type { Firewall } from "./firewall/firewall.ts";
import type { Host } from "./host.ts";
import { inspectEndpoint, inspectNetwork, inspectPorts } from "./inspect.ts";
import type { NetworkRecord, Sandbox } from "./model.ts";
import type { Names } from "./names.ts";
import { Namespace } from "./namespace.ts";
import type { Networks } from "./networks.ts";
import type { PortAllocator } from "./ports/allocator.ts";
import type { Resolver } from "./resolver.ts";
import type { Sandboxes } from "./sandboxes.ts";
import type { NetworkStore } from "./store.ts";

export interface ControllerParts {
  store: NetworkStore;
  host: Host;
  networks: Networks;
  sandboxes: Sandboxes;
  names: Names;
  firewall: Firewall;
  allocator: PortAllocator;
  resolver: Resolver | undefined;
  listeners: Set<(event: NetworkEvent) => void>;
  filesListeners: Set<(change: FilesChange) => void>;
  stop: (() => Promise<void> | void)[];
}

/** The face of the package: the contract's calls, each in turn for one container. */
export class Controller implements NetworkController {
  private readonly turns = new Map<string, Promise<unknown>>();
  private restored = false;

  constructor(private readonly parts: ControllerParts) {}

  async restore(live: { containerId: string; pid: number }[]): Promise<void> {
    const { store, host, networks, sandboxes, firewall } = this.parts;
    this.restored = true;
    const pids = new Map(live.map((one) => [one.containerId, one.pid]));
    const adopted: Sandbox[] = [];
    const all = store.sandboxes();
    for (const sandbox of all)
      sandbox.endpoints = sandbox.endpoints.filter((endpoint) => networks.find(endpoint.networkId) !== undefined);
    const dead = all.filter(({ containerId }) => !pids.has(containerId));
    const left = await Promise.all(dead.map((sandbox) => sandboxes.abandon(sandbox)));
    for (const sandbox of all) {
      const pid = pids.get(sandbox.containerId);
      if (pid === undefined) continue;
      await sandboxes.adopt(sandbox, pid);
      adopted.push(sandbox);
    }
    firewall.rebuild();
    host.deleteLinksLater([...left.flat(), ...this.strayLinks(adopted)], 0);
    for (const sandbox of adopted) await sandboxes.resume(sandbox);
  }

  async shutdown(): Promise<void> {
    for (const stop of this.parts.stop) await stop();
    await this.parts.resolver?.shutdown();
    await this.parts.host.sweep();
    this.parts.allocator.close();
    if (this.parts.sandboxes.byContainer.size === 0) this.parts.firewall.retire();
    this.parts.firewall.close();
    this.parts.host.close();
  }

  async create(request: NetworkCreateRequest): Promise<{ id: string; warning: string }> {
    await this.ready();
    const network = await this.parts.networks.create(request);
    this.emit("create", network);
    return { id: network.id, warning: "" };
  }

  list(): NetworkInspect[] {
    return this.parts.networks.all().map((network) => this.inspect(network));
  }

  resolve(nameOrId: string): NetworkInspect {
    return this.inspect(this.parts.networks.resolve(nameOrId));
  }

  usage(nameOrId: string): SubnetUsage[] {
    const network = this.parts.networks.resolve(nameOrId);
    try {
      return this.parts.networks.ipam(network).usage(network);
    } catch {
      // Its plugin has not been heard of since the daemon started.
      return [];
    }
  }

  async remove(nameOrId: string): Promise<void> {
    const network = this.parts.networks.resolve(nameOrId);
    for (const sandbox of this.parts.sandboxes.byContainer.values()) {
      const endpoint = sandbox.endpoints.find((one) => one.networkId === network.id);
      if (endpoint === undefined || network.predefined) continue;
      throw forbidden(
        `error while removing network: network ${network.name} has active endpoints ` +
          `(name:${JSON.stringify(sandbox.name)} id:${JSON.stringify(endpoint.id.slice(0, 12))})`,
      );
    }
    await this.parts.networks.remove(network);
    this.emit("destroy", network);
  }

  async prepare(request: SandboxRequest): Promise<PreparedSandbox> {
    await this.ready();
    return this.inTurn(request.containerId, () => inSetUp(() => this.parts.sandboxes.prepare(request)));
  }

  plumb(containerId: string, pid: number): Promise<void> {
    return this.inTurn(containerId, () => inSetUp(() => this.parts.sandboxes.plumb(containerId, pid)));
  }

  release(containerId: string): Promise<void> {
    return this.inTurn(containerId, () => this.parts.sandboxes.release(containerId));
  }

  checkEndpoint(network: string, settings: EndpointSettings): void {
    const record = this.parts.networks.find(network);
    if (record !== undefined) this.parts.sandboxes.checkEndpoint(record, settings);
  }

  async connect(containerId: string, network: string, settings: EndpointSettings): Promise<void> {
    const record = this.parts.networks.resolve(network);
    const sandbox = this.parts.sandboxes.byContainer.get(containerId);
    refuseMixing(record, sandbox);
    await this.inTurn(containerId, () =>
      withoutName(record, () => this.parts.sandboxes.connect(containerId, record, settings)),
    );
  }

  async disconnect(containerId: string, network: string, force: boolean): Promise<void> {
    const record = this.parts.networks.resolve(network);
    if (record.driver === "host" && !force) {
      throw forbidden("container cannot be disconnected from host network or connected to host network");
    }
    await this.inTurn(containerId, () => this.parts.sandboxes.disconnect(containerId, record, force));
  }

  rename(containerId: string, name: string): void {
    this.parts.sandboxes.rename(containerId, name);
  }

  endpoints(containerId: string): Record<string, EndpointSettings> {
    const sandbox = this.parts.sandboxes.byContainer.get(containerId);
    if (sandbox === undefined) return {};
    return Object.fromEntries(
      sandbox.endpoints.map((endpoint) => [
        this.parts.networks.get(endpoint.networkId).name,
        inspectEndpoint(endpoint, this.parts.names.dnsNames(sandbox, endpoint)),
      ]),
    );
  }

  ports(containerId: string): Record<string, PortBinding[] | null> {
    const sandbox = this.parts.sandboxes.byContainer.get(containerId);
    // Without a network there is no way to any of them.
    return sandbox?.mode !== "network" || sandbox.endpoints.length === 0 ? {} : inspectPorts(sandbox);
  }

  publish(
    containerId: string,
    add: Record<string, PortBinding[]>,
    remove: Record<string, PortBinding[]>,
  ): Promise<void> {
    return this.inTurn(containerId, () => this.parts.sandboxes.publish(containerId, add, remove));
  }

  async stats(containerId: string): Promise<Record<string, InterfaceStats>> {
    const sandbox = this.parts.sandboxes.byContainer.get(containerId);
    const namespace = sandbox === undefined || sandbox.pid === 0 ? null : Namespace.of(sandbox.pid);
    if (sandbox === undefined || sandbox.mode !== "network" || namespace === null) {
      namespace?.close();
      if (sandbox === undefined) throw notFound(`container ${containerId} has no network`);
      return {};
    }
    try {
      const mine = new Set(sandbox.endpoints.map((endpoint) => endpoint.interfaceName));
      const out: Record<string, InterfaceStats> = {};
      for (const link of namespace.links()) {
        if (!mine.has(link.name) || link.stats === undefined) continue;
        const { stats } = link;
        out[link.name] = {
          rx_bytes: stats.rxBytes,
          rx_packets: stats.rxPackets,
          rx_errors: stats.rxErrors,
          rx_dropped: stats.rxDropped,
          tx_bytes: stats.txBytes,
          tx_packets: stats.txPackets,
          tx_errors: stats.txErrors,
          tx_dropped: stats.txDropped,
        };
      }
      return out;
    } finally {
      namespace.close();
    }
  }

  onEvent(listener: (event: NetworkEvent) => void): void {
    this.parts.listeners.add(listener);
  }

  onFiles(listener: (change: FilesChange) => void): void {
    this.parts.filesListeners.add(listener);
  }

  private async ready(): Promise<void> {
    if (!this.restored) await this.restore([]);
  }

  private inspect(network: NetworkRecord): NetworkInspect {
    return inspectNetwork(network, this.parts.sandboxes.byContainer.values());
  }

  private emit(action: NetworkEvent["action"], network: NetworkRecord): void {
    const event = { action, networkId: network.id, networkName: network.name, networkType: network.driver };
    for (const listener of this.parts.listeners) listener(event);
  }

  /** Ports of our bridges that no adopted container has: a daemon died between making them and writing it down. */
  private strayLinks(adopted: Sandbox[]): string[] {
    const bridges = new Set(this.parts.networks.all().map((network) => network.state["bridge"] ?? ""));
    const known = new Set(adopted.flatMap((sandbox) => sandbox.endpoints.map((endpoint) => endpoint.hostInterface)));
    const links = this.parts.host.netlink.links();
    const ours = new Set(links.filter((link) => bridges.has(link.name)).map((link) => link.index));
    return links
      .filter((link) => link.kind === "veth" && ours.has(link.master) && !known.has(link.name))
      .map((link) => link.name);
  }

  private async inTurn<T>(containerId: string, work: () => Promise<T>): Promise<T> {
    const before = this.turns.get(containerId);
    const turn = before === undefined ? work() : before.then(work, work);
    this.turns.set(containerId, turn);
    try {
      return await turn;
    } finally {
      if (this.turns.get(containerId) === turn) this.turns.delete(containerId);
    }
  }
}

function refuseMixing(network: NetworkRecord, sandbox: Sandbox | undefined): void {
  if (network.driver === "host") {
    throw forbidden("cannot connect container to host network - container must be created in host network mode");
  }
  if (network.driver === "null") {
    throw invalidParameter(
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
  }
  if (sandbox === undefined) return;
  if (sandbox.mode === "container" || sandbox.mode === "host") {
    throw forbidden(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
  }
  // One that left none before may join another.
  if (sandbox.mode === "none" && sandbox.endpoints.length > 0) {
    throw invalidParameter(
      "container cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
  }
}

/** Whoever joins one network is not told its name, as in Docker. */
async function withoutName<T>(network: NetworkRecord, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const prefix = `invalid config for network ${network.name}: `;
    if (!(error instanceof GantryError) || !error.message.startsWith(prefix)) throw error;
    throw new GantryError(error.kind, error.message.slice(prefix.length), { cause: error });
  }
}

/** What goes wrong in a container's start is told with Docker's words before it, except what was wrong with the request itself. */
async function inSetUp<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const message = messageOf(error);
    if (message.startsWith("invalid config for network")) throw error;
    const kind = error instanceof GantryError ? error.kind : "system";
    throw new GantryError(kind, `failed to set up container networking: ${message}`, { cause: error });
  }
}
