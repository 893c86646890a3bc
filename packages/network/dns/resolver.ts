import {
  AF,
  bind,
  close,
  inetAddress,
  inNetworkNamespace,
  isErrno,
  libc,
  listen,
  Nftables,
  SOCK,
  socket,
  socketpair,
  workerUrl,
  writeAll,
} from "@gantry/sys";
import type { EndpointRecord, Resolver, ResolverSandbox } from "../resolver.ts";
import type { Control } from "./worker.ts";

/** Where containers on user-defined networks find their resolver, as in Docker. */
export const RESOLVER_ADDRESS = "127.0.0.11";

/**
 * The port behind 53, where it is free. Always the same, so that what the namespace's connection tracking remembers of
 * an earlier daemon's sockets leads to the new ones.
 */
const PREFERRED_PORT = 40_053;

/** The resolver on a thread of its own. Starts nothing yet: the thread comes with the first sandbox. */
export function openResolver(): Resolver {
  return new ThreadResolver();
}

class ThreadResolver implements Resolver {
  #control = -1;
  #worker: Worker | null = null;
  /** Told before the thread was there. */
  #early: Control[] = [];

  async addSandbox(sandbox: ResolverSandbox): Promise<void> {
    this.removeSandbox(sandbox.containerId);
    const { udp, tcp } = openSockets(sandbox.namespaceFd);
    const upstreams = sandbox.internal ? [] : sandbox.upstreams;
    const inside = upstreams.some((upstream) => !upstream.fromHost);
    const DUPFD_CLOEXEC = 1030;
    const netns = inside ? libc.fcntl(sandbox.namespaceFd, DUPFD_CLOEXEC, 3) : -1;
    this.#start();
    const ndotsSet = sandbox.options.some((option) => /^ndots:[1-9]/.test(option));
    this.#tell({ op: "sandbox", config: { containerId: sandbox.containerId, udp, tcp, upstreams, netns, ndotsSet } });
  }

  async removeSandbox(containerId: string): Promise<void> {
    if (this.#worker) this.#tell({ op: "unsandbox", containerId });
  }

  addEndpoint(record: EndpointRecord): void {
    this.#tell({ op: "endpoint", record });
  }

  removeEndpoint(containerId: string, networkId: string): void {
    this.#tell({ op: "unendpoint", networkId, containerId });
  }

  async shutdown(): Promise<void> {
    if (this.#control >= 0) close(this.#control);
    this.#control = -1;
    this.#worker = null;
    this.#early = [];
  }

  #tell(control: Control): void {
    if (this.#control < 0) this.#early.push(control);
    else writeAll(this.#control, new TextEncoder().encode(JSON.stringify(control) + "\n"));
  }

  #start(): void {
    if (this.#worker) return;
    const [mine, theirs] = socketpair(AF.UNIX, SOCK.STREAM);
    this.#worker = new Worker(workerUrl("packages/network/dns/worker.ts"), { smol: true });
    this.#worker.unref();
    this.#worker.postMessage({ controlFd: theirs });
    this.#control = mine;
    const early = this.#early;
    this.#early = [];
    for (const control of early) this.#tell(control);
  }
}

/** The port a socket was bound to. */
function boundPort(fd: number): number {
  const name = new Uint8Array(16);
  libc.getsockname(fd, name, new Uint32Array([16]));
  return (name[2]! << 8) | name[3]!;
}

/** Sockets on 127.0.0.11 in the namespace, and the redirection of port 53 to them; 0.5 ms, most of it nftables. */
function openSockets(netns: number): { udp: number; tcp: number } {
  const opened: number[] = [];
  const open = (type: number): number => {
    const fd = socket(AF.INET, type | SOCK.NONBLOCK);
    opened.push(fd);
    const at = (port: number) => inetAddress(new Uint8Array([127, 0, 0, 11]), port);
    const SOL_SOCKET = 1;
    const SO_REUSEADDR = 2;
    // Connections of an earlier daemon in TIME_WAIT must not keep the port.
    if (type === SOCK.STREAM) libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, new Int32Array([1]), 4);
    try {
      bind(fd, at(PREFERRED_PORT), RESOLVER_ADDRESS);
    } catch (error) {
      if (!isErrno(error, "EADDRINUSE")) throw error;
      bind(fd, at(0), RESOLVER_ADDRESS);
    }
    return fd;
  };
  try {
    return inNetworkNamespace(netns, () => {
      const udp = open(SOCK.DGRAM);
      const tcp = open(SOCK.STREAM);
      listen(tcp, 64);
      const nft = new Nftables();
      try {
        // add + delete: whatever an earlier daemon left is replaced in the same transaction.
        nft.run(`add table ip gantry_dns
delete table ip gantry_dns
table ip gantry_dns {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${RESOLVER_ADDRESS} udp dport 53 dnat to ${RESOLVER_ADDRESS}:${boundPort(udp)};
    ip daddr ${RESOLVER_ADDRESS} tcp dport 53 dnat to ${RESOLVER_ADDRESS}:${boundPort(tcp)};
  }
}`);
      } finally {
        nft.close();
      }
      return { udp, tcp };
    });
  } catch (error) {
    for (const fd of opened) close(fd);
    throw error;
  }
}
