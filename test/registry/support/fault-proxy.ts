import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";

/** What to do to one response. */
export type Fault =
  | { kind: "cut"; after: number }
  | { kind: "stall"; after: number }
  | { kind: "status"; status: number; headers?: Record<string, string> }
  | { kind: "wrong-range"; shift: number }
  | { kind: "ignore-range" }
  | { kind: "truncate"; by: number }
  | { kind: "alter"; at: number }
  | { kind: "redirect"; to: string };

export interface Seen {
  method: string;
  path: string;
  headers: Record<string, string | string[] | undefined>;
}

/** Stands between the client and a registry and damages what it is told to. */
export class FaultProxy {
  readonly seen: Seen[] = [];
  /** Asked for each request with how often this method and path was asked before; undefined lets it through. */
  plan: (seen: Seen, before: number) => Fault | undefined = () => undefined;
  readonly #server: Server;
  readonly #target: URL;
  #port = 0;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((incoming, outgoing) => this.#handle(incoming, outgoing));
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as { port: number }).port;
    return this;
  }

  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Requests whose path ends so. */
  count(method: string, part: string): number {
    return this.seen.filter((seen) => seen.method === method && seen.path.includes(part)).length;
  }

  #handle(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const seen: Seen = { method: incoming.method ?? "", path: incoming.url ?? "", headers: { ...incoming.headers } };
    const before = this.seen.filter((other) => other.method === seen.method && other.path === seen.path).length;
    this.seen.push(seen);
    const fault = this.plan(seen, before);
    if (fault?.kind === "status") {
      incoming.resume();
      outgoing.writeHead(fault.status, fault.headers);
      outgoing.end();
      return;
    }
    if (fault?.kind === "redirect") {
      incoming.resume();
      outgoing.writeHead(307, { location: fault.to, "content-length": 0 });
      outgoing.end();
      return;
    }
    const headers: Record<string, string | string[] | undefined> = { ...incoming.headers };
    if (fault?.kind === "ignore-range") delete headers["range"];
    const range = /^bytes=(\d+)-/.exec(String(headers["range"] ?? ""));
    if (fault?.kind === "wrong-range" && range) headers["range"] = `bytes=${Number(range[1]) + fault.shift}-`;
    const upstream = request(
      { host: this.#target.hostname, port: this.#target.port, method: incoming.method, path: incoming.url, headers },
      (answer) => this.#pass(answer, outgoing, fault),
    );
    upstream.on("error", () => outgoing.destroy());
    incoming.pipe(upstream);
  }

  #pass(answer: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const headers = { ...answer.headers };
    const length = Number(headers["content-length"] ?? 0);
    let limit = Number.POSITIVE_INFINITY;
    if (fault?.kind === "truncate") {
      limit = Math.max(0, length - fault.by);
      headers["content-length"] = String(limit);
    }
    if (fault?.kind === "cut" || fault?.kind === "stall") limit = fault.after;
    outgoing.writeHead(answer.statusCode ?? 500, headers);
    let sent = 0;
    answer.on("data", (chunk: Buffer) => {
      let piece = chunk;
      if (fault?.kind === "alter" && sent <= fault.at && fault.at < sent + chunk.length) {
        piece = Buffer.from(chunk);
        piece[fault.at - sent]! ^= 0xff;
      }
      piece = piece.subarray(0, Math.max(0, limit - sent));
      sent += piece.length;
      if (piece.length > 0 && !outgoing.write(piece)) {
        answer.pause();
        outgoing.once("drain", () => answer.resume());
      }
      if (sent < limit) return;
      if (fault?.kind === "cut") {
        answer.destroy();
        const { socket } = outgoing;
        setTimeout(() => {
          outgoing.destroy();
          socket?.destroy();
        }, 10);
      } else if (fault?.kind === "stall") {
        answer.destroy();
      }
    });
    answer.on("end", () => {
      if (fault?.kind !== "stall" || sent < limit) outgoing.end();
    });
    answer.on("error", () => {});
  }
}
