import { type ConnectionError, DEFAULT_HOST, Docker } from "@gantry/client";
import { CliError } from "./errors.ts";

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
    try {
      this.docker.warm();
    } catch {}
  }

  #connect(): Docker {
    const { tls, tlsverify } = this.globals;
    // Whoever says `--tlsverify` at all means TLS, be it `--tlsverify=false`.
    const secure =
      tls || tlsverify !== undefined || Boolean(process.env.DOCKER_TLS_VERIFY) || Boolean(process.env.DOCKER_TLS);
    const certificates = secure ? this.#certificates() : undefined;
    const host = this.host;
    return new Docker({
      host: host.includes("://") ? host : `tcp://${host}`,
      ...(certificates && !host.startsWith("unix:") ? { tls: certificates } : {}),
      headers: { "User-Agent": "Docker-Client/28.5.2 (linux)" },
      onUnreachable: (error) => this.#startDaemon(host, error),
    });
  }

  #certificates() {
    const { existsSync, readFileSync } = require("node:fs") as typeof import("node:fs");
    const dir = process.env.DOCKER_CERT_PATH || this.configDir;
    const read = (path: string) => {
      try {
        return readFileSync(path, "utf8");
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const reason = code === "ENOENT" ? "no such file or directory" : message;
        throw new CliError(`Failed to initialize: unable to resolve docker endpoint: open ${path}: ${reason}`);
      }
    };
    const own = (path: string | undefined, name: string) => {
      if (path) return read(path);
      return existsSync(`${dir}/${name}`) ? read(`${dir}/${name}`) : undefined;
    };
    const { tlscacert, tlscert, tlskey } = this.globals;
    const ca = read(tlscacert ?? `${dir}/ca.pem`);
    const cert = own(tlscert, "cert.pem");
    const key = own(tlskey, "key.pem");
    return {
      verify: this.globals.tlsverify ?? Boolean(process.env.DOCKER_TLS_VERIFY),
      ca,
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
