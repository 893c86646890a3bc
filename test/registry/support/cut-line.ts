import { connect, createServer, type Server, type Socket } from "node:net";

/** A plain TCP relay that cuts the first connection over which a client has sent so many bytes. */
export class CutLine {
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** `after`: bytes from the client; `pause`: milliseconds for the other side to take in what it got. */
  constructor(target: string, after: number, pause = 200) {
    const { hostname, port } = new URL(target);
    this.#server = createServer((client) => {
      const upstream = connect(Number(port), hostname);
      let sent = 0;
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => this.#sockets.delete(socket));
      }
      const end = () => {
        client.destroy();
        upstream.destroy();
      };
      client.on("data", (chunk) => {
        sent += chunk.length;
        if (!upstream.write(chunk)) {
          client.pause();
          upstream.once("drain", () => client.resume());
        }
        if (sent < after || this.cuts > 0) return;
        this.cuts++;
        client.pause();
        setTimeout(end, pause);
      });
      upstream.on("data", (chunk) => client.write(chunk));
      client.on("close", end);
      upstream.on("close", end);
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
