import { forbidden, systemError } from "@gantry/spec";
import type { HostBook } from "./endpoints.ts";
import { networkFailure } from "./failure.ts";
import { TransientError } from "./retry.ts";

export interface Request {
  method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  headers?: Record<string, string>;
  body?: Uint8Array | string | ReadableStream<Uint8Array>;
  signal?: AbortSignal;
  /** Milliseconds until the response's head must be there; an upload sets it to its own needs. 0 is forever. */
  headTimeout?: number;
}

const MAX_REDIRECTS = 10;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Meant for one host only: never carried to another one. */
const CONFINED = ["authorization", "cookie", "proxy-authorization"];

/**
 * HTTP as registries need it: TLS by host, redirects followed by hand and only for GET and HEAD, no credential to
 * another origin than the one it was meant for, no plain HTTP except where it is allowed.
 */
export class Transport {
  readonly #hosts: HostBook;
  readonly #userAgent: string;

  constructor(hosts: HostBook, userAgent: string) {
    this.#hosts = hosts;
    this.#userAgent = userAgent;
  }

  /** Sends, follows redirects, and returns whatever answers. Throws a TransientError for network trouble. */
  async send(url: string, request: Request = {}): Promise<Response> {
    const method = request.method ?? "GET";
    let headers: Record<string, string> = { "user-agent": this.#userAgent, ...request.headers };
    let at = new URL(url);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await this.#once(at, method, headers, request);
      const location = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
      if (location === null || (method !== "GET" && method !== "HEAD")) return response;
      await response.body?.cancel().catch(() => {});
      const next = await this.#follow(at, location);
      if (next.origin !== at.origin) {
        headers = Object.fromEntries(
          Object.entries(headers).filter(([name]) => !CONFINED.includes(name.toLowerCase())),
        );
      }
      at = next;
    }
    throw systemError(`${method} ${JSON.stringify(url)}: stopped after ${MAX_REDIRECTS} redirects`);
  }

  async #follow(from: URL, location: string): Promise<URL> {
    let next: URL;
    try {
      next = new URL(location, from);
    } catch {
      throw systemError(`redirect from ${from.origin} to an invalid address`);
    }
    if (next.protocol !== "https:" && next.protocol !== "http:") {
      throw forbidden(`redirect from ${from.origin} to unsupported scheme ${JSON.stringify(next.protocol)}`);
    }
    next.username = "";
    next.password = "";
    if (next.protocol === "http:" && from.protocol === "https:" && !(await this.#hosts.trust(next.host)).plainAllowed) {
      throw forbidden(`redirect from ${from.origin} to plain HTTP at ${next.host} refused`);
    }
    return next;
  }

  async #once(url: URL, method: string, headers: Record<string, string>, request: Request): Promise<Response> {
    const { signal } = request;
    signal?.throwIfAborted();
    const tls = url.protocol === "https:" ? (await this.#hosts.trust(url.host)).tls : undefined;
    const abort = new AbortController();
    const onAbort = () => abort.abort(signal?.reason);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    const timeout = request.headTimeout ?? 30_000;
    const timer = timeout > 0 ? setTimeout(() => abort.abort(new HeadTimeout(timeout)), timeout) : undefined;
    try {
      return await fetch(url, {
        method,
        headers,
        body: request.body,
        redirect: "manual",
        signal: abort.signal,
        ...({ decompress: false, tls, timeout: false } as object),
      });
    } catch (error) {
      if (error instanceof HeadTimeout)
        throw new TransientError(`${method} ${JSON.stringify(url.href)}: ${error.message}`);
      throw networkFailure(method, url.href, error, signal);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

class HeadTimeout extends Error {
  constructor(timeout: number) {
    super(`no answer within ${Math.round(timeout / 100) / 10} seconds`);
  }
}
