import {
  type DistributionInspect,
  type ImageConfig,
  invalidParameter,
  type Reference,
  type SearchResult,
  systemError,
  unauthorized,
} from "@gantry/spec";
import type { Storage } from "@gantry/storage";
import { Authorizer, TokenBook } from "./auth/authorizer.ts";
import type { Credentials } from "./auth/credentials.ts";
import type { RegistryConfig } from "./config.ts";
import { type Endpoint, HostBook } from "./endpoints.ts";
import { finalError, pullError } from "./errors.ts";
import { RegistryError } from "./failure.ts";
import { Limiter } from "./limiter.ts";
import type { Manifest } from "./manifest.ts";
import { backoffOf, type PulledImage, type PullOptions, pullImage } from "./pull.ts";
import { type PushedImage, type PushImage, type PushOptions, type PushRoom, pushImage } from "./push.ts";
import { type PushIndex, pushIndex } from "./push-index.ts";
import { Repository } from "./repository.ts";
import { fetchManifest, fetchSmallBlob, fetchTags, wanted } from "./resolve.ts";
import { type SearchOptions, searchRegistry } from "./search.ts";
import { Transfers } from "./transfers.ts";
import { Transport } from "./transport.ts";

export interface DistributionOptions {
  storage: Storage;
  /** Asked at each use, so that a reload of `daemon.json` takes effect at once; the same object while unchanged. */
  config: () => RegistryConfig;
  userAgent?: string;
}

export interface AccessOptions {
  credentials?: Credentials;
  signal?: AbortSignal;
}

/** The client of all registries. */
export interface Distribution {
  /** Brings one image into storage (layers, config, manifests), not yet under a name. */
  pull(reference: Reference, options: PullOptions): Promise<PulledImage>;
  push(reference: Reference, image: PushImage, options: PushOptions): Promise<PushedImage>;
  /** Pushes an index whole; undefined, and no tag put, where a part can neither be sent nor is there already. */
  pushIndex(reference: Reference, index: PushIndex, options: PushOptions): Promise<PushedImage | undefined>;
  /** The manifest or index that a reference names. */
  resolve(reference: Reference, options?: AccessOptions): Promise<Manifest>;
  /** All tags of the reference's repository. */
  tags(reference: Reference, options?: AccessOptions): Promise<string[]>;
  /** What `/distribution/{name}/json` tells. */
  inspect(reference: Reference, options?: AccessOptions): Promise<DistributionInspect>;
  /** Tries credentials. Returns a refresh token where the registry's token server gave one. Throws unauthorized. */
  login(registry: string, credentials: Credentials, signal?: AbortSignal): Promise<string | undefined>;
  search(term: string, options?: SearchOptions): Promise<SearchResult[]>;
}

/** Opens the client. It holds no sockets of its own besides idle ones, so there is nothing to close. */
export function openDistribution(options: DistributionOptions): Distribution {
  return new Client(options);
}

const MAX_CONFIG = 16 * 1024 * 1024;

class Client implements Distribution {
  readonly #storage: Storage;
  readonly #config: () => RegistryConfig;
  readonly #hosts: HostBook;
  readonly #transport: Transport;
  readonly #tokens = new TokenBook();
  readonly #transfers = new Transfers();
  readonly #downloads = new Limiter(1);
  readonly #uploads = new Limiter(1);

  constructor(options: DistributionOptions) {
    this.#storage = options.storage;
    this.#config = options.config;
    this.#hosts = new HostBook(options.config);
    this.#transport = new Transport(this.#hosts, options.userAgent ?? "gantry/0.1");
  }

  async pull(reference: Reference, options: PullOptions): Promise<PulledImage> {
    const config = this.#limits();
    const room = {
      storage: this.#storage,
      transport: this.#transport,
      transfers: this.#transfers,
      downloads: this.#downloads,
      config,
      repositories: await this.#repositories(reference, "pull", options.credentials),
    };
    return pullImage(room, reference, options).catch((error) => {
      throw pullError(error, reference);
    });
  }

  async push(reference: Reference, image: PushImage, options: PushOptions): Promise<PushedImage> {
    return pushImage(await this.#pushRoom(reference, options), reference, image, options);
  }

  async pushIndex(reference: Reference, index: PushIndex, options: PushOptions): Promise<PushedImage | undefined> {
    return pushIndex(await this.#pushRoom(reference, options), reference, index, options).catch((error) => {
      throw finalError(error);
    });
  }

  async #pushRoom(reference: Reference, { credentials }: PushOptions): Promise<PushRoom> {
    const config = this.#limits();
    const [repository] = await this.#repositories(reference, "pull,push", credentials, true);
    return { storage: this.#storage, uploads: this.#uploads, config, repository: repository! };
  }

