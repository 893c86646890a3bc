import type { Authorizer } from "./auth/authorizer.ts";
import type { Endpoint, HostBook } from "./endpoints.ts";
import { responseFailure } from "./failure.ts";
import type { Request, Transport } from "./transport.ts";

/** One repository at one endpoint, with the rights to use it. */
export class Repository {
  readonly path: string;
  readonly #transport: Transport;
  readonly #hosts: HostBook;
  readonly #authorizer: (endpoint: Endpoint) => Authorizer;
  readonly #scopes: string[];
  #endpoint: Endpoint;
  #authority: Authorizer;
  /** Whether this endpoint has answered anything yet; until then it may be exchanged for plain HTTP. */
  #answered = false;

  /** `actions` such as `pull` or `pull,push`. An empty path stands for the registry itself, without any scope. */
  constructor(
    transport: Transport,
    hosts: HostBook,
    authorizer: (endpoint: Endpoint) => Authorizer,
    endpoint: Endpoint,
    path: string,
    actions: string,
  ) {
    this.#transport = transport;
    this.#hosts = hosts;
    this.#authorizer = authorizer;
    this.#endpoint = endpoint;
    this.#authority = authorizer(endpoint);
    this.path = path;
    this.#scopes = path ? [`repository:${path}:${actions}`] : [];
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** Also asks for the right to pull from this repository, which mounting its blobs needs. */
  withMountFrom(path: string): string[] {
    return [...this.#scopes, `repository:${path}:pull`];
  }

  /** An address in this repository: `manifests/latest`, `blobs/sha256:…`. */
  url(rest: string): string {
    return this.path ? `${this.#endpoint.url}/v2/${this.path}/${rest}` : `${this.#endpoint.url}/v2/${rest}`;
  }

  /** The refresh token that the token server gave, where one was asked for. */
  get refreshToken(): string | undefined {
    return this.#authority.refreshToken;
  }

  /**
   * Sends a request to an address in this repository, with authorization; asks for a token and tries once more where
   * the registry wants one. `rest` may be a whole URL, as an upload's Location is: credentials go along only where it
   * is on the endpoint's own origin.
   */
  async send(rest: string, request: Request = {}, scopes: string[] = this.#scopes): Promise<Response> {
    if (/^https?:\/\//.test(rest)) return this.#authorized(rest, request, scopes);
    return this.#reach(
      (url) => this.#authorized(url, request, scopes),
      () => this.url(rest),
    );
  }

  /** Finds out whether the registry is there at all, and how. Whatever it answers will do; throws what the network says. */
  async ping(signal?: AbortSignal): Promise<void> {
    if (this.#answered) return;
    const url = () => `${this.#endpoint.url}/v2/`;
    const response = await this.#reach((to) => this.#transport.send(to, { signal }), url);
    this.#answered = true;
    await response.body?.cancel();
  }

  /** Asks by HTTPS, and by plain HTTP where that is allowed and the other side does not speak TLS. */
  async #reach(ask: (url: string) => Promise<Response>, url: () => string): Promise<Response> {
    const endpoint = this.#endpoint;
    const { plain } = endpoint;
    if (this.#answered || !plain) return ask(url());
    try {
      return await ask(url());
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      // Another request of the same moment may have found the way already.
      if (this.#endpoint === endpoint) {
        if (this.#answered) throw error;
        this.#use(plain);
      }
      try {
        const response = await ask(url());
        this.#hosts.answersPlain(new URL(plain.url).host);
        return response;
      } catch (second) {
        if (!this.#answered) this.#use(endpoint);
        throw second;
      }
    }
  }

  /** The same; anything but the wanted statuses is thrown (see responseFailure). */
  async expect(statuses: number[], rest: string, request: Request = {}, scopes?: string[]): Promise<Response> {
    const response = await this.send(rest, request, scopes);
    if (!statuses.includes(response.status)) throw await responseFailure(response);
    return response;
  }

  #use(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#authority = this.#authorizer(endpoint);
  }

  async #authorized(url: string, request: Request, scopes: string[]): Promise<Response> {
    const own = new URL(url).origin === new URL(this.#endpoint.url).origin;
    const sent = own ? await this.#authority.header(scopes, request.signal) : undefined;
    const response = await this.#transport.send(url, withAuthorization(request, sent));
    this.#answered = true;
    // A refusal from another host than ours (a redirect's) has nothing to do with our credentials.
    if (response.status !== 401 || !own || !sameOrigin(response.url, url)) return response;
    const copy = response.clone() as Response;
    const next = await this.#authority.answer(response, scopes, sent, request.signal);
    if (next === undefined || next === sent || isStream(request.body)) return copy;
    await Promise.all([copy.body?.cancel(), response.body?.cancel()]).catch(() => {});
    return this.#transport.send(url, withAuthorization(request, next));
  }
}

function withAuthorization(request: Request, authorization: string | undefined): Request {
  return authorization ? { ...request, headers: { ...request.headers, authorization } } : request;
}

function isStream(body: Request["body"]): boolean {
  return body instanceof ReadableStream;
}

function sameOrigin(a: string, b: string): boolean {
  return a === "" || new URL(a).origin === new URL(b).origin;
}

/** Whether the other side speaks no TLS, or nothing at all, so that plain HTTP may be tried where allowed. */
function isUnreachable(error: unknown): boolean {
  const cause = (error as { cause?: { code?: string } })?.cause;
  return ["EPROTO", "ECONNREFUSED", "ECONNRESET", "ConnectionRefused"].includes(cause?.code ?? "");
}
