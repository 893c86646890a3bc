import { isIP } from "node:net";
import { systemError } from "@gantry/spec";
import { AF, close, connect, inetAddress, MSG, parseIp, SOCK, send, socket, unixAddress } from "@gantry/sys";
import { dialError, joinHostPort, portNumber, resolveHost } from "./dial.ts";
import type { Connection, Shipment } from "./driver.ts";

export type DatagramAddress = { type: "udp"; host: string; port: string } | { type: "unixgram"; path: string };

/** How long, in milliseconds, one waits for a receiver that has not read what it has. */
const FULL_MS = 5;

/** Opens a socket for datagrams to an address. Throws GantryError with what Go's net.Dial says. */
export async function connectDatagram(address: DatagramAddress): Promise<Connection> {
  if (address.type === "unixgram") return connectUnix(address.path, (fd, data) => void send(fd, data, FLAGS));
  const [ip] = await resolveHost("udp", address.host);
  const shown = joinHostPort(ip, address.port);
  const port = portNumber("udp", address.port);
  const bytes = parseIp(ip);
  if (bytes === null) throw systemError(`dial udp: lookup ${ip}: no such host`);
  const fd = socket(isIP(ip) === 6 ? AF.INET6 : AF.INET, SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    connect(fd, inetAddress(bytes, port));
  } catch (error) {
    close(fd);
    throw dialError("udp", shown, error);
  }
  return new Datagrams(fd, true, (to, data) => void send(to, data, FLAGS));
}

const FLAGS = MSG.NOSIGNAL | MSG.DONTWAIT;

/** The same for a unix socket, with one's own way to send. */
export function connectUnix(path: string, sendOne: (fd: number, data: Uint8Array) => void): Connection {
  const fd = socket(AF.UNIX, SOCK.DGRAM | SOCK.NONBLOCK);
  try {
    connect(fd, unixAddress(path));
  } catch (error) {
    close(fd);
    throw dialError("unixgram", path, error);
  }
  return new Datagrams(fd, false, sendOne);
}

class Datagrams implements Connection {
  readonly certain = true;
  onFailure: (() => void) | null = null;
  private ended: { clean: boolean; reason: string } | null = null;
  private sent = 0;

  constructor(
    private readonly fd: number,
    /** Nobody there is nothing to wait for. */
    private readonly unreliable: boolean,
    private readonly sendOne: (fd: number, data: Uint8Array) => void,
  ) {}

  async write({ data }: Shipment): Promise<void> {
    for (const datagram of data) {
      while (!this.offer(datagram)) await Bun.sleep(FULL_MS);
      this.sent += datagram.length;
    }
  }

  /** False where there is no room for it now. */
  private offer(datagram: Uint8Array): boolean {
    for (let tries = 0; ; tries++) {
      if (this.ended !== null) throw new Error(this.ended.reason);
      try {
        this.sendOne(this.fd, datagram);
        return true;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code === "EAGAIN" || code === "ENOBUFS") return false;
        if (code === "EMSGSIZE") return true;
        // What the last one met: this one has not been sent yet.
        if (this.unreliable) {
          if (tries > 0) return true;
          continue;
        }
        this.fail(message);
        throw error;
      }
    }
  }

  private fail(reason: string): void {
    if (this.ended !== null) return;
    this.ended = { clean: true, reason };
    close(this.fd);
    this.onFailure?.();
  }

  delivered(): number {
    return this.sent;
  }

  failed(): { clean: boolean; reason: string } | null {
    return this.ended;
  }

  close(): void {
    this.fail("closed");
  }
}
