import { posix } from "node:path";
import { invalidParameter, notFound, parseJson, TOO_DEEP } from "@gantry/spec";
import type { Static, TObject, TSchema } from "@sinclair/typebox";
import { decodeJson } from "./decode.ts";
import type { Exchange, Headers, ResponseStream } from "./exchange.ts";
import type { Hijacked } from "./hijack.ts";
import { firstJson } from "./json.ts";
import { decodeQuery } from "./query.ts";

/** The API versions spoken: Docker 29's maximum, and the oldest that its clients still ask for. */
export const MAX_API = 55;
export const MIN_API = 24;

/** What a handler gets: parameters of the path, the declared query and body, and the ways to answer. */
export interface Context<Q = Record<string, unknown>, B = undefined> {
  readonly exchange: Exchange;
  /** Minor number of the API version asked for: 52 for v1.52. */
  readonly api: number;
  /** Named parts of the path, percent-decoded. */
  readonly params: Record<string, string>;
  readonly query: Q;
  readonly body: B;
  /** Fires when the client goes away. */
  readonly signal: AbortSignal;
  /** A request header by its lower-case name; "" where absent. */
  header(name: string): string;
  json(value: unknown, status?: number): void;
  /** An answer without a body: 204 unless told. */
  empty(status?: number): void;
  send(status: number, headers: Headers, body: string | Uint8Array | null): void;
  stream(headers?: Headers, status?: number): ResponseStream;
  hijack(contentType: string): Hijacked;
}

export interface Route {
  readonly method: string;
  readonly path: string;
  readonly pattern: RegExp;
  readonly names: string[];
  readonly query: TObject | undefined;
  readonly body: TSchema | undefined;
  readonly bodyName: string;
  readonly bodyOptional: boolean;
  readonly bodyNeeded: boolean;
  readonly handler: (context: Context<never, never>) => unknown;
}

type StaticOr<T, Else> = T extends TSchema ? Static<T> : Else;

/**
 * Declares a route. `path` is without the version prefix; `{name}` matches one segment, `{name:.*}` any number.
 * With `body`, the request's JSON is decoded first; `bodyName` is the Go type in its error messages. One that is
 * `bodyOptional` may be of no type or only space; one that is `bodyNeeded` must not be empty.
 *
 *     route("POST", "/volumes/create", { body: VolumeCreate, bodyName: "CreateOptions" }, async (context) => …)
 */
export function route<Q extends TObject | undefined = undefined, B extends TSchema | undefined = undefined>(
  method: string,
  path: string,
  declared: { query?: Q; body?: B; bodyName?: string; bodyOptional?: boolean; bodyNeeded?: boolean },
  handler: (context: Context<StaticOr<Q, Record<string, unknown>>, StaticOr<B, undefined>>) => unknown,
): Route {
  const names: string[] = [];
  const source = path.replace(/\{(\w+)(:\.\*)?\}/g, (_, name: string, any: string | undefined) => {
    names.push(name);
    return any === undefined ? "([^/]+)" : "(.+)";
  });
  return {
    method,
    path,
    pattern: new RegExp(`^${source}$`),
    names,
    query: declared.query,
    body: declared.body,
    bodyName: declared.bodyName ?? "Value",
    bodyOptional: declared.bodyOptional ?? false,
    bodyNeeded: declared.bodyNeeded ?? false,
    handler: handler as Route["handler"],
  };
}

/** Finds the route of a request, decodes what it declares, and calls it. */
export class Router {
  /** By method and first segment: few candidates each. */
  private readonly table = new Map<string, Route[]>();

  add(routes: Route[]): void {
    for (const entry of routes) {
      const key = `${entry.method} ${firstSegment(entry.path)}`;
      const list = this.table.get(key);
      if (list === undefined) this.table.set(key, [entry]);
      else list.push(entry);
    }
  }

