import type { Endpoint, TlsOptions } from "./host.ts";
import type { Wire } from "./wire.ts";
import { BunWire, bun } from "./wire-bun.ts";

/** Opens a byte stream to an endpoint. Rejects with the system's error, its `code` set. */
export async function dial(endpoint: Endpoint): Promise<Wire> {
  if (endpoint.kind === "ssh") return dialSsh(endpoint);
  if (endpoint.kind === "tcp" && endpoint.tls) return dialTls(endpoint.host, endpoint.port, endpoint.tls);
  const to = endpoint.kind === "unix" ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port };
  if (bun) return BunWire.dial(to);
  const net = await import("node:net");
  return opened(net.connect({ ...to, allowHalfOpen: true }), "connect");
}

async function dialTls(host: string, port: number, options: TlsOptions): Promise<Wire> {
  const tls = await import("node:tls");
  const socket = tls.connect({
    host,
    port,
    ca: options.ca,
    cert: options.cert,
    key: options.key,
    rejectUnauthorized: options.verify,
    // A literal address may not be sent as server name.
    ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
    minVersion: "TLSv1.2",
  });
  return opened(socket, "secureConnect");
}

async function dialSsh(endpoint: Extract<Endpoint, { kind: "ssh" }>): Promise<Wire> {
  const [{ spawn }, { Duplex }, { NodeWire }] = await Promise.all([
    import("node:child_process"),
    import("node:stream"),
    import("./wire-node.ts"),
  ]);
  const remote = endpoint.socket
    ? ["docker", "--host", `unix://${endpoint.socket}`, "system", "dial-stdio"]
    : ["docker", "system", "dial-stdio"];
  const child = spawn("ssh", [...endpoint.args, ...remote], { stdio: ["pipe", "pipe", "inherit"] });
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin } as never);
  child.on("error", (error) => stream.destroy(error));
  stream.on("close", () => child.kill());
  return new NodeWire(stream);
}

async function opened(socket: import("node:net").Socket, event: "connect" | "secureConnect"): Promise<Wire> {
  const { NodeWire } = await import("./wire-node.ts");
  await new Promise<void>((resolve, reject) => {
    socket.once(event, resolve);
    socket.once("error", reject);
  });
  return new NodeWire(socket);
}
