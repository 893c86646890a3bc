import { dial } from "./dial.ts";
import { ApiError, ConnectionError, connectionError, ProtocolError } from "./errors.ts";
import type { HijackedStream } from "./hijack.ts";
import { type Endpoint, hostFromEnvironment, parseHost, type TlsOptions } from "./host.ts";
import { HttpConnection, type HttpRequest, type HttpResponse } from "./http.ts";
import type { Wire } from "./wire.ts";

/** The newest API version that this client speaks. */
export const API_VERSION = "1.51";

export interface ClientOptions {
  /** `unix://…`, `tcp://…`, `https://…`, `ssh://…`; else DOCKER_HOST, else Gantry's socket. */
  host?: string;
  tls?: TlsOptions;
  /** A fixed API version; else the newest that both sides speak. */
  apiVersion?: string;
  /** Added to every request. */
  headers?: Record<string, string>;
  /** Called where nothing listens: may start the engine. True: try again. */
  onUnreachable?: (error: ConnectionError) => Promise<boolean>;
}

/** Values of a query; undefined ones are left out, lists repeat the name. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export interface CallOptions {
  query?: Query;
  /** Sent as JSON. */
  json?: unknown;
  body?: Uint8Array | AsyncIterable<Uint8Array>;
  contentType?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** No `/v1.xx` before the path. */
  unversioned?: boolean;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Requests to one engine: connections, versions, errors. The calls by name are in `Docker`. */
export class EngineClient {
  readonly host: string;
  /** What the engine told of itself in the last answer's headers. */
  server: { apiVersion?: string; os?: string; software?: string; experimental?: boolean; builder?: string } = {};
  #endpoint: Endpoint;
  #options: ClientOptions;
  #version: string;
  #settled: boolean;
  #idle: HttpConnection[] = [];
  #warming: Promise<HttpConnection | undefined>[] = [];

  constructor(options: ClientOptions = {}) {
    this.#options = options;
    const environment = globalThis.process?.env ?? {};
    this.host = options.host ?? hostFromEnvironment(environment);
    this.#endpoint = parseHost(this.host, options.tls);
    const fixed = (options.apiVersion ?? environment.DOCKER_API_VERSION)?.replace(/^v/, "");
    this.#version = fixed || API_VERSION;
    this.#settled = Boolean(fixed);
  }

  /** The API version in use; after `negotiate` or the first call, the one agreed on. */
  get apiVersion(): string {
    return this.#version;
  }

  /** Agrees on the API version by asking; other calls find out by themselves, without an extra round trip. */
  async negotiate(): Promise<string> {
    if (!this.#settled) {
      const response = await this.call("HEAD", "/_ping", { unversioned: true });
      await drain(response);
      this.#settle(response.headers["api-version"]);
    }
    return this.#version;
  }

  /**
   * One request. Rejects with ApiError for a status of 400 or more, with ConnectionError where nothing listens. The
   * body has to be read or cancelled.
   */
  async call(method: string, path: string, options: CallOptions = {}): Promise<HttpResponse> {
    return this.#call(method, path, options, false);
  }

  /** One request whose answer is JSON (or nothing: undefined). */
  async json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const text = await this.text(method, path, options);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** One request whose answer is text. */
  async text(method: string, path: string, options: CallOptions = {}): Promise<string> {
    return readText(await this.call(method, path, options));
  }

  /** One request that takes the connection over for a stream in both directions. */
  async hijack(method: string, path: string, options: CallOptions = {}): Promise<HijackedStream> {
    const response = await this.#call(method, path, options, true);
    if (!response.raw) {
      throw new ProtocolError(`unable to upgrade to tcp, received ${response.status}`);
    }
    return response.raw;
  }

  /** Opens connections ahead of the calls that will want them. A failure is left for those calls to meet. */
  warm(count = 1): void {
    for (let i = 0; i < count; i++) {
      const dialing = dial(this.#endpoint).then(
        (wire) => this.#wrap(wire),
        () => undefined,
      );
      this.#warming.push(dialing);
    }
  }

