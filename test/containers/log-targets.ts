import { createSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";

/** What stands where logs are sent: records what comes, by connection; can go away and come back. */
export class LogTarget {
  /** Bytes of each connection so far, in the order of their opening. */
  connections: Buffer[][] = [];
  port = 0;
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();

  /** Listens on a port of 127.0.0.1, the same as before where it has had one, or on a path. */
  async start(path?: string): Promise<this> {
    this.server = createServer((socket) => {
      const parts: Buffer[] = [];
      this.connections.push(parts);
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("data", (chunk: Buffer) => parts.push(chunk));
    });
    await new Promise<void>((resolve) =>
      path === undefined ? this.server?.listen(this.port, "127.0.0.1", resolve) : this.server?.listen(path, resolve),
    );
    const address = this.server.address();
    if (typeof address === "object") this.port = address?.port ?? 0;
    return this;
  }

  stop(): void {
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.connections.flat());
  }
  get text(): string {
    return this.bytes.toString();
  }
}

/** The same for datagrams. */
export class DatagramTarget {
  datagrams: Buffer[] = [];
  port = 0;
  private readonly socket = createSocket("udp4");

  async start(): Promise<this> {
    this.socket.on("message", (datagram) => this.datagrams.push(datagram));
    await new Promise<void>((resolve) => this.socket.bind(0, "127.0.0.1", resolve));
    this.port = this.socket.address().port;
    return this;
  }
  stop(): void {
    this.socket.close();
  }
}

/** MessagePack, as far as Fluentd's messages have it: times come as numbers or as `[seconds, nanoseconds]`. */
export function unpackAll(data: Buffer): unknown[] {
  let at = 0;
  const text = (length: number) => {
    at += length;
    return data.toString("utf8", at - length, at);
  };
  const number = (length: number) => {
    at += length;
    return data.readUIntBE(at - length, length);
  };
  const list = (length: number): unknown[] => Array.from({ length }, () => one());
  const map = (length: number) => Object.fromEntries(Array.from({ length }, () => [one(), one()]));
  const one = (): unknown => {
    const head = number(1);
    if (head < 0x80) return head;
    if (head < 0x90) return map(head & 15);
    if (head < 0xa0) return list(head & 15);
    if (head < 0xc0) return text(head & 31);
    switch (head) {
      case 0xd7:
        return [number(1), number(4), number(4)].slice(1);
      case 0xce:
      case 0xd2:
        return number(4);
      case 0xd9:
        return text(number(1));
      case 0xda:
        return text(number(2));
      case 0xdb:
        return text(number(4));
      case 0xde:
        return map(number(2));
      default:
        throw new Error(`MessagePack ${head.toString(16)} at ${at - 1}`);
    }
  };
  const all: unknown[] = [];
  while (at < data.length) all.push(one());
  return all;
}
