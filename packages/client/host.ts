import { ConnectionError } from "./errors.ts";

/** Where an engine listens. */
export type Endpoint =
  | { kind: "unix"; path: string }
  | { kind: "tcp"; host: string; port: number; prefix: string; tls?: TlsOptions }
  | { kind: "ssh"; args: string[]; socket?: string };

/** Certificates in PEM. `verify` false accepts any server. */
export interface TlsOptions {
  ca?: string;
  cert?: string;
  key?: string;
  verify: boolean;
}

/** The engine's socket where nothing else is said. */
export const DEFAULT_HOST = "unix:///run/gantry.sock";

/** DOCKER_HOST, else the default socket. */
export function hostFromEnvironment(env: Record<string, string | undefined>): string {
  return env.DOCKER_HOST || DEFAULT_HOST;
}

/**
 * Reads `unix:///path`, `tcp://host:port[/prefix]`, `http://…`, `https://…` or `ssh://[user@]host[:port][/socket]`.
 * Throws ConnectionError for anything else.
 */
export function parseHost(text: string, tls?: TlsOptions): Endpoint {
  const cut = text.indexOf("://");
  const scheme = text.slice(0, Math.max(0, cut));
  const rest = text.slice(cut + 3);
  if (cut < 0 || !rest) throw unparsable(text);
  if (scheme === "unix") return { kind: "unix", path: rest };
  if (scheme === "ssh") return parseSsh(text);
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https") throw unparsable(text);
  const match = /^(\[[0-9a-fA-F:.]+\]|[^/:@[\]\s]*)(?::(\d{1,5}))?(\/[^?#]*)?$/.exec(rest);
  if (!match) throw unparsable(text);
  const secure = scheme === "https" || tls !== undefined;
  const port = match[2] ? Number(match[2]) : secure ? 2376 : 2375;
  if (port < 1 || port > 65535) throw unparsable(text);
  const host = match[1]!.replace(/^\[|\]$/g, "") || "127.0.0.1";
  const prefix = (match[3] ?? "").replace(/\/+$/, "");
  return { kind: "tcp", host, port, prefix, ...(secure ? { tls: tls ?? { verify: true } } : {}) };
}

function parseSsh(text: string): Endpoint {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw unparsable(text);
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (!host || host.startsWith("-") || url.username.startsWith("-")) throw unparsable(text);
  if (url.password) throw new ConnectionError("plain-text password is not supported");
  if (url.search || url.hash) throw unparsable(text);
  const args: string[] = [];
  if (url.username) args.push("-l", decodeURIComponent(url.username));
  if (url.port) args.push("-p", url.port);
  args.push("-o", "ConnectTimeout=30", "-T", "--", host);
  const socket = url.pathname && url.pathname !== "/" ? url.pathname : undefined;
  return { kind: "ssh", args, ...(socket ? { socket } : {}) };
}

function unparsable(text: string): ConnectionError {
  return new ConnectionError(`unable to parse docker host \`${text}\``);
}
