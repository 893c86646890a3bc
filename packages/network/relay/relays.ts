import type { PublishedPort } from "../model.ts";
import { Relay } from "./relay.ts";
import { UdpRelays } from "./udp.ts";

/** Where a relayed port leads at this moment; asked for each connection, since a container's way out may change. */
export type Target = () => { address: string; port: number } | undefined;

/** The relays for both protocols, and what is behind each relayed port. */
export class Relays {
  private readonly targets = new Map<string, Target>();
  private readonly tcp = new Relay((address, port) => this.find("tcp", address, port));
  private readonly udp = new UdpRelays((address, port) => this.find("udp", address, port));

  start(): void {
    this.tcp.start();
  }

  /** Whether the host has IPv6 to relay from. */
  get running(): boolean {
    return this.tcp.port !== 0;
  }

  /** Opens what published ports need before the firewall can lead to it: UDP takes a socket for each. */
  async open(ports: PublishedPort[]): Promise<void> {
    if (!this.running) return;
    for (const port of ports) {
      if (port.protocol === "udp" && port.hostIp.includes(":") && port.hostPort !== 0)
        await this.udp.open(port.hostIp, port.hostPort);
    }
  }

  /** The relay's port for a published one, 0 where it cannot be relayed; `target` is asked from then on. */
  claim(port: PublishedPort, target: Target): number {
    if (port.protocol === "sctp") return 0;
    const relay = port.protocol === "tcp" ? this.tcp.port : this.udp.port(port.hostIp, port.hostPort);
    if (relay !== 0) this.targets.set(keyOf(port.protocol, port.hostIp, port.hostPort), target);
    return relay;
  }

  release(ports: PublishedPort[]): void {
    for (const port of ports) {
      if (!port.hostIp.includes(":")) continue;
      this.targets.delete(keyOf(port.protocol, port.hostIp, port.hostPort));
      if (port.protocol === "udp") this.udp.close(port.hostIp, port.hostPort);
    }
  }

  stop(): void {
    this.tcp.stop();
    this.udp.stop();
    this.targets.clear();
  }

  private find(protocol: string, address: string, port: number): { address: string; port: number } | undefined {
    const target = this.targets.get(keyOf(protocol, address, port)) ?? this.targets.get(keyOf(protocol, "::", port));
    return target?.();
  }
}

const keyOf = (protocol: string, address: string, port: number) => `${protocol}/${address}/${port}`;
