import type {
  AuthConfig,
  DistributionInspect,
  HistoryResponseItem,
  ImageDeleteResponseItem,
  ImageInspect,
  ImagePruneResponse,
  ImageSummary,
  ProgressMessage,
  SearchResult,
} from "@gantry/spec";
import { authHeader } from "./auth.ts";
import type { EngineClient } from "./engine-client.ts";
import { type Filters, filtersText } from "./filters.ts";
import type { HttpResponse } from "./http.ts";
import { jsonStream } from "./json-stream.ts";

type Tar = Uint8Array | AsyncIterable<Uint8Array>;
type Progress = AsyncIterable<ProgressMessage>;

/** An OCI platform as a query takes it. */
export interface PlatformQuery {
  os: string;
  architecture: string;
  variant?: string;
}

/** Calls under /images and /distribution. Streams of progress end well even where the work failed: look for `error`. */
export class Images {
  #client: EngineClient;
  constructor(client: EngineClient) {
    this.#client = client;
  }

  list(
    options: { all?: boolean; digests?: boolean; sharedSize?: boolean; manifests?: boolean; filters?: Filters } = {},
  ): Promise<ImageSummary[]> {
    const { all, sharedSize, manifests, digests, filters } = options;
    return this.#client.json("GET", "/images/json", {
      query: {
        all: all || undefined,
        digests: digests || undefined,
        "shared-size": sharedSize || undefined,
        manifests: manifests || undefined,
        filters: filtersText(filters),
      },
    });
  }

  async inspect(name: string, options: { platform?: PlatformQuery; manifests?: boolean } = {}): Promise<ImageInspect> {
    return JSON.parse(await this.inspectText(name, options)) as ImageInspect;
  }

  /** The inspect document as the engine wrote it. */
  inspectText(name: string, options: { platform?: PlatformQuery; manifests?: boolean } = {}): Promise<string> {
    const { platform, manifests } = options;
    return this.#client.text("GET", `${at(name)}/json`, {
      query: { platform: platformText(platform), manifests: manifests || undefined },
    });
  }

  async history(name: string, options: { platform?: PlatformQuery } = {}): Promise<HistoryResponseItem[]> {
    return (
      (await this.#client.json<HistoryResponseItem[] | null>("GET", `${at(name)}/history`, {
        query: { platform: platformText(options.platform) },
      })) ?? []
    );
  }

  /** Pulls. `tag` may be a digest; empty with a bare name pulls all tags. `platform` as `os/arch/variant`. */
  async pull(
    name: string,
    options: { tag?: string; platform?: string; auth?: AuthConfig; signal?: AbortSignal } = {},
  ): Promise<Progress> {
    const { tag, platform, auth, signal } = options;
    const response = await this.#client.call("POST", "/images/create", {
      query: { fromImage: name, tag, platform: platform || undefined },
      headers: authHeader(auth),
      ...(signal ? { signal } : {}),
    });
    return jsonStream(response.body);
  }

  /** Makes an image from a tar of files: the body, or (`source`) a URL the engine fetches. */
  async import(options: {
    source: string;
    body?: Tar;
    repo?: string;
    tag?: string;
    message?: string;
    changes?: string[];
    platform?: string;
  }): Promise<Progress> {
    const { source, body, repo, tag, message, changes, platform } = options;
    const response = await this.#client.call("POST", "/images/create", {
      query: { fromSrc: source, repo, tag, message, changes, platform: platform || undefined },
      ...(body ? { body, contentType: "text/plain" } : {}),
    });
    return jsonStream(response.body);
  }

  async push(
    name: string,
    options: { tag?: string; auth?: AuthConfig; platform?: PlatformQuery; signal?: AbortSignal } = {},
  ): Promise<Progress> {
    const { tag, auth, platform, signal } = options;
    const response = await this.#client.call("POST", `${at(name)}/push`, {
      query: { tag, platform: platformText(platform) },
      // The engine wants the header even where there are no credentials.
      headers: authHeader(auth ?? {}),
      ...(signal ? { signal } : {}),
    });
    return jsonStream(response.body);
  }

  async tag(name: string, repo: string, tag?: string): Promise<void> {
    await this.#client.text("POST", `${at(name)}/tag`, { query: { repo, tag } });
  }

  remove(
    name: string,
    options: { force?: boolean; noprune?: boolean; platforms?: PlatformQuery[] } = {},
  ): Promise<ImageDeleteResponseItem[]> {
    return this.#client.json("DELETE", at(name), {
      query: {
        force: options.force || undefined,
        noprune: options.noprune || undefined,
        platforms: options.platforms?.map((platform) => JSON.stringify(platform)),
      },
    });
  }

  prune(filters?: Filters): Promise<ImagePruneResponse> {
    return this.#client.json("POST", "/images/prune", { query: { filters: filtersText(filters) } });
  }

  /** One archive with all the named images. */
  save(names: string[], options: { platforms?: PlatformQuery[] } = {}): Promise<HttpResponse> {
    return this.#client.call("GET", "/images/get", {
      query: { names, platform: options.platforms?.map((platform) => JSON.stringify(platform)) },
    });
  }

  /** Loads an archive. The answer is a stream of progress where its content type is JSON, text otherwise. */
  load(tar: Tar, options: { quiet?: boolean; platforms?: PlatformQuery[] } = {}): Promise<HttpResponse> {
    return this.#client.call("POST", "/images/load", {
      query: {
        quiet: options.quiet ?? false,
        platform: options.platforms?.map((platform) => JSON.stringify(platform)),
      },
      body: tar,
    });
  }

  search(
    term: string,
    options: { limit?: number; filters?: Filters; auth?: AuthConfig } = {},
  ): Promise<SearchResult[]> {
    return this.#client.json("GET", "/images/search", {
      query: { term, limit: options.limit || undefined, filters: filtersText(options.filters) },
      headers: authHeader(options.auth),
    });
  }

  /** What a registry has under a name: digest and platforms. */
  distribution(name: string, options: { auth?: AuthConfig } = {}): Promise<DistributionInspect> {
    return this.#client.json("GET", `/distribution/${encodePath(name)}/json`, { headers: authHeader(options.auth) });
  }
}

function at(name: string): string {
  return `/images/${encodePath(name)}`;
}

/** Slashes of a name are part of the path. */
function encodePath(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/").replaceAll("%3A", ":").replaceAll("%40", "@");
}

function platformText(platform: PlatformQuery | undefined): string | undefined {
  return platform && JSON.stringify(platform);
}
