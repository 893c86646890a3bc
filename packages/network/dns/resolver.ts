import {
  AF,
  bind,
  close,
  deleteConntrack,
  inetAddress,
  inNetworkNamespace,
  isErrno,
  libc,
  listen,
  Nftables,
  NftablesError,
  SO,
  SOCK,
  SOL_SOCKET,
  setsockopt,
  socket,
  socketpair,
  workerUrl,
  writeAll,
} from "@gantry/sys";
import type { EndpointRecord, Resolver, ResolverSandbox } from "../resolver.ts";
import type { SandboxChange } from "./server.ts";
import type { Control } from "./worker.ts";

/** Where containers on user-defined networks find their resolver, as in Docker. */
export const RESOLVER_ADDRESS = "127.0.0.11";

/**
 * The port behind 53, where it is free. Always the same, so that what the namespace's connection tracking remembers of
 * an earlier daemon's sockets leads to the new ones.
 */
const PREFERRED_PORT = 40_053;

/** What may wait in a container's UDP socket: about 1,300 queries, where the kernel's usual size drops what comes after 277. */
const WAITING_BYTES = 1 << 20;

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
    const { udp, tcp, replaced } = openSockets(sandbox.namespaceFd);
    this.#start();
    this.#tell({ op: "sandbox", config: { ...changeOf(sandbox), udp, tcp } });
    if (replaced) await forgetQueries(sandbox.namespaceFd);
  }

  changeSandbox(sandbox: ResolverSandbox): void {
    if (this.#worker) this.#tell({ op: "change", change: changeOf(sandbox) });
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

/** What the thread is told of a sandbox besides its sockets; it closes `netns`. */
function changeOf({ containerId, namespaceFd, internal, options, ...sandbox }: ResolverSandbox): SandboxChange {
  const upstreams = internal ? [] : sandbox.upstreams;
  const inside = upstreams.some((upstream) => !upstream.fromHost);
  const DUPFD_CLOEXEC = 1030;
  const netns = inside ? libc.fcntl(namespaceFd, DUPFD_CLOEXEC, 3) : -1;
  return { containerId, upstreams, netns, ndotsSet: options.some((option) => /^ndots:[1-9]/.test(option)) };
}

/** Gives a socket room for a burst; where the right to pass the host's limit is missing, what that limit allows. */
function enlarge(fd: number): void {
  try {
    setsockopt(fd, SOL_SOCKET, SO.RCVBUFFORCE, WAITING_BYTES);
  } catch {
    setsockopt(fd, SOL_SOCKET, SO.RCVBUF, WAITING_BYTES);
  }
}

/** The port a socket was bound to. */
function boundPort(fd: number): number {
  const name = new Uint8Array(16);
  libc.getsockname(fd, name, new Uint32Array([16]));
  return (name[2]! << 8) | name[3]!;
}

/**
 * Makes the namespace forget which socket earlier queries went to: a program that asks again from the same port would still be led to a
 * socket that is gone.
 */
async function forgetQueries(netns: number): Promise<void> {
  const IPPROTO_UDP = 17;
  let done: Promise<number> | undefined;
  inNetworkNamespace(netns, () => {
    done = deleteConntrack({ to: RESOLVER_ADDRESS, family: 4, flows: [{ protocol: IPPROTO_UDP, port: 53 }] });
    return 0;
  });
  await done;
}

/**
 * Sockets on 127.0.0.11 in the namespace, and the redirection of port 53 to them; 0.5 ms, most of it nftables. `replaced` where an
 * earlier resolver's redirection was there.
 */
function openSockets(netns: number): { udp: number; tcp: number; replaced: boolean } {
  const opened: number[] = [];
  const open = (type: number): number => {
    const fd = socket(AF.INET, type | SOCK.NONBLOCK);
    opened.push(fd);
    const at = (port: number) => inetAddress(new Uint8Array([127, 0, 0, 11]), port);
    // Connections of an earlier daemon in TIME_WAIT must not keep the port.
    if (type === SOCK.STREAM) setsockopt(fd, SOL_SOCKET, SO.REUSEADDR, 1);
    else enlarge(fd);
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
        const replaced = redirect(nft, boundPort(udp), boundPort(tcp));
        return { udp, tcp, replaced };
      } finally {
        nft.close();
      }
    });
  } catch (error) {
    for (const fd of opened) close(fd);
    throw error;
  }
}

/** Leads port 53 to the resolver's sockets. Returns whether it led somewhere before. */
function redirect(nft: Nftables, udp: number, tcp: number): boolean {
  const table = `table ip gantry_dns {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${RESOLVER_ADDRESS} udp dport 53 dnat to ${RESOLVER_ADDRESS}:${udp};
    ip daddr ${RESOLVER_ADDRESS} tcp dport 53 dnat to ${RESOLVER_ADDRESS}:${tcp};
  }
}`;
  try {
    nft.run(`create table ip gantry_dns\n${table}`);
    return false;
  } catch (error) {
    if (!(error instanceof NftablesError) || !error.message.includes("File exists")) throw error;
  }
  nft.run(`delete table ip gantry_dns\n${table}`);
  return true;
}
