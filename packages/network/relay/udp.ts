import type { Lookup } from "./relay.ts";

/** Each takes a descriptor, and one more for each client. */
const RELAYS_AT_MOST = 512;
const CLIENTS_AT_MOST = 1024;
const IDLE_MS = 90_000;
const WAITING_AT_MOST = 16;

type Socket = Bun.udp.Socket<"buffer">;
type Upstream = Bun.udp.ConnectedSocket<"buffer">;

interface Client {
  upstream: Upstream | undefined;
  waiting: Uint8Array[];
  seen: number;
}

/** One published UDP port of the host and those who talk to it. */
class UdpRelay {
  private readonly clients = new Map<string, Client>();
  private constructor(
    private readonly socket: Socket,
    private readonly target: () => { address: string; port: number } | undefined,
  ) {}

  static async open(target: () => { address: string; port: number } | undefined): Promise<UdpRelay> {
    let relay: UdpRelay | undefined;
    const socket = await Bun.udpSocket({
      hostname: "::",
      port: 0,
      socket: {
        data: (_socket, data, port, address) => relay?.forward(data, port, address),
        error() {},
      },
    });
    socket.unref();
    relay = new UdpRelay(socket, target);
    return relay;
  }

  get port(): number {
    return this.socket.port;
  }

  /** Lets go of clients that have been silent. */
  sweep(now: number): void {
    for (const [key, client] of this.clients) {
      if (now - client.seen < IDLE_MS) continue;
      this.clients.delete(key);
      client.upstream?.close();
    }
  }

  close(): void {
    this.sweep(Number.POSITIVE_INFINITY);
    this.socket.close();
  }

  private forward(data: Uint8Array, port: number, address: string): void {
    const key = `${address} ${port}`;
    let client = this.clients.get(key);
    if (client === undefined) {
      if (this.clients.size >= CLIENTS_AT_MOST) return;
      client = { upstream: undefined, waiting: [], seen: 0 };
      this.clients.set(key, client);
      void this.connect(key, client, port, address);
    }
    client.seen = performance.now();
    if (client.upstream !== undefined) client.upstream.send(data);
    else if (client.waiting.length < WAITING_AT_MOST) client.waiting.push(data.slice());
  }

  private async connect(key: string, client: Client, port: number, address: string): Promise<void> {
    const target = this.target();
    try {
      if (target === undefined) throw new Error("nobody has the port");
      const upstream = await Bun.udpSocket({
        hostname: target.address.includes(":") ? "::" : "0.0.0.0",
        connect: { hostname: target.address, port: target.port },
        socket: {
          data: (_socket, answer) => {
            client.seen = performance.now();
            this.socket.send(answer, port, address);
          },
          error() {},
        },
      });
      upstream.unref();
      if (this.clients.get(key) !== client) return upstream.close();
      client.upstream = upstream;
      for (const data of client.waiting.splice(0)) upstream.send(data);
    } catch {
      this.clients.delete(key);
    }
  }
}

/**
 * Carries IPv6 datagrams that the kernel cannot translate, as `Relay` does connections. A datagram does not tell where it was to go, so
 * each published port has a socket of its own.
 */
export class UdpRelays {
  private readonly relays = new Map<string, UdpRelay>();
  private timer: Timer | undefined;

  constructor(private readonly lookup: Lookup) {}

  /** The relay's port for a published one; 0 where there is none. */
  port(hostIp: string, hostPort: number): number {
    return this.relays.get(`${hostIp} ${hostPort}`)?.port ?? 0;
  }

  /** Opens a relay for a published port, where there is room and IPv6. */
  async open(hostIp: string, hostPort: number): Promise<void> {
    const key = `${hostIp} ${hostPort}`;
    if (this.relays.has(key) || this.relays.size >= RELAYS_AT_MOST) return;
    try {
      const relay = await UdpRelay.open(() => this.lookup(hostIp, hostPort));
      if (this.relays.has(key)) relay.close();
      else this.relays.set(key, relay);
    } catch {
      return;
    }
    this.timer ??= setInterval(() => {
      for (const relay of this.relays.values()) relay.sweep(performance.now());
    }, IDLE_MS / 3);
    this.timer.unref();
  }

  close(hostIp: string, hostPort: number): void {
    const key = `${hostIp} ${hostPort}`;
    this.relays.get(key)?.close();
    this.relays.delete(key);
    if (this.relays.size > 0 || this.timer === undefined) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  stop(): void {
    if (this.timer !== undefined) clearInterval(this.timer);
    for (const relay of this.relays.values()) relay.close();
    this.relays.clear();
  }
}
