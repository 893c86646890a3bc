import { readlinkSync, writeFileSync } from "node:fs";
import {
  AF,
  bind,
  CLONE_NEW,
  close,
  formatIp,
  inetAddress,
  inNetworkNamespace,
  libc,
  listen,
  O,
  open,
  parseIp,
  RouteNetlink,
  SO,
  SOCK,
  SOL_SOCKET,
  setns,
  setsockopt,
  socket,
  unshare,
} from "@gantry/sys";
import { eventually } from "./eventually.ts";

/**
 * A machine for tests: the test's thread moves into a fresh network namespace that plays the host, so nothing of the real host is
 * touched; other hosts and containers are further namespaces. All probes are synchronous, in one thread.
 */
export class World {
  private readonly home = open("/proc/thread-self/ns/net", O.RDONLY);
  readonly host: number;
  private readonly fds: number[] = [];
  private readonly processes: Bun.Subprocess[] = [];

  constructor() {
    unshare(CLONE_NEW.NET);
    this.host = this.keep(open("/proc/thread-self/ns/net", O.RDONLY));
    const netlink = RouteNetlink.open();
    netlink.run(netlink.batch().setLink("lo", { up: true }));
    netlink.close();
    // New namespaces take the real host's setting over, where it is on.
    for (const path of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) writeFileSync(`/proc/sys/net/${path}`, "0");
  }

  /** Another machine, on a cable to the host's interface `name`. `index` makes its addresses: 10.209.<index>.2 and fd00:209:<index>::2; the host has .1. */
  neighbour(name: string, index: number): number {
    const fd = inNetworkNamespace(this.host, () => {
      unshare(CLONE_NEW.NET);
      return open("/proc/thread-self/ns/net", O.RDONLY) as never;
    }) as unknown as number;
    this.keep(fd);
    const netlink = RouteNetlink.open();
    netlink.run(netlink.batch().createVeth({ name, up: true }, { name: "eth0", namespaceFd: fd }));
    const mine = netlink.link(name)!.index;
    netlink.run(netlink.batch().addAddress(mine, `10.209.${index}.1/24`).addAddress(mine, `fd00:209:${index}::1/64`));
    netlink.close();
    const theirs = RouteNetlink.openIn(fd);
    const eth = theirs.link("eth0")!.index;
    theirs.run(
      theirs
        .batch()
        .setLink("lo", { up: true })
        .setLink(eth, { up: true })
        .addAddress(eth, `10.209.${index}.2/24`)
        .addAddress(eth, `fd00:209:${index}::2/64`)
        .addRoute({ destination: "0.0.0.0/0", gateway: `10.209.${index}.1`, link: eth })
        .addRoute({ destination: "::/0", gateway: `fd00:209:${index}::1`, link: eth }),
    );
    theirs.close();
    return fd;
  }