  resolve(reference: Reference, options: AccessOptions = {}): Promise<Manifest> {
    return this.#read(reference, options, (repository, fetching) =>
      fetchManifest(repository, wanted(reference), reference.path, fetching),
    );
  }

  tags(reference: Reference, options: AccessOptions = {}): Promise<string[]> {
    return this.#read(reference, options, (repository) => fetchTags(repository, options.signal));
  }

  inspect(reference: Reference, options: AccessOptions = {}): Promise<DistributionInspect> {
    return this.#read(
      reference,
      options,
      async (repository, fetching) => {
        const manifest = await fetchManifest(repository, wanted(reference), reference.path, fetching);
        const { mediaType, digest, size } = manifest.descriptor;
        const Descriptor = { mediaType, digest, size };
        if (manifest.kind === "index") {
          const platforms = manifest.index.manifests.flatMap(({ platform }) => (platform ? [platform] : []));
          return { Descriptor, Platforms: platforms };
        }
        const bytes = await fetchSmallBlob(repository, manifest.image.config, MAX_CONFIG, fetching);
        const {
          architecture = "",
          os = "",
          variant,
        } = JSON.parse(new TextDecoder().decode(bytes)) as Partial<ImageConfig>;
        return { Descriptor, Platforms: [{ architecture, os, ...(variant ? { variant } : {}) }] };
      },
      finalError,
    );
  }

  async login(registry: string, credentials: Credentials, signal?: AbortSignal): Promise<string | undefined> {
    const host = registryOf(registry);
    const [endpoint] = await this.#hosts.endpoints(host, true);
    const authorizer = (at: Endpoint) =>
      new Authorizer(this.#transport, this.#hosts, new TokenBook(), at, credentials, true);
    const repository = new Repository(this.#transport, this.#hosts, authorizer, endpoint!, "", "");
    let response: Response;
    try {
      response = await repository.send("", { signal });
      await response.body?.cancel();
    } catch (error) {
      const final = finalError(error);
      if (!(final instanceof RegistryError)) throw final;
      // The token server's word on the credentials.
      const message = `Get ${JSON.stringify(repository.url(""))}: ${final.message}`;
      throw final.statusCode === 401
        ? unauthorized(message, final)
        : new RegistryError(final.statusCode, final.code, message);
    }
    if (response.status !== 200) {
      const reason = response.status === 401 ? "401 Unauthorized" : String(response.status);
      throw systemError(`login attempt to ${repository.url("")} failed with status: ${reason}`);
    }
    return repository.refreshToken;
  }

  search(term: string, options?: SearchOptions): Promise<SearchResult[]> {
    return searchRegistry(this.#transport, this.#hosts, term, options);
  }

  #limits(): RegistryConfig {
    const config = this.#config();
    this.#downloads.limit = config.maxConcurrentDownloads;
    this.#uploads.limit = config.maxConcurrentUploads;
    return config;
  }

  async #repositories(
    reference: Reference,
    actions: string,
    credentials?: Credentials,
    push = false,
  ): Promise<Repository[]> {
    const authorizer = (at: Endpoint) => new Authorizer(this.#transport, this.#hosts, this.#tokens, at, credentials);
    const endpoints = await this.#hosts.endpoints(reference.domain, push);
    return endpoints.map(
      (endpoint) => new Repository(this.#transport, this.#hosts, authorizer, endpoint, reference.path, actions),
    );
  }

  async #read<T>(
    reference: Reference,
    options: AccessOptions,
    work: (repository: Repository, fetching: Fetching) => Promise<T>,
    wording: (error: unknown, reference: Reference) => Error = pullError,
  ): Promise<T> {
    const config = this.#limits();
    const fetching = { signal: options.signal, backoff: backoffOf(config), stall: config.stallTimeout };
    let failure: unknown;
    for (const repository of await this.#repositories(reference, "pull", options.credentials)) {
      try {
        return await work(repository, fetching);
      } catch (error) {
        options.signal?.throwIfAborted();
        failure = error;
      }
    }
    throw wording(failure, reference);
  }
}

type Fetching = { signal?: AbortSignal; backoff: ReturnType<typeof backoffOf>; stall: number };

/** The registry of a server address as `docker login` has it: with or without scheme and path. */
export function registryOf(address: string): string {
  const host =
    address
      .trim()
      .replace(/^https?:\/\//i, "")
      .split("/")[0] ?? "";
  if (host === "" || host === "index.docker.io" || host === "docker.io" || host === "registry-1.docker.io")
    return "docker.io";
  if (!/^(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/.test(host)) {
    throw invalidParameter(`invalid registry address ${JSON.stringify(address.slice(0, 200))}`);
  }
  return host;
}
