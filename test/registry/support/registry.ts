import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface RegistryOptions {
  /** htpasswd users, by name. */
  users?: Record<string, string>;
  token?: { realm: string; service: string; issuer: string; rootCertificates: string };
  tls?: { certificate: string; key: string; clientCa?: string };
}

export interface RunningRegistry {
  /** `127.0.0.1:port`. */
  host: string;
  /** Base URL. */
  url: string;
  stop(): Promise<void>;
}

/** A port nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Whether Debian's docker-registry is installed. */
export const registryInstalled = Bun.which("docker-registry") !== null;

/** Starts Debian's docker-registry on a free loopback port, with a folder of its own. */
export async function startRegistry(options: RegistryOptions = {}, attempts = 3): Promise<RunningRegistry> {
  const dir = await mkdtemp(join(tmpdir(), "gantry-registry-"));
  const port = await freePort();
  const http: Record<string, unknown> = { addr: `127.0.0.1:${port}`, secret: "test" };
  if (options.tls) {
    await writeFile(join(dir, "tls.crt"), options.tls.certificate);
    await writeFile(join(dir, "tls.key"), options.tls.key);
    const tls: Record<string, unknown> = { certificate: join(dir, "tls.crt"), key: join(dir, "tls.key") };
    if (options.tls.clientCa) {
      await writeFile(join(dir, "clients.crt"), options.tls.clientCa);
      tls["clientcas"] = [join(dir, "clients.crt")];
    }
    http["tls"] = tls;
  }
  const config: Record<string, unknown> = {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(dir, "data") }, delete: { enabled: true } },
    http,
  };
  if (options.users) {
    const lines = Object.entries(options.users).map(
      ([name, password]) => `${name}:${Bun.password.hashSync(password, { algorithm: "bcrypt", cost: 4 })}`,
    );
    await writeFile(join(dir, "htpasswd"), lines.join("\n"));
    config["auth"] = { htpasswd: { realm: "test", path: join(dir, "htpasswd") } };
  }
  if (options.token) {
    await writeFile(join(dir, "issuer.crt"), options.token.rootCertificates);
    const { realm, service, issuer } = options.token;
    config["auth"] = { token: { realm, service, issuer, rootcertbundle: join(dir, "issuer.crt") } };
  }
  // JSON is YAML too.
  await writeFile(join(dir, "config.yml"), JSON.stringify(config));
  const child = Bun.spawn(["docker-registry", "serve", join(dir, "config.yml")], {
    stdout: "ignore",
    stderr: Bun.file(join(dir, "log")),
  });
  const url = `${options.tls ? "https" : "http"}://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill();
    await child.exited;
    await rm(dir, { recursive: true, force: true });
  };
  for (let i = 0; ; i++) {
    const up = await new Promise<boolean>((resolve) => {
      const probe = Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          open(socket) {
            socket.end();
            // While nobody listens there, a socket may meet itself.
            resolve(socket.localPort !== port);
          },
          data() {},
          connectError: () => resolve(false),
        },
      });
      probe.catch(() => resolve(false));
    });
    if (up) return { host: `127.0.0.1:${port}`, url, stop };
    if (i > 1600 || child.exitCode !== null) {
      const log = await Bun.file(join(dir, "log")).text();
      await stop();
      // The port was free a moment ago.
      if (attempts > 1 && log.includes("address already in use")) return startRegistry(options, attempts - 1);
      throw new Error(`docker-registry did not start: ${log.slice(-2000)}`);
    }
    await Bun.sleep(25);
  }
}
