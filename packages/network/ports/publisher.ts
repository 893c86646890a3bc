import { existsSync } from "node:fs";
import { conflict, type PortBinding, systemError } from "@gantry/spec";
import type { ConntrackMatch, SetElement } from "@gantry/sys";
import { gatewayMode, hostBinding, trustedInterfaces } from "../drivers/bridge.ts";
import type { ConnectionSweeper } from "../firewall/connections.ts";
import { elementKey, openElement, portElement, relayElement } from "../firewall/elements.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { chooseGateways } from "../gateways.ts";
import { bare, type Endpoint, type PublishedPort, type Sandbox } from "../model.ts";
import type { Networks } from "../networks.ts";
import type { Relays } from "../relay/relays.ts";
import type { PortAllocator } from "./allocator.ts";
import { type PortWish, parsePort, portWishes } from "./bindings.ts";

/** What the daemon's options say of published ports. */
export interface PublishOptions {
  /** Where ports are published that ask for no address; empty for all. */
  defaultIp: string;
  /** Whether the firewall leads IPv6 to containers; else the relay does. */
  translates6: boolean;
  /** Whether published ports are open under containers' own addresses too. */
  direct: boolean;
}

/** Publishes containers' ports: holds them on the host and leads them to wherever the container's way out is. */
export class Publisher {
  private readonly elements = new Map<string, SetElement[]>();

  constructor(
    private readonly networks: Networks,
    private readonly firewall: Firewall,
    private readonly connections: ConnectionSweeper,
    readonly allocator: PortAllocator,
    private readonly relays: Relays,
    private readonly options: PublishOptions,
  ) {}

  /** Allocates ports of the host for the bindings. Throws GantryError in Docker's words, with nothing kept. */
  allocate(sandbox: Sandbox, bindings: Record<string, PortBinding[]>): PublishedPort[] {
    const { v4, v6 } = this.gateways(sandbox);
    if (v4 === undefined && v6 === undefined) return [];
    const wishes = portWishes(bindings, this.defaultIps(v4, v6));
    if (wishes.length === 0) return [];
    const target = (wish: PortWish) => {
      const address = bare((wish.hostIp.includes(":") ? v6?.ipv6 : v4?.ipv4) ?? v4?.ipv4 ?? v6!.ipv6);
      const shown = address.includes(":") ? `[${address}]` : address;
      return `${shown}:${wish.containerPort}/${wish.protocol}`;
    };
    // In routed mode nothing is translated, and no port of the host taken.
    const direct = (wish: PortWish) => {
      const endpoint = wish.hostIp.includes(":") ? v6 : v4;
      return endpoint !== undefined && this.isRouted(endpoint, wish.hostIp);
    };
    try {
      const allocated = this.allocator.allocate(
        wishes.filter((wish) => !direct(wish)),
        target,
      );
      return wishes.map((wish) =>
        direct(wish)
          ? { protocol: wish.protocol, containerPort: wish.containerPort, hostIp: wish.hostIp, hostPort: 0 }
          : allocated.shift()!,
      );
    } catch (error) {
      const endpoint = (v4 ?? v6)!;
      const where = `driver failed programming external connectivity on endpoint ${sandbox.name} (${endpoint.id})`;
      throw systemError(`${where}: ${(error as Error).message}`, error);
    }
  }

  /** Every exposed port that has no binding gets one for a random port (`--publish-all`). */
  withExposed(bindings: Record<string, PortBinding[]>, exposed: string[]): Record<string, PortBinding[]> {
    const out = { ...bindings };
    for (const key of exposed) {
      const { port, protocol } = parsePort(key);
      const full = `${port}/${protocol}`;
      if ((out[full] ?? []).length === 0) out[full] = [{ HostIp: "", HostPort: "" }];
    }
    return out;
  }

  /** UDP senders from before a port was published are remembered as the host's own guests; they are to be led anew. */
  greet(ports: PublishedPort[]): void {
    this.connections.later(ports.filter((port) => port.protocol === "udp").map((port) => flow(port, "")));
  }

  /** Makes the firewall hold exactly what the sandbox's ports and endpoints now imply. One transaction. */
  apply(sandbox: Sandbox): void {
    const wanted = this.elementsOf(sandbox);
    const present = this.elements.get(sandbox.containerId) ?? [];
    if (wanted.length > 0) this.elements.set(sandbox.containerId, wanted);
    else this.elements.delete(sandbox.containerId);
    if (present.length === 0) return this.firewall.changePorts(wanted, []);
    const before = new Map(present.map((one) => [identity(one), one]));
    const add = wanted.filter((one) => !before.delete(identity(one)));
    this.firewall.changePorts(add, [...before.values()]);
  }

  /** As `apply` without writing, for the rebuild that follows. */
  stage(sandbox: Sandbox): void {
    const wanted = this.elementsOf(sandbox);
    if (wanted.length > 0) this.elements.set(sandbox.containerId, wanted);
    this.firewall.stage([], wanted);
  }

  /** Closes all ports of a container and gives them back. */
  withdraw(sandbox: Sandbox): void {
    const present = this.elements.get(sandbox.containerId) ?? [];
    this.elements.delete(sandbox.containerId);
    this.relays.release(sandbox.ports);
    const used = this.firewall.wereUsed(present);
    try {
      this.firewall.changePorts([], present);
    } finally {
      this.allocator.release(sandbox.ports);
      if (used) {
        const addresses = sandbox.endpoints.flatMap((endpoint) => [endpoint.ipv4, endpoint.ipv6]);
        this.connections.later(
          addresses
            .filter((address) => address !== "")
            .map((address) => ({ to: bare(address), family: familyOf(address) })),
        );
      }
    }
  }

