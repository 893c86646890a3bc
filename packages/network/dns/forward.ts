import { AF, close, EPOLL, errno, inetAddress, inNetworkNamespace, libc, MSG, SOCK } from "@gantry/sys";
import { addressKey, buildResponse, parseQuery, Rcode, readName } from "./message.ts";
import type { DnsServer } from "./server.ts";

/** Who asked: gets the answer's bytes, with its own ID in them. */
export interface Client {
  tcp: boolean;
  reply(response: Uint8Array): void;
}

/** A server that is asked; from the network namespace behind `netns`, or from the host's where that is -1. */
export interface Upstream {
  address: Uint8Array;
  netns: number;
}

export interface ForwardLimits {
  /** How long one upstream may take, in milliseconds. */
  timeoutMs: number;
  /** Queries under way at once, in all and for one container; more are answered SERVFAIL at once. */
  total: number;
  perContainer: number;
  /** How many upstreams are tried for one query. */
  attempts: number;
  /** How long an upstream that did not answer is asked last, in milliseconds. */
  penaltyMs: number;
  /** Upstreams' port; other than 53 in tests only. */
  port: number;
}

const DEFAULTS: ForwardLimits = {
  timeoutMs: 2000,
  total: 2048,
  perContainer: 256,
  attempts: 4,
  penaltyMs: 10_000,
  port: 53,
};

interface Pending {
  containerId: string;
  client: Client;
  packet: Uint8Array;
  upstreams: Upstream[];
  next: number;
  current: Upstream;
  fd: number;
  id: number;
  deadline: number;
  input: Uint8Array;
  sent: number;
}

/**
 * Asks upstream servers on behalf of containers. Each query has a socket (thus a random source port) and a random ID of
 * its own, and only an answer to the same question from the asked address is passed on. A slow upstream costs only the
 * queries that wait for it: nothing here blocks, and every container has its own share of what may be under way.
 */
export class Forwarder {
  readonly #server: DnsServer;
  readonly #limits: ForwardLimits;
  readonly #pending = new Set<Pending>();
  readonly #perContainer = new Map<string, number>();
  readonly #penalty = new Map<string, number>();
  readonly #buffer = new Uint8Array(65536);

