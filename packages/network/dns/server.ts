import { close, EPOLL, Epoll, errno, libc, MSG, SOCK } from "@gantry/sys";
import { type Client, Forwarder, type ForwardLimits, type Upstream } from "./forward.ts";
import {
  type Answer,
  addressBytes,
  buildResponse,
  errorResponse,
  parseQuery,
  type Query,
  Rcode,
  reverseKey,
  Type,
  UDP_SIZE,
  writeName,
} from "./message.ts";
import { Records } from "./records.ts";

/** What a container's resolver is told about it, and may be told anew. */
export interface SandboxChange {
  containerId: string;
  /** Upstream servers, asked in this order. Empty: nothing is forwarded. */
  upstreams: { address: string; fromHost: boolean }[];
  /** The container's network namespace, for upstreams that are asked from there, else -1; owned by the server. */
  netns: number;
  /** The user set ndots: single-label names that are unknown are not forwarded (the client retries with its domain). */
  ndotsSet: boolean;
}

export interface SandboxConfig extends SandboxChange {
  /** Bound UDP and listening TCP socket inside the container's network namespace; non-blocking, owned by the server. */
  udp: number;
  tcp: number;
}

interface Sandbox {
  id: string;
  udp: number;
  tcp: number;
  netns: number;
  upstreams: Upstream[];
  ndotsSet: boolean;
  connections: Set<TcpConnection>;
}

interface TcpConnection {
  fd: number;
  sandbox: Sandbox;
  input: Uint8Array;
  output: Uint8Array[];
  deadline: number;
  closed: boolean;
}

const MAX_CONNECTIONS = 64;
const TCP_IDLE_MS = 10_000;
/** Packets taken from one socket before others get their turn. */
const BURST = 64;

/**
 * The resolver of all containers: one loop over their sockets. It blocks in `turn`, so it belongs on a thread of its
 * own. Queries about containers are answered from `records`; others go to the container's upstreams.
 */
export class DnsServer {
  readonly records = new Records();
  readonly #epoll = new Epoll(512);
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #handlers = new Map<number, (events: number) => void>();
  readonly #connections = new Set<TcpConnection>();
  readonly #forwarder: Forwarder;
  #news: (() => void) | undefined;
  readonly #packet = new Uint8Array(65536);
  readonly #peer = new Uint8Array(28);
  readonly #peerLength = new Uint32Array(1);

  constructor(limits: Partial<ForwardLimits> = {}) {
    this.#forwarder = new Forwarder(this, limits);
  }

  /** Watches a descriptor in the loop. */
  watch(fd: number, events: number, handler: (events: number) => void): void {
    this.#epoll.add(fd, events);
    this.#handlers.set(fd, handler);
  }

  /**
   * As `watch`, for where the loop is told what to answer. It is read before each answer: who asks after something was told must not get
   * an answer from before, and the order in which the kernel lists what is ready does not promise that.
   */
  watchNews(fd: number, handler: () => void): void {
    this.watch(fd, EPOLL.IN, handler);
    this.#news = handler;
  }

  rewatch(fd: number, events: number): void {
    this.#epoll.modify(fd, events);
  }

