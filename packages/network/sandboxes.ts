import { type EndpointSettings, notFound, type PortBinding, systemError } from "@gantry/spec";
import type { FilesChange, NetworkEvent, PreparedSandbox, SandboxRequest } from "./contract.ts";
import { type Endpoints, wantedInterfaceName } from "./endpoints.ts";
import { chooseGateways } from "./gateways.ts";
import type { Host } from "./host.ts";
import type { Links } from "./links.ts";
import type { Endpoint, NetworkRecord, PublishedPort, Sandbox } from "./model.ts";
import type { Names } from "./names.ts";
import { Namespace } from "./namespace.ts";
import type { Networks } from "./networks.ts";
import type { Publisher } from "./ports/publisher.ts";
import type { Resolver } from "./resolver.ts";
import type { NetworkStore } from "./store.ts";

export interface SandboxParts {
  store: NetworkStore;
  host: Host;
  networks: Networks;
  endpoints: Endpoints;
  publisher: Publisher;
  links: Links;
  names: Names;
  resolver: Resolver | undefined;
  emit: (event: NetworkEvent) => void;
  filesChanged: (change: FilesChange) => void;
}

/** Containers' namespaces: what of the world they see, and how the world sees them. */
export class Sandboxes {
  readonly byContainer = new Map<string, Sandbox>();

  constructor(private readonly parts: SandboxParts) {}

  /** Allocates everything a container needs; nothing is left where it throws. */
  async prepare(request: SandboxRequest): Promise<PreparedSandbox> {
    if (this.byContainer.has(request.containerId)) await this.release(request.containerId);
    const sandbox = newSandbox(request, this.parts.networks);
    this.byContainer.set(sandbox.containerId, sandbox);
    try {
      for (const [network, settings] of this.wantedNetworks(sandbox, request)) {
        await this.parts.endpoints.create(sandbox, network, settings);
      }
      // A namespace that others still share may answer for an address that it no longer has.
      if (sandbox.endpoints.some((endpoint) => endpoint.announce)) await this.parts.host.sweep();
      if (sandbox.mode === "network") {
        const bindings = request.publishAll
          ? this.parts.publisher.withExposed(request.portBindings, request.exposedPorts)
          : request.portBindings;
        sandbox.ports = this.parts.publisher.allocate(sandbox, bindings);
      }
      sandbox.resolvConf = this.parts.names.resolvConf(sandbox).text;
      this.parts.store.saveSandbox(sandbox);
      return { hosts: this.parts.names.hosts(sandbox), resolvConf: sandbox.resolvConf };
    } catch (error) {
      await this.release(sandbox.containerId).catch(() => {});
      throw error;
    }
  }

  /** Makes the interfaces in the namespace of `pid` and opens the ports. */
  async plumb(containerId: string, pid: number): Promise<void> {
    const sandbox = this.get(containerId);
    sandbox.pid = pid;
    if (sandbox.mode === "host" || sandbox.mode === "container") {
      this.parts.store.saveSandbox(sandbox);
      this.announce(sandbox);
      return;
    }
    const namespace = Namespace.of(pid);
    if (namespace === null) throw systemError(`the container's process ${pid} is gone`);
    try {
      if (sandbox.mode === "none") namespace.loopbackUp();
      else {
        const names = new Set(sandbox.endpoints.map((endpoint) => wantedInterfaceName(endpoint.settings)));
        for (const endpoint of sandbox.endpoints) {
          const name = wantedInterfaceName(endpoint.settings) || freeName(names, this.prefixOf(endpoint));
          names.add(name);
          await this.attach(endpoint, namespace, name);
        }
        namespace.configure(sandbox.endpoints, this.gateways(sandbox));
        for (const endpoint of sandbox.endpoints) await this.ready(endpoint);
        await this.parts.publisher.settle(sandbox);
        this.parts.publisher.apply(sandbox);
        this.parts.publisher.greet(sandbox.ports);
        this.parts.links.settle();
        await this.parts.names.start(sandbox, namespace.fd);
        await namespace.settled(sandbox.endpoints);
      }
    } finally {
      namespace.close();
    }
    // Released while a driver or the resolver was being waited for.
    if (this.byContainer.get(containerId) !== sandbox) throw systemError(`container ${containerId} was released`);
    this.parts.store.saveSandbox(sandbox);
    this.announce(sandbox);
  }

