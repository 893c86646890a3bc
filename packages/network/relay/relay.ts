import { AF, close, formatIp, libc, SOCK, socketpair, workerUrl, writeAll } from "@gantry/sys";
import type { RelayOrder } from "./worker.ts";

const SOL_IPV6 = 41;
const IP6T_SO_ORIGINAL_DST = 80;
const F_DUPFD_CLOEXEC = 1030;

/** What Bun's sockets have besides their declared members. */
interface AcceptedSocket {
  readonly fd: number;
  /** Closes the descriptor without a shutdown of the connection. */
  close(): void;
}

/** Where a connection was to go that the firewall led to the relay. */
export type Lookup = (address: string, port: number) => { address: string; port: number } | undefined;

/**
 * Carries IPv6 connections that the kernel cannot translate: to containers that have only IPv4, and from ::1 (IPv6 has no
 * route_localnet). One listening socket serves all ports: the firewall redirects to it, and each connection still knows
 * where it was to go. The thread that moves the bytes is started by the first connection. The container sees the host's
 * address as the caller's, as with Docker's userland proxy.
 */
export class Relay {
  private listener: Bun.TCPSocketListener | undefined;
  private control = -1;
  private worker: Worker | undefined;

  constructor(private readonly lookup: Lookup) {}

  /** Begins to listen. Without IPv6 on the host there is nothing to relay, and `port` stays 0. */
  start(): void {
    try {
      this.listener = Bun.listen({
        hostname: "::",
        port: 0,
        socket: { open: (socket) => this.take(socket as unknown as AcceptedSocket), data() {}, error() {} },
        ...{ ipv6Only: true },
      });
      this.listener.unref();
    } catch {
      this.listener = undefined;
    }
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  stop(): void {
    this.listener?.stop(true);
    this.listener = undefined;
    if (this.control >= 0) close(this.control);
    this.control = -1;
    this.worker = undefined;
  }

  private take(socket: AcceptedSocket): void {
    const goal = originalDestination(socket.fd);
    const target = goal === null ? undefined : this.lookup(goal.address, goal.port);
    // A second descriptor keeps the connection when Bun lets go of its own.
    const mine = target === undefined ? -1 : libc.fcntl(socket.fd, F_DUPFD_CLOEXEC, 3);
    socket.close();
    if (target === undefined || mine < 0) return;
    this.startWorker();
    const order: RelayOrder = { fd: mine, ...target };
    try {
      writeAll(this.control, new TextEncoder().encode(`${JSON.stringify(order)}\n`));
    } catch {
      close(mine);
    }
  }

  private startWorker(): void {
    if (this.worker !== undefined) return;
    const [mine, theirs] = socketpair(AF.UNIX, SOCK.STREAM);
    this.worker = new Worker(workerUrl("packages/network/relay/worker.ts"), { smol: true });
    this.worker.unref();
    this.worker.postMessage({ controlFd: theirs });
    this.control = mine;
  }
}

/** Where a redirected connection was addressed to; `null` for one that came to the relay itself. */
function originalDestination(fd: number): { address: string; port: number } | null {
  const name = new Uint8Array(28);
  const length = new Uint32Array([28]);
  if (libc.getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, name, length) !== 0) return null;
  return { address: formatIp(name.subarray(8, 24)), port: (name[2]! << 8) | name[3]! };
}
