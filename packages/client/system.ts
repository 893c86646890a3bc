import type {
  AuthConfig,
  AuthResponse,
  BuildPruneResponse,
  DiskUsage,
  EventMessage,
  ProgressMessage,
  SystemInfo,
  SystemVersion,
} from "@gantry/spec";
import { encodeAuth } from "./auth.ts";
import { drain, type EngineClient, type Query } from "./engine-client.ts";
import { type Filters, filtersText } from "./filters.ts";
import type { HijackedStream } from "./hijack.ts";
import { jsonStream } from "./json-stream.ts";

/** Calls about the engine itself: version, info, events, disk usage, login, build. */
export class System {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  /** Whether the engine answers; what it says of itself is in `EngineClient.server`. */
  async ping(): Promise<void> {
    await drain(await this.#client.call("HEAD", "/_ping", { unversioned: true }));
  }

  version(): Promise<SystemVersion> {
    return this.#client.json("GET", "/version");
  }

  info(): Promise<SystemInfo> {
    return this.#client.json("GET", "/info");
  }

  /** `types`: container, image, volume, build-cache; all where none is named. */
  diskUsage(options: { types?: string[] } = {}): Promise<DiskUsage> {
    return this.#client.json("GET", "/system/df", { query: { type: options.types } });
  }

  /** `since` and `until`: seconds since 1970 with a fraction, as text. Without `until` it goes on for ever. */
  async events(
    options: { since?: string; until?: string; filters?: Filters; signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<EventMessage>> {
    const { since, until, filters, signal } = options;
    const response = await this.#client.call("GET", "/events", {
      query: { since: since || undefined, until: until || undefined, filters: filtersText(filters) },
      ...(signal ? { signal } : {}),
    });
    return jsonStream(response.body);
  }

  /** Checks credentials with a registry. */
  login(auth: AuthConfig): Promise<AuthResponse> {
    return this.#client.json("POST", "/auth", { json: auth });
  }

  /** Builds from a context (a tar) or, with `remote` in the query, from a URL. */
  async build(
    context: Uint8Array | AsyncIterable<Uint8Array> | undefined,
    query: Query,
    options: { auth?: Record<string, AuthConfig>; signal?: AbortSignal } = {},
  ): Promise<AsyncIterable<ProgressMessage>> {
    const response = await this.#client.call("POST", "/build", {
      query,
      ...(context ? { body: context } : {}),
      headers: { "X-Registry-Config": encodeAuth(options.auth ?? {}) },
      ...(options.signal ? { signal: options.signal } : {}),
    });
    return jsonStream(response.body);
  }

  buildPrune(options: { all?: boolean; keepStorage?: number; filters?: Filters } = {}): Promise<BuildPruneResponse> {
    return this.#client.json("POST", "/build/prune", {
      query: {
        all: options.all || undefined,
        "keep-storage": options.keepStorage,
        filters: filtersText(options.filters),
      },
    });
  }

  /** BuildKit's gRPC over a stream of its own. */
  session(headers: Record<string, string>): Promise<HijackedStream> {
    return this.#client.hijack("POST", "/session", { headers });
  }
}