  /** Ends connections through these ports, which `sandbox` no longer has, and waits for it: the ports may lead somewhere else then. */
  async forget(sandbox: Sandbox, ports: PublishedPort[]): Promise<void> {
    this.relays.release(ports);
    const { v4, v6 } = this.gateways(sandbox);
    this.connections.later(
      ports.flatMap((port) => {
        const address = port.hostIp.includes(":") ? v6?.ipv6 : v4?.ipv4;
        return address ? [flow(port, bare(address))] : [];
      }),
    );
    await this.connections.now();
  }

  /** To be awaited before `apply` or `stage`: opens relays, and lets connections be forgotten that new ones could be taken for. */
  async settle(sandbox: Sandbox): Promise<void> {
    await this.relays.open(sandbox.ports);
    const addresses = sandbox.endpoints.flatMap((endpoint) => [endpoint.ipv4, endpoint.ipv6]);
    await this.connections.settle(addresses.map(bare));
  }

  /** The published ports that a removal names; bindings without a port mean all of that container port. */
  matching(sandbox: Sandbox, remove: Record<string, PortBinding[]>): PublishedPort[] {
    const out: PublishedPort[] = [];
    for (const [key, list] of Object.entries(remove)) {
      const { port, protocol } = parsePort(key);
      const mine = sandbox.ports.filter((one) => one.containerPort === port && one.protocol === protocol);
      const wishes = list.length === 0 ? [{}] : list;
      for (const wish of wishes as PortBinding[]) {
        const found = mine.filter(
          (one) =>
            (!wish.HostPort || one.hostPort === 0 || Number(wish.HostPort) === one.hostPort) &&
            (!wish.HostIp || wish.HostIp === one.hostIp),
        );
        if (found.length === 0) throw conflict(`port ${key} is not published as asked`);
        out.push(...found);
      }
    }
    return [...new Set(out)];
  }

  private gateways(sandbox: Sandbox): { v4: Endpoint | undefined; v6: Endpoint | undefined } {
    const chosen = chooseGateways(sandbox, (id) => this.networks.get(id).name);
    // Only bridge networks have the host between them and the world.
    const publishes = (endpoint: Endpoint | undefined) =>
      endpoint !== undefined && this.networks.get(endpoint.networkId).driver === "bridge" ? endpoint : undefined;
    return { v4: publishes(chosen.v4), v6: publishes(chosen.v6) };
  }

  private defaultIps(v4: Endpoint | undefined, v6: Endpoint | undefined): string[] {
    const network = this.networks.get((v4 ?? v6)!.networkId);
    const binding = hostBinding(network) || this.options.defaultIp;
    if (binding !== "" && binding !== "0.0.0.0") return [binding];
    const out: string[] = [];
    if (v4 !== undefined) out.push("0.0.0.0");
    if ((v6 !== undefined || this.relays.running) && existsSync("/proc/net/if_inet6")) out.push("::");
    return out;
  }

  private isRouted(endpoint: Endpoint, hostIp: string): boolean {
    const mode = gatewayMode(this.networks.get(endpoint.networkId), hostIp.includes(":") ? 6 : 4);
    return mode === "routed" || mode === "isolated";
  }

  private relayTarget(sandbox: Sandbox, port: PublishedPort): { address: string; port: number } | undefined {
    const { v4, v6 } = this.gateways(sandbox);
    const address = v6?.ipv6 || v4?.ipv4;
    return address ? { address: bare(address), port: port.containerPort } : undefined;
  }

  private elementsOf(sandbox: Sandbox): SetElement[] {
    if (sandbox.ports.length === 0) return [];
    const { v4, v6 } = this.gateways(sandbox);
    const out: SetElement[] = [];
    const opened = new Set<string>();
    const { translates6, direct } = this.options;
    for (const port of sandbox.ports) {
      const six = port.hostIp.includes(":");
      const endpoint = six ? v6 : v4;
      const translated = endpoint !== undefined && (!six || translates6);
      const routed = endpoint !== undefined && this.isRouted(endpoint, port.hostIp);
      if (translated) {
        const address = bare(six ? endpoint.ipv6 : endpoint.ipv4);
        const once = `${address} ${port.protocol} ${port.containerPort}`;
        const open = routed || direct || trustedInterfaces(this.networks.get(endpoint.networkId)).length > 0;
        if (open && !opened.has(once)) out.push(openElement(address, port.protocol, port.containerPort));
        opened.add(once);
        if (!routed && port.hostPort !== 0) {
          out.push(portElement({ ...port, target: { address, port: port.containerPort } }));
        }
      }
      if (!six || routed || port.hostPort === 0) continue;
      // ::1 cannot be translated by the kernel (there is no route_localnet for IPv6): the relay takes it.
      if (translated && !/^(?:::|::1)$/.test(port.hostIp)) continue;
      const relay = this.relays.claim(port, () => this.relayTarget(sandbox, port));
      if (relay === 0) continue;
      out.push(portElement({ ...port, target: { proxy: relay } }));
      // A TCP connection to the relay itself is known by its destination; a datagram is not.
      if (port.protocol === "udp") out.push(relayElement(relay));
    }
    return out;
  }
}

const NUMBER = { tcp: 6, udp: 17, sctp: 132 };

function flow(port: PublishedPort, to: string): ConntrackMatch {
  return {
    to,
    family: familyOf(port.hostIp),
    flows: [{ protocol: NUMBER[port.protocol], port: port.hostPort || port.containerPort }],
  };
}

const familyOf = (address: string) => (address.includes(":") ? 6 : 4);

/** Tells elements apart by what they are and what they lead to. */
const identity = (element: SetElement) => `${elementKey(element)}=${element.data}`;