  constructor(server: DnsServer, limits: Partial<ForwardLimits>) {
    this.#server = server;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  forward(packet: Uint8Array, containerId: string, upstreams: Upstream[], client: Client): void {
    const mine = this.#perContainer.get(containerId) ?? 0;
    if (this.#pending.size >= this.#limits.total || mine >= this.#limits.perContainer) {
      return this.#fail(packet, client);
    }
    const now = performance.now();
    const penalised = (upstream: Upstream) => (this.#penalty.get(penaltyKey(upstream)) ?? 0) > now;
    const ordered = [...upstreams.filter((u) => !penalised(u)), ...upstreams.filter(penalised)];
    this.#perContainer.set(containerId, mine + 1);
    const pending: Pending = {
      containerId,
      client,
      packet,
      upstreams: ordered.slice(0, this.#limits.attempts),
      next: 0,
      current: ordered[0]!,
      fd: -1,
      id: 0,
      deadline: 0,
      input: new Uint8Array(),
      sent: 0,
    };
    this.#attempt(pending);
  }

  /** When the loop must wake up at the latest (performance.now() time). */
  nextDeadline(): number {
    for (const pending of this.#pending) return pending.deadline;
    return Number.POSITIVE_INFINITY;
  }

  expire(now: number): void {
    for (const pending of this.#pending) {
      if (pending.deadline > now) return;
      this.#penalise(pending.current);
      this.#attempt(pending);
    }
  }

  /** Drops what a container waits for. */
  forget(containerId: string): void {
    for (const pending of this.#pending) if (pending.containerId === containerId) this.#finish(pending);
  }

  close(): void {
    for (const pending of this.#pending) this.#finish(pending);
  }

  #penalise(upstream: Upstream): void {
    if (this.#penalty.size > 1024) this.#penalty.clear();
    this.#penalty.set(penaltyKey(upstream), performance.now() + this.#limits.penaltyMs);
  }

  /** Goes on to the next upstream, or gives up. */
  #attempt(pending: Pending): void {
    for (;;) {
      this.#release(pending);
      const upstream = pending.upstreams[pending.next++];
      if (!upstream) {
        this.#finish(pending);
        return this.#fail(pending.packet, pending.client);
      }
      const fd = upstreamSocket(upstream, pending.client.tcp, this.#limits.port);
      if (fd < 0) continue;
      pending.current = upstream;
      pending.fd = fd;
      pending.id = Math.floor(Math.random() * 65536);
      pending.deadline = performance.now() + this.#limits.timeoutMs;
      pending.input = new Uint8Array();
      pending.sent = 0;
      // Re-adding keeps the set in the order of deadlines, which are all equally far away.
      this.#pending.add(pending);
      if (pending.client.tcp) {
        this.#server.watch(fd, EPOLL.OUT, (events) => this.#tcpReady(pending, events));
        return;
      }
      this.#server.watch(fd, EPOLL.IN, () => this.#udpReady(pending));
      const query = withId(pending.packet, pending.id);
      if (Number(libc.send(fd, query, query.length, MSG.DONTWAIT | MSG.NOSIGNAL)) === query.length) return;
      this.#penalise(upstream);
    }
  }

  #release(pending: Pending): void {
    this.#pending.delete(pending);
    if (pending.fd >= 0) this.#server.unwatch(pending.fd);
    pending.fd = -1;
  }

  #finish(pending: Pending): void {
    this.#release(pending);
    const left = (this.#perContainer.get(pending.containerId) ?? 1) - 1;
    if (left > 0) this.#perContainer.set(pending.containerId, left);
    else this.#perContainer.delete(pending.containerId);
  }

  #fail(packet: Uint8Array, client: Client): void {
    const query = parseQuery(packet);
    if (query && !("rcode" in query)) client.reply(buildResponse(packet, query, Rcode.serverFailure, [], 512));
  }

  #udpReady(pending: Pending): void {
    const n = Number(libc.recv(pending.fd, this.#buffer, this.#buffer.length, MSG.DONTWAIT));
    if (n < 0) {
      if (errno() === 11) return;
      this.#penalise(pending.current);
      return this.#attempt(pending);
    }
    this.#deliver(pending, this.#buffer.slice(0, n));
  }

  #tcpReady(pending: Pending, events: number): void {
    const query = withId(pending.packet, pending.id);
    const framed = new Uint8Array(query.length + 2);
    framed.set([query.length >> 8, query.length & 0xff]);
    framed.set(query, 2);
    if (events & EPOLL.OUT && pending.sent < framed.length) {
      const rest = framed.subarray(pending.sent);
      const n = Number(libc.send(pending.fd, rest, rest.length, MSG.DONTWAIT | MSG.NOSIGNAL));
      if (n < 0 && errno() !== 11) {
        this.#penalise(pending.current);
        return this.#attempt(pending);
      }
      pending.sent += Math.max(0, n);
      if (pending.sent === framed.length) this.#server.rewatch(pending.fd, EPOLL.IN);
      return;
    }
    const n = Number(libc.recv(pending.fd, this.#buffer, this.#buffer.length, MSG.DONTWAIT));
    if (n < 0 && errno() === 11) return;
    if (n <= 0) {
      this.#penalise(pending.current);
      return this.#attempt(pending);
    }
    const input = new Uint8Array(pending.input.length + n);
    input.set(pending.input);
    input.set(this.#buffer.subarray(0, n), pending.input.length);
    pending.input = input;
    if (input.length < 2) return;
    const length = (input[0]! << 8) | input[1]!;
    if (input.length >= length + 2) this.#deliver(pending, input.slice(2, length + 2));
  }

  #deliver(pending: Pending, response: Uint8Array): void {
    if (!answers(pending, response)) {
      // Over UDP a stray or forged packet is passed over and the true answer awaited; over TCP there is no other.
      if (pending.client.tcp) this.#attempt(pending);
      return;
    }
    const rcode = response[3]! & 0xf;
    if ((rcode === Rcode.serverFailure || rcode === Rcode.refused) && pending.next < pending.upstreams.length) {
      return this.#attempt(pending);
    }
    response[0] = pending.packet[0]!;
    response[1] = pending.packet[1]!;
    this.#finish(pending);
    pending.client.reply(response);
  }
}

/** The same address may be alive in one namespace and dead in another. */
function penaltyKey(upstream: Upstream): string {
  return `${upstream.netns} ${addressKey(upstream.address)}`;
}

/** A connected UDP socket, or a TCP one that is connecting, non-blocking; -1 where none can be had. */
function upstreamSocket(upstream: Upstream, tcp: boolean, port: number): number {
  const family = upstream.address.length === 16 ? AF.INET6 : AF.INET;
  const type = (tcp ? SOCK.STREAM : SOCK.DGRAM) | SOCK.NONBLOCK | SOCK.CLOEXEC;
  const make = () => libc.socket(family, type, 0);
  const fd = upstream.netns < 0 ? make() : inNetworkNamespace(upstream.netns, make);
  if (fd < 0) return -1;
  const target = inetAddress(upstream.address, port);
  const EINPROGRESS = 115;
  if (libc.connect(fd, target, target.length) < 0 && errno() !== EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

function withId(packet: Uint8Array, id: number): Uint8Array {
  const out = packet.slice();
  out[0] = id >> 8;
  out[1] = id & 0xff;
  return out;
}

/** Whether a response carries the ID and the question that were sent. */
function answers(pending: Pending, response: Uint8Array): boolean {
  if (response.length < 12 || !(response[2]! & 0x80)) return false;
  if (((response[0]! << 8) | response[1]!) !== pending.id) return false;
  const rcode = response[3]! & 0xf;
  const questions = (response[4]! << 8) | response[5]!;
  // Some servers leave the question out of an error.
  if (questions === 0) return rcode !== Rcode.ok;
  const asked = readName(pending.packet, 12);
  const got = readName(response, 12);
  if (!asked || !got || asked.name !== got.name || got.end + 4 > response.length) return false;
  for (let i = 0; i < 4; i++) if (pending.packet[asked.end + i] !== response[got.end + i]) return false;
  return true;
}