  /** A process alone in a new network namespace, as the runtime makes for a container. */
  async container(): Promise<{ pid: number; fd: number; kill: () => Promise<void> }> {
    const child = Bun.spawn(["unshare", "--net", "sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
    this.processes.push(child);
    const own = namespaceId("/proc/thread-self/ns/net");
    await eventually(() => namespaceId(`/proc/${child.pid}/ns/net`) !== own);
    const fd = this.keep(open(`/proc/${child.pid}/ns/net`, O.RDONLY));
    const kill = async () => {
      child.kill(9);
      await child.exited;
      this.drop(fd);
    };
    return { pid: child.pid, fd, kill };
  }

  /** Ends all and goes home. */
  async leave(): Promise<void> {
    for (const child of this.processes) child.kill(9);
    await Promise.all(this.processes.map((child) => child.exited));
    for (const fd of this.fds.splice(0)) close(fd);
    setns(this.home, CLONE_NEW.NET);
    close(this.home);
  }

  private keep(fd: number): number {
    this.fds.push(fd);
    return fd;
  }
  private drop(fd: number): void {
    const at = this.fds.indexOf(fd);
    if (at < 0) return;
    this.fds.splice(at, 1);
    close(fd);
  }
}

function namespaceId(path: string): string {
  return readlinkSync(path);
}

/** How long one attempt waits before nothing came. */
const ATTEMPT_MS = 300;
/** How long attempts go on where something is expected: a busy machine delivers a packet late, or loses one. */
const PATIENCE_MS = 30_000;
const F_SETFL = 4;

export interface Service {
  fd: number;
  protocol: "tcp" | "udp";
}

/** A service in a namespace; `ip` "::" or "0.0.0.0" for all addresses. */
export function serve(namespaceFd: number, protocol: "tcp" | "udp", ip: string, port: number): Service {
  const bytes = parseIp(ip)!;
  const fd = inNetworkNamespace(namespaceFd, () => {
    const family = bytes.length === 4 ? AF.INET : AF.INET6;
    return socket(family, protocol === "tcp" ? SOCK.STREAM : SOCK.DGRAM) as never;
  }) as unknown as number;
  setsockopt(fd, SOL_SOCKET, SO.REUSEADDR, 1);
  if (bytes.length === 16) setsockopt(fd, 41, 26, 1);
  bind(fd, inetAddress(bytes, port), `${ip}:${port}`);
  if (protocol === "tcp") listen(fd, 16);
  return { fd, protocol };
}

/**
 * Talks from a namespace to an address, until it works or patience ends. Returns the address the service saw the caller come from, or
 * `null` where nothing arrived (or no answer came back).
 */
export function reach(from: number, ip: string, port: number, service: Service): string | null {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; ) {
    const seen = attempt(from, ip, port, service);
    if (seen !== null) return seen;
    drain(service);
  }
  return null;
}

/** As `reach`, with one attempt, for what is not to work. */
export function attempt(
  from: number,
  ip: string,
  port: number,
  service: Service,
  patience = ATTEMPT_MS,
): string | null {
  const bytes = parseIp(ip)!;
  const family = bytes.length === 4 ? AF.INET : AF.INET6;
  const tcp = service.protocol === "tcp";
  const fd = inNetworkNamespace(
    from,
    () => socket(family, tcp ? SOCK.STREAM : SOCK.DGRAM) as never,
  ) as unknown as number;
  try {
    timeout(fd, patience);
    timeout(service.fd, patience);
    const address = inetAddress(bytes, port);
    if (libc.connect(fd, address, address.length) !== 0) return null;
    const peer = new Uint8Array(28);
    const length = new Uint32Array([28]);
    const byte = Uint8Array.of(42);
    if (tcp) {
      const accepted = libc.accept4(service.fd, peer, length, SOCK.CLOEXEC);
      if (accepted < 0) return null;
      timeout(accepted, patience);
      const ok = libc.send(accepted, byte, 1, 0x4000) === 1 && libc.recv(fd, byte, 1, 0) === 1;
      close(accepted);
      return ok ? peerAddress(peer) : null;
    }
    if (Number(libc.send(fd, byte, 1, 0x4000)) !== 1) return null;
    if (Number(libc.recvfrom(service.fd, byte, 1, 0, peer, length)) !== 1) return null;
    if (Number(libc.sendto(service.fd, byte, 1, 0x4000, peer, length[0]!)) !== 1) return null;
    return Number(libc.recv(fd, byte, 1, 0)) === 1 ? peerAddress(peer) : null;
  } finally {
    close(fd);
  }
}

/** Forgets what came late of an attempt that was given up. */
function drain(service: Service): void {
  const DONTWAIT = 0x40;
  if (service.protocol === "udp") {
    while (Number(libc.recv(service.fd, new Uint8Array(1), 1, DONTWAIT)) >= 0);
    return;
  }
  libc.fcntl(service.fd, F_SETFL, O.NONBLOCK);
  for (let fd = 0; fd >= 0; ) {
    fd = libc.accept4(service.fd, null, null, SOCK.CLOEXEC);
    if (fd >= 0) close(fd);
  }
  libc.fcntl(service.fd, F_SETFL, 0);
}

/** As `reach` for TCP, with this process's own event loop running meanwhile, for what goes through the relay. */
export async function reachSlowly(from: number, ip: string, port: number, service: Service): Promise<string | null> {
  const bytes = parseIp(ip)!;
  const fd = inNetworkNamespace(
    from,
    () => socket(bytes.length === 4 ? AF.INET : AF.INET6, SOCK.STREAM | SOCK.NONBLOCK) as never,
  ) as unknown as number;
  libc.fcntl(service.fd, F_SETFL, O.NONBLOCK);
  try {
    const address = inetAddress(bytes, port);
    libc.connect(fd, address, address.length);
    const peer = new Uint8Array(28);
    const byte = Uint8Array.of(42);
    let accepted = -1;
    for (const until = performance.now() + PATIENCE_MS; accepted < 0 && performance.now() < until; ) {
      await Bun.sleep(5);
      accepted = libc.accept4(service.fd, peer, new Uint32Array([28]), SOCK.CLOEXEC);
    }
    if (accepted < 0) return null;
    libc.send(accepted, byte, 1, 0x4000);
    close(accepted);
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until; ) {
      await Bun.sleep(5);
      if (Number(libc.recv(fd, byte, 1, 0x40)) === 1) return peerAddress(peer);
    }
    return null;
  } finally {
    libc.fcntl(service.fd, F_SETFL, 0);
    close(fd);
  }
}

/** As `reachSlowly`, for UDP; asks again each second. */
export async function askSlowly(
  from: number,
  ip: string,
  port: number,
  service: Service,
  patience = PATIENCE_MS,
): Promise<string | null> {
  const DONTWAIT = 0x40;
  const bytes = parseIp(ip)!;
  const fd = inNetworkNamespace(
    from,
    () => socket(bytes.length === 4 ? AF.INET : AF.INET6, SOCK.DGRAM) as never,
  ) as unknown as number;
  try {
    const address = inetAddress(bytes, port);
    libc.connect(fd, address, address.length);
    const byte = Uint8Array.of(42);
    const peer = new Uint8Array(28);
    const length = new Uint32Array([28]);
    drain(service);
    const begun = performance.now();
    let [arrived, asked] = [false, 0];
    while (performance.now() - begun < patience) {
      if (performance.now() - begun >= 1000 * asked) {
        libc.send(fd, byte, 1, 0x4000);
        asked++;
      }
      await Bun.sleep(5);
      if (!arrived && Number(libc.recvfrom(service.fd, byte, 1, DONTWAIT, peer, length)) === 1) {
        arrived = true;
        libc.sendto(service.fd, byte, 1, 0x4000, peer, length[0]!);
      }
      if (arrived && Number(libc.recv(fd, byte, 1, DONTWAIT)) === 1) return peerAddress(peer);
    }
    return null;
  } finally {
    close(fd);
  }
}

function peerAddress(sockaddr: Uint8Array): string {
  const six = sockaddr[0] === AF.INET6;
  return formatIp(six ? sockaddr.subarray(8, 24) : sockaddr.subarray(4, 8));
}

/** Send and receive time-out in milliseconds. */
function timeout(fd: number, ms: number): void {
  const SNDTIMEO = 21;
  const value = new Uint8Array(new BigInt64Array([0n, BigInt(ms * 1000)]).buffer);
  for (const option of [SO.RCVTIMEO, SNDTIMEO]) setsockopt(fd, SOL_SOCKET, option, value);
}
