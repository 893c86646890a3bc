import {
  AF,
  bind,
  close,
  inetAddress,
  inNetworkNamespace,
  libc,
  listen,
  Nftables,
  SOCK,
  socket,
  socketpair,
  workerUrl,
  writeAll,
} from "@gantry/sys";
import type { EndpointRecord } from "./records.ts";
import type { Control } from "./worker.ts";

/** Where containers on user-defined networks find their resolver, as in Docker. */
export const RESOLVER_ADDRESS = "127.0.0.11";

export interface ResolverSandbox {
  containerId: string;
  /** Descriptor of the container's network namespace; stays the caller's. The loopback interface is up. */
  netns: number;
  /** Upstream servers' IP addresses, in order; empty where nothing may leave (internal networks). */
  upstreams: string[];
  ndotsSet: boolean;
}

/**
 * The embedded resolver. `openSandbox` puts its sockets into a container's network namespace, with ports of the
 * kernel's choice and port 53 of 127.0.0.11 redirected to them, so that the container itself may bind port 53 on
 * 0.0.0.0. `setEndpoint` says who is on which network under which names. Both may come in any order and replace what was
 * there; `closeSandbox` forgets a container's sockets. After a daemon restart all is told again, and the sockets made anew.
 */
export interface Resolver {
  openSandbox(sandbox: ResolverSandbox): void;
  closeSandbox(containerId: string): void;
  setEndpoint(record: EndpointRecord): void;
  removeEndpoint(networkId: string, containerId: string): void;
  close(): void;
}

/** Starts nothing yet: the thread comes with the first sandbox. */
export function openResolver(): Resolver {
  return new ThreadResolver();
}

class ThreadResolver implements Resolver {
  #control = -1;
  #worker: Worker | null = null;
  /** Told before the thread was there. */
  #early: Control[] = [];

  openSandbox(sandbox: ResolverSandbox): void {
    const { udp, tcp } = openSockets(sandbox.netns);
    this.#start();
    this.#tell({
      op: "sandbox",
      config: {
        containerId: sandbox.containerId,
        udp,
        tcp,
        upstreams: sandbox.upstreams,
        ndotsSet: sandbox.ndotsSet,
      },
    });
  }

  closeSandbox(containerId: string): void {
    if (this.#worker) this.#tell({ op: "unsandbox", containerId });
  }

  setEndpoint(record: EndpointRecord): void {
    this.#tell({ op: "endpoint", record });
  }

  removeEndpoint(networkId: string, containerId: string): void {
    this.#tell({ op: "unendpoint", networkId, containerId });
  }

  close(): void {
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
    bind(fd, inetAddress(new Uint8Array([127, 0, 0, 11]), 0), RESOLVER_ADDRESS);
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
