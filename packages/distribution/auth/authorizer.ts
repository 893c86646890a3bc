import { createHash } from "node:crypto";
import { forbidden, invalidParameter, parseJson } from "@gantry/spec";
import { readAtMost } from "../body.ts";
import type { Endpoint, HostBook } from "../endpoints.ts";
import { responseFailure } from "../failure.ts";
import type { Transport } from "../transport.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import { basicAuthorization, type Credentials, noBasicAuth } from "./credentials.ts";

const CLIENT_ID = "gantry";
const MAX_TOKEN_BODY = 1024 * 1024;
const MAX_KEPT = 1000;

interface Token {
  value: string;
  /** Milliseconds since the epoch. */
  expires: number;
}

/** Challenges and tokens seen so far, shared by all sessions so that a second pull asks neither again. */
export class TokenBook {
  readonly challenges = new Map<string, Challenge>();
  readonly tokens = new Map<string, Promise<Token>>();

  keepChallenge(origin: string, challenge: Challenge): void {
    if (this.challenges.size >= MAX_KEPT) this.challenges.clear();
    this.challenges.set(origin, challenge);
  }
}

/** Answers the challenges of one endpoint with one user's credentials. */
export class Authorizer {
  readonly #transport: Transport;
  readonly #hosts: HostBook;
  readonly #book: TokenBook;
  readonly #credentials: Credentials | undefined;
  readonly #origin: string;
  readonly #identity: string;
  readonly #offline: boolean;
  /** A newer refresh token that the token server gave us, if any. */
  refreshToken: string | undefined;

  /** `offline`: also ask for a refresh token, as login does. */
  constructor(
    transport: Transport,
    hosts: HostBook,
    book: TokenBook,
    endpoint: Endpoint,
    credentials?: Credentials,
    offline = false,
  ) {
    this.#offline = offline;
    this.#transport = transport;
    this.#hosts = hosts;
    this.#book = book;
    this.#credentials = endpoint.mirror ? undefined : credentials;
    this.#origin = new URL(endpoint.url).origin;
    const c = this.#credentials;
    const secret = c ? JSON.stringify([c.username, c.password, c.identityToken, c.registryToken]) : "";
    this.#identity = createHash("sha256").update(secret).digest("hex");
  }