  /** Stops watching and closes. */
  unwatch(fd: number): void {
    if (!this.#handlers.delete(fd)) return;
    this.#epoll.remove(fd);
    close(fd);
  }

  addSandbox(config: SandboxConfig): void {
    this.removeSandbox(config.containerId);
    const sandbox: Sandbox = {
      id: config.containerId,
      udp: config.udp,
      tcp: config.tcp,
      netns: config.netns,
      upstreams: upstreamsOf(config.upstreams, config.netns),
      ndotsSet: config.ndotsSet,
      connections: new Set(),
    };
    this.#sandboxes.set(sandbox.id, sandbox);
    this.watch(sandbox.udp, EPOLL.IN, () => this.#readDatagrams(sandbox));
    this.watch(sandbox.tcp, EPOLL.IN, () => this.#accept(sandbox));
  }

  /** The sandbox goes on with other upstreams; those that are asked just now may still answer. */
  changeSandbox({ containerId, upstreams, netns, ndotsSet }: SandboxChange): void {
    const sandbox = this.#sandboxes.get(containerId);
    // It is the same namespace as ever, which what is under way may be using.
    if (netns >= 0 && (!sandbox || sandbox.netns >= 0)) close(netns);
    else if (netns >= 0 && sandbox) sandbox.netns = netns;
    if (!sandbox) return;
    sandbox.upstreams = upstreamsOf(upstreams, sandbox.netns);
    sandbox.ndotsSet = ndotsSet;
  }

  removeSandbox(containerId: string): void {
    const sandbox = this.#sandboxes.get(containerId);
    if (!sandbox) return;
    this.#sandboxes.delete(containerId);
    this.#forwarder.forget(containerId);
    for (const connection of sandbox.connections) this.#closeConnection(connection);
    this.unwatch(sandbox.udp);
    this.unwatch(sandbox.tcp);
    if (sandbox.netns >= 0) close(sandbox.netns);
  }

  /** Waits for work, at most `maxWaitMs`, and does it. */
  turn(maxWaitMs: number): void {
    const now = performance.now();
    const next = Math.min(this.#forwarder.nextDeadline(), ...[...this.#connections].slice(0, 1).map((c) => c.deadline));
    const wait = Math.max(0, Math.min(maxWaitMs, Math.ceil(next - now)));
    this.#epoll.wait(wait, (fd, events) => this.#handlers.get(fd)?.(events));
    const after = performance.now();
    this.#forwarder.expire(after);
    for (const connection of this.#connections) {
      // Insertion order is deadline order: an active connection is put at the end.
      if (connection.deadline > after) break;
      this.#closeConnection(connection);
    }
  }

  close(): void {
    for (const id of [...this.#sandboxes.keys()]) this.removeSandbox(id);
    this.#forwarder.close();
    this.#epoll.close();
  }

  #readDatagrams(sandbox: Sandbox): void {
    for (let i = 0; i < BURST; i++) {
      this.#peerLength[0] = this.#peer.length;
      const n = Number(
        libc.recvfrom(sandbox.udp, this.#packet, this.#packet.length, MSG.DONTWAIT, this.#peer, this.#peerLength),
      );
      if (n < 0) return;
      const packet = this.#packet.subarray(0, n);
      const answer = this.#answer(sandbox, packet, true);
      if (this.#sandboxes.get(sandbox.id) !== sandbox) return;
      if (answer === null) continue;
      if (answer === "forward") {
        const peer = this.#peer.slice(0, this.#peerLength[0]);
        this.#forwarder.forward(packet.slice(), sandbox.id, sandbox.upstreams, {
          tcp: false,
          reply: (response) => {
            if (this.#sandboxes.get(sandbox.id) === sandbox) this.#sendTo(sandbox.udp, response, peer, peer.length);
          },
        });
        continue;
      }
      this.#sendTo(sandbox.udp, answer, this.#peer, this.#peerLength[0]!);
    }
  }

  #sendTo(fd: number, data: Uint8Array, peer: Uint8Array, length: number): void {
    // A full socket buffer loses the answer, as UDP may; the client asks again.
    libc.sendto(fd, data, data.length, MSG.DONTWAIT | MSG.NOSIGNAL, peer, length);
  }

  /** What to answer; the sandbox may be gone afterwards. */
  #answer(sandbox: Sandbox, packet: Uint8Array, udp: boolean): Uint8Array | "forward" | null {
    this.#news?.();
    const query = parseQuery(packet);
    if (query === null) return null;
    if ("rcode" in query) return errorResponse(packet, query.rcode);
    const limit = udp ? (query.edns ? query.udpSize : UDP_SIZE) : 65535;
    const found = query.class === 1 ? this.#lookup(sandbox, query) : null;
    if (found) return buildResponse(packet, query, Rcode.ok, found, limit);
    const single = !query.name.includes(".");
    if (sandbox.ndotsSet && single && (query.type === Type.A || query.type === Type.AAAA)) {
      return buildResponse(packet, query, Rcode.serverFailure, [], limit);
    }
    if (sandbox.upstreams.length === 0) return buildResponse(packet, query, Rcode.serverFailure, [], limit);
    return "forward";
  }

  #lookup(sandbox: Sandbox, query: Query): Answer[] | null {
    switch (query.type) {
      case Type.A:
      case Type.AAAA: {
        const addresses = this.records.resolve(sandbox.id, query.name, query.type === Type.A ? 4 : 6);
        return addresses?.map((data) => ({ type: query.type, data })) ?? null;
      }
      case Type.MX:
        return this.records.resolve(sandbox.id, query.name, 4) && [];
      case Type.PTR: {
        const key = reverseKey(query.name);
        const name = key === null ? null : this.records.reverse(sandbox.id, key);
        return name === null ? null : [{ type: Type.PTR, data: writeName(name) }];
      }
      default:
        return null;
    }
  }

  #accept(sandbox: Sandbox): void {
    for (let i = 0; i < BURST; i++) {
      const fd = libc.accept4(sandbox.tcp, null, null, SOCK.NONBLOCK | SOCK.CLOEXEC);
      if (fd < 0) return;
      if (sandbox.connections.size >= MAX_CONNECTIONS) {
        close(fd);
        continue;
      }
      const connection: TcpConnection = {
        fd,
        sandbox,
        input: new Uint8Array(),
        output: [],
        deadline: performance.now() + TCP_IDLE_MS,
        closed: false,
      };
      sandbox.connections.add(connection);
      this.#connections.add(connection);
      this.watch(fd, EPOLL.IN, (events) => this.#serveConnection(connection, events));
    }
  }

  #serveConnection(connection: TcpConnection, events: number): void {
    if (events & EPOLL.OUT) this.#flush(connection);
    if (connection.closed || !(events & (EPOLL.IN | EPOLL.HUP | EPOLL.ERR))) return;
    const n = Number(libc.recv(connection.fd, this.#packet, this.#packet.length, MSG.DONTWAIT));
    if (n === 0 || (n < 0 && errno() !== 11)) return this.#closeConnection(connection);
    if (n < 0) return;
    const joined = new Uint8Array(connection.input.length + n);
    joined.set(connection.input);
    joined.set(this.#packet.subarray(0, n), connection.input.length);
    let at = 0;
    for (; joined.length - at >= 2; ) {
      const length = (joined[at]! << 8) | joined[at + 1]!;
      if (joined.length - at - 2 < length) break;
      this.#serveTcpQuery(connection, joined.slice(at + 2, at + 2 + length));
      if (connection.closed) return;
      at += 2 + length;
    }
    connection.input = joined.slice(at);
    this.#connections.delete(connection);
    connection.deadline = performance.now() + TCP_IDLE_MS;
    this.#connections.add(connection);
  }

  #serveTcpQuery(connection: TcpConnection, packet: Uint8Array): void {
    const answer = this.#answer(connection.sandbox, packet, false);
    if (connection.closed) return;
    if (answer === null) return this.#closeConnection(connection);
    if (answer !== "forward") return this.#sendTcp(connection, answer);
    const client: Client = { tcp: true, reply: (response) => this.#sendTcp(connection, response) };
    this.#forwarder.forward(packet, connection.sandbox.id, connection.sandbox.upstreams, client);
  }

  #sendTcp(connection: TcpConnection, message: Uint8Array): void {
    if (connection.closed) return;
    const framed = new Uint8Array(message.length + 2);
    framed[0] = message.length >> 8;
    framed[1] = message.length & 0xff;
    framed.set(message, 2);
    connection.output.push(framed);
    // A client that asks and never reads is cut off.
    if (connection.output.length > 256) return this.#closeConnection(connection);
    this.#flush(connection);
  }

  #flush(connection: TcpConnection): void {
    while (connection.output.length > 0) {
      const head = connection.output[0]!;
      const n = Number(libc.send(connection.fd, head, head.length, MSG.DONTWAIT | MSG.NOSIGNAL));
      if (n < 0) {
        if (errno() !== 11) return this.#closeConnection(connection);
        this.rewatch(connection.fd, EPOLL.IN | EPOLL.OUT);
        return;
      }
      if (n < head.length) connection.output[0] = head.subarray(n);
      else connection.output.shift();
    }
    this.rewatch(connection.fd, EPOLL.IN);
  }

  #closeConnection(connection: TcpConnection): void {
    if (connection.closed) return;
    connection.closed = true;
    connection.sandbox.connections.delete(connection);
    this.#connections.delete(connection);
    this.unwatch(connection.fd);
  }
}

function upstreamsOf(upstreams: SandboxChange["upstreams"], netns: number): Upstream[] {
  return upstreams.map(({ address, fromHost }) => ({ address: addressBytes(address), netns: fromHost ? -1 : netns }));
}