  /** A stream of its own to the engine, before any HTTP. */
  dial(): Promise<Wire> {
    return dial(this.#endpoint);
  }

  /** Drops the connections that wait for further requests. */
  close(): void {
    for (const connection of this.#idle) connection.close();
    for (const warming of this.#warming) warming.then((connection) => connection?.close());
    this.#idle = [];
    this.#warming = [];
  }

  async #call(method: string, path: string, options: CallOptions, upgrade: boolean): Promise<HttpResponse> {
    const streaming = options.body !== undefined && !(options.body instanceof Uint8Array);
    // A streamed body cannot be sent twice, so its version must be right the first time.
    if (streaming && !options.unversioned) await this.negotiate();
    for (;;) {
      const response = await this.#exchange(this.#request(method, path, options, upgrade));
      this.#note(response.headers);
      if (response.status < 400) {
        if (!options.unversioned) this.#settle(response.headers["api-version"]);
        return response;
      }
      const message = await errorText(response, path);
      const supported = /Maximum supported API version is (\d+\.\d+)/.exec(message)?.[1];
      if (response.status === 400 && supported && !this.#settled && !streaming) {
        this.#settled = true;
        this.#version = supported;
        continue;
      }
      throw new ApiError(response.status, message);
    }
  }

  #request(method: string, path: string, options: CallOptions, upgrade: boolean): HttpRequest {
    const prefix = this.#endpoint.kind === "tcp" ? this.#endpoint.prefix : "";
    const version = options.unversioned ? "" : `/v${this.#version}`;
    const body = options.json === undefined ? options.body : encoder.encode(JSON.stringify(options.json));
    const headers: Record<string, string> = {
      Host: this.#endpoint.kind === "tcp" ? hostHeader(this.#endpoint.host, this.#endpoint.port) : "api.moby.localhost",
      "User-Agent": "Gantry-Client/0.1 (linux)",
      ...this.#options.headers,
      ...options.headers,
    };
    if (body)
      headers["Content-Type"] ??= options.contentType ?? (options.json === undefined ? TAR : "application/json");
    if (upgrade) {
      headers.Connection = "Upgrade";
      headers.Upgrade = "tcp";
    }
    return {
      method,
      target: `${prefix}${version}${path}${queryText(options.query)}`,
      headers,
      ...(body ? { body } : {}),
      upgrade,
      ...(options.signal ? { signal: options.signal } : {}),
    };
  }

  async #exchange(request: HttpRequest): Promise<HttpResponse> {
    for (;;) {
      const kept = this.#idle.pop() ?? (await this.#warming.shift());
      if (kept && !kept.idle) continue;
      const connection = kept ?? (await this.#connect());
      try {
        return await connection.send(request);
      } catch (error) {
        // The engine may drop a waiting connection just as it is used: then nothing has been answered, and asking again is safe.
        const replayable = request.body === undefined || request.body instanceof Uint8Array;
        if (kept && !connection.touched && replayable && !request.signal?.aborted) continue;
        throw error;
      }
    }
  }

  async #connect(): Promise<HttpConnection> {
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#wrap(await dial(this.#endpoint));
      } catch (cause) {
        const error = cause instanceof ConnectionError ? cause : connectionError(this.host, cause);
        if (attempt === 0 && (await this.#options.onUnreachable?.(error))) continue;
        throw error;
      }
    }
  }

  #wrap(wire: Wire): HttpConnection {
    const connection = new HttpConnection(wire);
    connection.onIdle = () => {
      connection.unref();
      if (this.#idle.length < 4) this.#idle.push(connection);
      else connection.close();
    };
    return connection;
  }

  #note(headers: Record<string, string>): void {
    if (headers["api-version"]) this.server.apiVersion = headers["api-version"];
    if (headers.ostype) this.server.os = headers.ostype;
    if (headers.server) this.server.software = headers.server;
    if (headers["docker-experimental"]) this.server.experimental = headers["docker-experimental"] === "true";
    if (headers["builder-version"]) this.server.builder = headers["builder-version"];
  }

  #settle(server: string | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    if (server && olderThan(server, this.#version)) this.#version = server;
  }
}

const TAR = "application/x-tar";

/** Whether API version a comes before b. */
export function olderThan(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA < majorB || (majorA === majorB && minorA < minorB);
}

/** The whole body as bytes. */
export async function readBytes(response: HttpResponse): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    parts.push(chunk);
    length += chunk.length;
  }
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The whole body as text. */
export async function readText(response: HttpResponse): Promise<string> {
  return decoder.decode(await readBytes(response));
}

/** Reads a body away. */
export async function drain(response: HttpResponse): Promise<void> {
  for await (const _ of response.body);
}

async function errorText(response: HttpResponse, path: string): Promise<string> {
  const text = (await readText(response)).trim();
  if (response.headers["content-type"]?.includes("json") && text) {
    try {
      const { message } = JSON.parse(text) as { message?: unknown };
      if (typeof message === "string") return message.trim();
    } catch {
      // Not JSON after all: the text itself is the message.
    }
  }
  if (text) return text;
  return `request returned ${response.status} for API route and version ${path}, check if the server supports the requested API version`;
}

function hostHeader(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function queryText(query: Query | undefined): string {
  let text = "";
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? (value as string[]) : [value as string | number | boolean]) {
      const written = one === true ? "1" : one === false ? "0" : String(one);
      text += `${text ? "&" : "?"}${encodeURIComponent(name)}=${encodeURIComponent(written)}`;
    }
  }
  return text;
}