  async handle(exchange: Exchange): Promise<void> {
    const { head } = exchange;
    let path: string;
    try {
      path = head.path.includes("%") ? decodeURIComponent(head.path) : head.path;
    } catch {
      throw invalidParameter("invalid URL escape");
    }
    if (path.includes("\0")) throw invalidParameter("invalid path");
    const version = /^\/v([0-9.]+)(\/.*)$/.exec(path);
    if (version !== null) path = version[2] as string;
    const candidates = this.table.get(`${head.method} ${firstSegment(path)}`);
    if (candidates !== undefined) {
      for (const entry of candidates) {
        const match = entry.pattern.exec(path);
        if (match === null) continue;
        const api = version === null ? MAX_API : checkVersion(version[1] as string);
        const params: Record<string, string> = {};
        for (let i = 0; i < entry.names.length; i++) params[entry.names[i] as string] = match[i + 1] as string;
        const query = decodeQuery(entry.query, head.search);
        const body = entry.body === undefined ? undefined : await readBody(exchange, entry);
        await entry.handler(new RouteContext(exchange, api, params, query, body) as never);
        return;
      }
    }
    if (head.method === "OPTIONS") return exchange.send(200, {}, null);
    const clean = posix.normalize(head.path);
    if (clean !== head.path && clean.startsWith("/")) {
      return exchange.send(301, { Location: clean.replace(/^\/+/, "/") + (head.search && `?${head.search}`) }, null);
    }
    throw notFound("page not found");
  }
}

class RouteContext implements Context<unknown, unknown> {
  constructor(
    readonly exchange: Exchange,
    readonly api: number,
    readonly params: Record<string, string>,
    readonly query: unknown,
    readonly body: unknown,
  ) {}
  get signal(): AbortSignal {
    return this.exchange.signal;
  }
  header(name: string): string {
    return this.exchange.head.headers.get(name) ?? "";
  }
  json(value: unknown, status = 200): void {
    this.exchange.json(status, value);
  }
  empty(status = 204): void {
    this.exchange.send(status, {}, null);
  }
  send(status: number, headers: Headers, body: string | Uint8Array | null): void {
    this.exchange.send(status, headers, body);
  }
  stream(headers: Headers = { "Content-Type": "application/json" }, status = 200): ResponseStream {
    return this.exchange.stream(status, headers);
  }
  hijack(contentType: string): Hijacked {
    return this.exchange.hijack(contentType);
  }
}

function firstSegment(path: string): string {
  const slash = path.indexOf("/", 1);
  return slash < 0 ? path : path.slice(0, slash);
}

function checkVersion(text: string): number {
  // Numbers from left to right; what is missing is zero.
  const [major = 0, minor = 0, ...more] = text.split(".").map(Number);
  if (major < 1 || (major === 1 && minor < MIN_API)) {
    throw invalidParameter(
      `client version ${text} is too old. Minimum supported API version is 1.${MIN_API}, please upgrade your client to a newer version`,
    );
  }
  if (major > 1 || minor > MAX_API || (minor === MAX_API && more.some((part) => part > 0))) {
    throw invalidParameter(`client version ${text} is too new. Maximum supported API version is 1.${MAX_API}`);
  }
  return minor;
}

/** Largest JSON document taken. */
const MAX_JSON = 8 << 20;

async function readBody(exchange: Exchange, entry: Route): Promise<unknown> {
  const { head, body } = exchange;
  const schema = entry.body as TSchema;
  const type = head.headers.get("content-type") ?? "";
  const empty = head.contentLength === 0;
  if (!empty && type.split(";")[0]?.trim().toLowerCase() !== "application/json") {
    if (type !== "") throw invalidParameter(`unsupported Content-Type header (${type}): must be 'application/json'`);
    if (!entry.bodyOptional) throw invalidParameter("malformed Content-Type header (): mime: no media type");
  }
  const text = empty ? "" : await body.text(MAX_JSON);
  if (text.trim() === "") {
    // Docker takes a body of no bytes for an empty object nearly everywhere.
    if (entry.bodyOptional || (empty && !entry.bodyNeeded)) return decodeJson(schema, {}, entry.bodyName);
    throw invalidParameter("invalid JSON: got EOF while reading request body");
  }
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    if ((error as Error).message === TOO_DEEP) throw invalidParameter(`invalid JSON: ${TOO_DEEP}`);
    value = firstJson(text);
  }
  return decodeJson(schema, value, entry.bodyName);
}