  /** Gives everything of a container back, also where a step fails; what failed first is thrown then. Idempotent. */
  async release(containerId: string): Promise<void> {
    const sandbox = this.byContainer.get(containerId);
    if (sandbox === undefined) return;
    this.byContainer.delete(containerId);
    let failure: unknown;
    try {
      this.parts.publisher.withdraw(sandbox);
    } catch (error) {
      failure = error;
    }
    for (const endpoint of sandbox.endpoints) {
      this.parts.resolver?.removeEndpoint(containerId, endpoint.networkId);
      this.parts.host.deleteLinksLater(await this.parts.endpoints.destroy(endpoint));
      if (sandbox.pid !== 0) this.emit("disconnect", endpoint);
    }
    if (this.parts.names.usesResolver(sandbox)) await this.parts.resolver?.removeSandbox(containerId);
    for (const step of [() => this.parts.store.dropSandbox(containerId), () => this.parts.links.settle()]) {
      try {
        step();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Throws where no container can have such an endpoint. */
  checkEndpoint(network: NetworkRecord, settings: EndpointSettings): void {
    this.parts.endpoints.check(network, settings);
  }

  /** Joins a container to one more network; where it does not run, only says whether it could. */
  async connect(containerId: string, network: NetworkRecord, settings: EndpointSettings): Promise<void> {
    const sandbox = this.byContainer.get(containerId);
    if (sandbox === undefined || sandbox.pid === 0) {
      this.parts.endpoints.check(network, settings);
      return;
    }
    const hosts = this.parts.names.hosts(sandbox);
    const endpoint = await this.parts.endpoints.create(sandbox, network, settings);
    const { mode } = sandbox;
    if (mode === "none") sandbox.mode = "network";
    let namespace: Namespace | null = null;
    try {
      namespace = Namespace.of(sandbox.pid);
      if (namespace === null) throw systemError(`container ${containerId} is not running`);
      const name = wantedInterfaceName(settings) || freeName(namespace.names(), this.prefixOf(endpoint));
      await this.attach(endpoint, namespace, name);
      namespace.configure([endpoint]);
      await this.ready(endpoint);
      namespace.setGateways(this.gateways(sandbox));
      this.parts.publisher.apply(sandbox);
      await this.parts.names.start(sandbox, namespace.fd, true);
      await namespace.settled([endpoint]);
    } catch (error) {
      sandbox.mode = mode;
      sandbox.endpoints = sandbox.endpoints.filter((one) => one !== endpoint);
      this.parts.resolver?.removeEndpoint(containerId, network.id);
      if (endpoint.interfaceName !== "") namespace?.deleteLink(endpoint.interfaceName);
      this.parts.host.deleteLinksLater(await this.parts.endpoints.destroy(endpoint), 0);
      this.parts.publisher.apply(sandbox);
      throw error;
    } finally {
      namespace?.close();
    }
    this.renew(sandbox, hosts);
    this.emit("connect", endpoint);
  }

  async disconnect(containerId: string, network: NetworkRecord, force: boolean): Promise<void> {
    const sandbox = this.byContainer.get(containerId);
    const endpoint = sandbox?.endpoints.find((one) => one.networkId === network.id);
    if (sandbox === undefined || endpoint === undefined) {
      if (force) return;
      throw notFound(`container ${containerId} is not connected to network ${network.name}`);
    }
    const hosts = this.parts.names.hosts(sandbox);
    sandbox.endpoints = sandbox.endpoints.filter((one) => one !== endpoint);
    this.parts.resolver?.removeEndpoint(containerId, network.id);
    // A daemon that is killed from here on finds a link that is nobody's, and takes it away.
    this.parts.store.saveSandbox(sandbox);
    const left = await this.parts.endpoints.destroy(endpoint);
    this.parts.publisher.apply(sandbox);
    const namespace = sandbox.pid === 0 ? null : Namespace.of(sandbox.pid);
    try {
      // Out of the container's sight at once; the pair itself is deleted by another thread.
      if (left.length > 0) await this.parts.host.deleteNow(left);
      else if (endpoint.interfaceName !== "") namespace?.deleteLink(endpoint.interfaceName);
      namespace?.setGateways(this.gateways(sandbox));
    } finally {
      namespace?.close();
    }
    this.renew(sandbox, hosts);
    this.emit("disconnect", endpoint);
  }

  /** Adds and removes published ports of a running container. */
  async publish(
    containerId: string,
    add: Record<string, PortBinding[]>,
    remove: Record<string, PortBinding[]>,
  ): Promise<void> {
    const sandbox = this.get(containerId);
    const { publisher } = this.parts;
    const gone = publisher.matching(sandbox, remove);
    const before = sandbox.ports;
    const rest = before.filter((port) => !gone.includes(port));
    publisher.allocator.release(gone);
    let added: PublishedPort[];
    try {
      added = publisher.allocate(sandbox, add);
    } catch (error) {
      publisher.allocator.adopt(gone);
      throw error;
    }
    sandbox.ports = rest;
    if (gone.length > 0) {
      publisher.apply(sandbox);
      await publisher.forget(sandbox, gone);
    }
    sandbox.ports = [...rest, ...added];
    await publisher.settle(sandbox);
    publisher.apply(sandbox);
    publisher.greet(sandbox.ports.filter((port) => !rest.includes(port)));
    this.parts.store.saveSandbox(sandbox);
  }

  rename(containerId: string, name: string): void {
    const sandbox = this.byContainer.get(containerId);
    if (sandbox === undefined) return;
    sandbox.name = name;
    this.parts.store.saveSandbox(sandbox);
    for (const endpoint of sandbox.endpoints) this.parts.names.register(sandbox, endpoint);
  }

  /** Takes a sandbox over that outlived the daemon. */
  async adopt(sandbox: Sandbox, pid: number): Promise<void> {
    sandbox.pid = pid;
    this.byContainer.set(sandbox.containerId, sandbox);
    for (const endpoint of sandbox.endpoints) {
      const network = this.parts.networks.get(endpoint.networkId);
      // A plugin's books are its own, and it may not be up.
      if (network.ipam.driver !== "default") continue;
      for (const address of [endpoint.ipv4, endpoint.ipv6]) {
        if (address !== "") this.parts.networks.ipam(network).adopt(network, address);
      }
    }
    this.parts.publisher.allocator.adopt(sandbox.ports);
    await this.parts.publisher.settle(sandbox);
    this.parts.publisher.stage(sandbox);
    this.parts.links.stage();
  }

  /** Gives back what a sandbox had that did not outlive the daemon; plugins have kept it. Returns the links that are left to delete. */
  async abandon(sandbox: Sandbox): Promise<string[]> {
    const left: string[] = [];
    for (const endpoint of sandbox.endpoints) left.push(...(await this.parts.endpoints.destroy(endpoint)));
    this.parts.store.dropSandbox(sandbox.containerId);
    return left;
  }

  /** Tells the resolver about an adopted sandbox. */
  async resume(sandbox: Sandbox): Promise<void> {
    const namespace = this.parts.names.usesResolver(sandbox) ? Namespace.of(sandbox.pid) : null;
    if (namespace === null) return;
    try {
      await this.parts.names.start(sandbox, namespace.fd);
    } finally {
      namespace.close();
    }
  }

  /** Writes the sandbox down, and lets its files follow; `hosts` is what /etc/hosts was before. */
  private renew(sandbox: Sandbox, hosts: string): void {
    const before = sandbox.resolvConf ?? "";
    sandbox.resolvConf = this.parts.names.resolvConf(sandbox).text;
    this.parts.store.saveSandbox(sandbox);
    if (sandbox.pid === 0) return;
    this.parts.filesChanged({
      containerId: sandbox.containerId,
      hosts: { before: hosts, text: this.parts.names.hosts(sandbox) },
      resolvConf: { before, text: sandbox.resolvConf },
    });
  }

  get(containerId: string): Sandbox {
    const sandbox = this.byContainer.get(containerId);
    if (sandbox === undefined) throw notFound(`container ${containerId} has no network`);
    return sandbox;
  }

  private async attach(endpoint: Endpoint, namespace: Namespace, interfaceName: string): Promise<void> {
    const network = this.parts.networks.get(endpoint.networkId);
    endpoint.interfaceName = interfaceName;
    await this.parts.networks.driver(network).attach(network, endpoint, namespace.fd);
  }

  private ready(endpoint: Endpoint): void | Promise<void> {
    const network = this.parts.networks.get(endpoint.networkId);
    return this.parts.networks.driver(network).ready?.(network, endpoint);
  }

  private prefixOf(endpoint: Endpoint): string {
    const network = this.parts.networks.get(endpoint.networkId);
    return network.options["com.docker.network.container_iface_prefix"] || "eth";
  }

  private gateways(sandbox: Sandbox) {
    return chooseGateways(sandbox, (id) => this.parts.networks.get(id).name);
  }

  /** The networks a request means, that of the network mode first. */
  private wantedNetworks(sandbox: Sandbox, request: SandboxRequest): Map<NetworkRecord, EndpointSettings> {
    const out = new Map<NetworkRecord, EndpointSettings>();
    const { networks } = this.parts;
    if (sandbox.mode === "container" || request.unconnected === true) return out;
    const first = networks.resolve(
      request.networkMode === "default" || request.networkMode === "" ? "bridge" : request.networkMode,
    );
    out.set(first, {});
    for (const [name, settings] of Object.entries(request.endpoints)) {
      const network = networks.resolve(name === "default" ? "bridge" : name);
      if (sandbox.mode === "network" || network === first) out.set(network, settings ?? {});
    }
    return out;
  }

  private announce(sandbox: Sandbox): void {
    for (const endpoint of sandbox.endpoints) this.emit("connect", endpoint);
  }

  private emit(action: NetworkEvent["action"], endpoint: Endpoint): void {
    const network = this.parts.networks.find(endpoint.networkId);
    if (network === undefined) return;
    this.parts.emit({
      action,
      networkId: network.id,
      networkName: network.name,
      networkType: network.driver,
      containerId: endpoint.containerId,
    });
  }
}

/** The first free name "eth0", "eth1", … (or with another prefix). */
function freeName(taken: Set<string>, prefix: string): string {
  for (let i = 0; ; i++) if (!taken.has(`${prefix}${i}`)) return `${prefix}${i}`;
}

function newSandbox(request: SandboxRequest, networks: Networks): Sandbox {
  return {
    containerId: request.containerId,
    name: request.containerName,
    hostname: request.hostname,
    domainname: request.domainname,
    mode: request.unconnected === true ? "none" : modeOf(request.networkMode, networks),
    pid: 0,
    endpoints: [],
    ports: [],
    exposed: request.exposedPorts,
    dns: request.dns,
    dnsSearch: request.dnsSearch,
    dnsOptions: request.dnsOptions,
    extraHosts: request.extraHosts,
    links: request.links,
    sysctls: request.sysctls,
  };
}

function modeOf(name: string, networks: Networks): Sandbox["mode"] {
  if (name.startsWith("container:")) return "container";
  const network = networks.resolve(name === "default" || name === "" ? "bridge" : name);
  if (network.driver === "host") return "host";
  return network.driver === "null" ? "none" : "network";
}