  /** The `Authorization` to send at once, where an earlier challenge of this endpoint tells what is wanted. */
  async header(scopes: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
    if (this.#credentials?.registryToken) return `Bearer ${this.#credentials.registryToken}`;
    const challenge = this.#book.challenges.get(this.#origin);
    if (!challenge) return undefined;
    if (challenge.scheme === "basic") {
      return this.#credentials?.username ? basicAuthorization(this.#credentials) : undefined;
    }
    return `Bearer ${(await this.#token(challenge, scopes, signal)).value}`;
  }

  /**
   * Takes in a 401. Returns the `Authorization` for one more try, or undefined where there is nothing (else) to show.
   * `sent` is what the refused request carried. Throws what the token server said where it refuses.
   */
  async answer(
    response: Response,
    scopes: readonly string[],
    sent?: string,
    signal?: AbortSignal,
  ): Promise<string | undefined> {
    const challenges = parseChallenges(response.headers.get("www-authenticate"));
    const challenge =
      challenges.find((c) => c.scheme === "bearer" && c.parameters["realm"]) ??
      challenges.find((c) => c.scheme === "basic");
    if (!challenge || this.#credentials?.registryToken) return undefined;
    if (challenge.scheme === "basic") {
      if (!this.#credentials?.username) throw noBasicAuth(response.url || this.#origin);
      const header = basicAuthorization(this.#credentials);
      if (header === sent) return undefined;
      this.#book.keepChallenge(this.#origin, challenge);
      return header;
    }
    this.#book.keepChallenge(this.#origin, challenge);
    const key = this.#key(challenge, scopes);
    const kept = await this.#book.tokens.get(key)?.catch(() => undefined);
    // What was just refused is of no more use; a token that another request got meanwhile may be.
    if (kept && `Bearer ${kept.value}` === sent) this.#book.tokens.delete(key);
    return `Bearer ${(await this.#token(challenge, scopes, signal)).value}`;
  }

  #key(challenge: Challenge, scopes: readonly string[]): string {
    const { realm, service } = challenge.parameters;
    return JSON.stringify([realm, service, [...scopes].sort(), this.#identity]);
  }

  async #token(challenge: Challenge, scopes: readonly string[], signal?: AbortSignal): Promise<Token> {
    const key = this.#key(challenge, scopes);
    const kept = this.#book.tokens.get(key);
    if (kept) {
      const token = await kept;
      if (token.expires > Date.now()) return token;
      if (this.#book.tokens.get(key) === kept) this.#book.tokens.delete(key);
      return this.#token(challenge, scopes, signal);
    }
    if (this.#book.tokens.size >= MAX_KEPT) this.#book.tokens.clear();
    // Not bound to one caller's signal: others may wait for the same token.
    const asked = this.#ask(challenge, scopes);
    this.#book.tokens.set(key, asked);
    asked.catch(() => this.#book.tokens.delete(key));
    const token = await asked;
    signal?.throwIfAborted();
    return token;
  }

  async #ask(challenge: Challenge, scopes: readonly string[]): Promise<Token> {
    const realm = await this.#realm(challenge.parameters["realm"] ?? "");
    const service = challenge.parameters["service"];
    const credentials = this.#credentials;
    const refresh = this.refreshToken ?? credentials?.identityToken;
    let response: Response;
    if (refresh) {
      response = await this.#post(realm, scopes, { grant_type: "refresh_token", refresh_token: refresh, service });
    } else {
      const url = new URL(realm);
      if (service) url.searchParams.set("service", service);
      for (const scope of scopes) url.searchParams.append("scope", scope);
      const headers: Record<string, string> = {};
      if (credentials?.username) {
        url.searchParams.set("account", credentials.username);
        url.searchParams.set("client_id", CLIENT_ID);
        if (this.#offline) url.searchParams.set("offline_token", "true");
        headers["authorization"] = basicAuthorization(credentials);
      }
      response = await this.#transport.send(url.href, { headers });
      if (response.status === 405 && credentials?.username) {
        await response.body?.cancel();
        const { username, password = "" } = credentials;
        response = await this.#post(realm, scopes, { grant_type: "password", username, password, service });
      }
    }
    if (response.status !== 200) throw await responseFailure(response);
    return this.#read(await readAtMost(response, MAX_TOKEN_BODY));
  }

  #post(realm: URL, scopes: readonly string[], fields: Record<string, string | undefined>): Promise<Response> {
    const form = new URLSearchParams({ client_id: CLIENT_ID, scope: scopes.join(" ") });
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, value);
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return this.#transport.send(realm.href, { method: "POST", headers, body: form.toString() });
  }

  #read(body: Uint8Array): Token {
    let json: Record<string, unknown>;
    try {
      json = parseJson(new TextDecoder().decode(body)) as Record<string, unknown>;
    } catch (error) {
      throw invalidParameter("unable to decode token response", error);
    }
    const value = json["token"] || json["access_token"];
    if (typeof value !== "string" || !/^[\x21-\x7e]+$/.test(value)) {
      throw invalidParameter("authorization server did not include a token in the response");
    }
    if (typeof json["refresh_token"] === "string" && json["refresh_token"]) this.refreshToken = json["refresh_token"];
    const lifetime = Math.max(60, Number(json["expires_in"]) || 60);
    // Asked for anew a little before the end, so that no request arrives with a token that has just died.
    return { value, expires: Date.now() + lifetime * 900 };
  }

  async #realm(text: string): Promise<URL> {
    let realm: URL;
    try {
      realm = new URL(text);
    } catch {
      throw invalidParameter(`invalid token auth realm ${JSON.stringify(text.slice(0, 200))}`);
    }
    if (realm.protocol !== "https:" && realm.protocol !== "http:") {
      throw forbidden(`unsupported scheme in token auth realm ${JSON.stringify(text.slice(0, 200))}`);
    }
    realm.username = "";
    realm.password = "";
    const secured = this.#origin.startsWith("https:");
    if (realm.protocol === "http:" && secured && !(await this.#hosts.trust(realm.host)).plainAllowed) {
      throw forbidden(`token auth realm ${realm.origin} without TLS refused`);
    }
    return realm;
  }
}
