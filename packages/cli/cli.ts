import { type ConnectionError, DEFAULT_HOST, Docker } from "@gantry/client";

/** The options before the command. */
export interface Globals {
  host?: string;
  context?: string;
  config?: string;
  debug?: boolean;
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
}

/** What all commands share: the name they answer to, the engine, where settings are kept. */
export class Cli {
  /** `gantry`, or `docker` where called by that name. */
  readonly program: string;
  readonly globals: Globals;
  #docker: Docker | undefined;

  constructor(program: string, globals: Globals) {
    this.program = program;
    this.globals = globals;
  }

  /** The folder of config.json and contexts. */
  get configDir(): string {
    return this.globals.config || process.env.DOCKER_CONFIG || `${process.env.HOME ?? "/root"}/.docker`;
  }

  /** The engine's address as it will be used. */
  get host(): string {
    return this.globals.host || process.env.DOCKER_HOST || DEFAULT_HOST;
  }

  /** The engine. No connection is made before the first call. */
  get docker(): Docker {
    this.#docker ??= this.#connect();
    return this.#docker;
  }

  /** Makes a connection ahead of the first call. What fails in it is told by that call. */
  warm(): void {
    if (!this.host.startsWith("unix://")) return;
    this.docker.warm();
  }

  #connect(): Docker {
    const { tls, tlsverify } = this.globals;
    const secure = tls || tlsverify || Boolean(process.env.DOCKER_TLS_VERIFY) || Boolean(process.env.DOCKER_TLS);
    const host = this.host;
    return new Docker({
      host: host.includes("://") ? host : `tcp://${host}`,
      ...(secure && !host.startsWith("unix:") ? { tls: this.#certificates() } : {}),
      headers: { "User-Agent": "Docker-Client/28.5.2 (linux)" },
      onUnreachable: (error) => this.#startDaemon(host, error),
    });
  }

  #certificates() {
    const { readFileSync } = require("node:fs") as typeof import("node:fs");
    const dir = process.env.DOCKER_CERT_PATH || this.configDir;
    const read = (path: string | undefined, fallback: string) => {
      try {
        return readFileSync(path ?? `${dir}/${fallback}`, "utf8");
      } catch (error) {
        if (path) throw error;
        return undefined;
      }
    };
    const ca = read(this.globals.tlscacert, "ca.pem");
    const cert = read(this.globals.tlscert, "cert.pem");
    const key = read(this.globals.tlskey, "key.pem");
    return {
      verify: this.globals.tlsverify ?? Boolean(process.env.DOCKER_TLS_VERIFY),
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
    };
  }

  async #startDaemon(host: string, error: ConnectionError): Promise<boolean> {
    if (host !== DEFAULT_HOST && !process.env.GANTRY_AUTOSTART) return false;
    if (!host.startsWith("unix://") || process.env.GANTRY_AUTOSTART === "0") return false;
    if (error.code && !["ENOENT", "ECONNREFUSED"].includes(error.code)) return false;
    const { startDaemon } = await import("./autostart.ts");
    return startDaemon(host);
  }
}
