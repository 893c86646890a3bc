import {
  type Descriptor,
  type Digest,
  type ImageConfig,
  type ImageIndex,
  invalidParameter,
  MediaType,
  type Platform,
  type Reference,
  referenceName,
} from "@gantry/spec";
import { Authorizer, TokenBook } from "../auth/authorizer.ts";
import { type Credentials, toCredentials } from "../auth/credentials.ts";
import { chunksOf } from "../body.ts";
import { DEFAULT_REGISTRY_CONFIG, type RegistryConfig } from "../config.ts";
import { type Endpoint, HostBook } from "../endpoints.ts";
import { finalError, pullError } from "../errors.ts";
import { digestOf, type Manifest } from "../manifest.ts";
import { Repository } from "../repository.ts";
import { fetchManifest, fetchSmallBlob, wanted } from "../resolve.ts";
import { DEFAULT_BACKOFF, retrying } from "../retry.ts";
import { Transport } from "../transport.ts";
import { hasBlob, uploadBlob } from "../upload.ts";

export interface ListClientOptions {
  /** Registries that may be spoken to without verified TLS. */
  insecureRegistries?: string[];
  /** Credentials for a registry (AuthConfig as `config.json` has it). */
  credentials: (domain: string) => Record<string, unknown> | undefined;
  certificateDirs?: string[];
  userAgent?: string;
}

/** A manifest in a registry, with the platform that its config tells. */
export interface ResolvedEntry {
  manifest: Manifest;
  platform: Platform | undefined;
}

export interface PushedEntry {
  reference: Reference;
  manifest: Uint8Array;
  descriptor: Descriptor;
}

/** What the manifest commands need of registries. Errors are GantryErrors in Docker's words. */
export interface ListClient {
  /** Fetches what a reference names. */
  resolve(reference: Reference): Promise<ResolvedEntry>;
  /** Fetches all manifests of an index. */
  resolveAll(reference: Reference, index: ImageIndex): Promise<ResolvedEntry[]>;
  /** Makes the target's repository have the entries and their blobs, then puts the list. Tells each entry pushed. */
  push(
    target: Reference,
    entries: readonly PushedEntry[],
    pushed: (digest: Digest, name: string) => void,
  ): Promise<Digest>;
}

const MAX_CONFIG = 16 * 1024 * 1024;

/** Opens the client. It keeps tokens in memory only. */
export function openListClient(options: ListClientOptions): ListClient {
  return new Client(options);
}

class Client implements ListClient {
  readonly #hosts: HostBook;
  readonly #transport: Transport;
  readonly #tokens = new TokenBook();
  readonly #options: ListClientOptions;

  constructor(options: ListClientOptions) {
    const { insecureRegistries = [], certificateDirs = DEFAULT_REGISTRY_CONFIG.certificateDirs } = options;
    const config: RegistryConfig = { ...DEFAULT_REGISTRY_CONFIG, insecureRegistries, certificateDirs };
    this.#options = options;
    this.#hosts = new HostBook(() => config);
    this.#transport = new Transport(this.#hosts, options.userAgent ?? "gantry/0.1");
  }

  async resolve(reference: Reference): Promise<ResolvedEntry> {
    const repository = await this.#repository(reference, "pull");
    try {
      return await this.#entry(repository, wanted(reference), reference);
    } catch (error) {
      throw pullError(error, reference);
    }
  }

  async resolveAll(reference: Reference, index: ImageIndex): Promise<ResolvedEntry[]> {
    const repository = await this.#repository(reference, "pull");
    try {
      return await Promise.all(
        index.manifests.map(async ({ digest, platform }) => {
          const manifest = await fetchManifest(repository, digest, reference.path);
          return { manifest, platform };
        }),
      );
    } catch (error) {
      throw pullError(error, reference);
    }
  }

  async push(
    target: Reference,
    entries: readonly PushedEntry[],
    pushed: (digest: Digest, name: string) => void,
  ): Promise<Digest> {
    for (const { reference } of entries) {
      if (reference.domain === target.domain) continue;
      throw invalidParameter(
        `cannot use source images from a different registry than the target image: ${reference.domain} != ${target.domain}`,
      );
    }
    const repository = await this.#repository(target, "pull,push");
    try {
      for (const entry of entries) {
        if (entry.reference.path !== target.path) await this.#copyBlobs(repository, entry);
        await this.#put(repository, entry.descriptor.digest, entry.descriptor.mediaType, entry.manifest);
        pushed(entry.descriptor.digest, referenceName(entry.reference));
      }
      const list = {
        schemaVersion: 2,
        mediaType: MediaType.dockerManifestList,
        manifests: entries.map(({ descriptor: { mediaType, size, digest, platform } }) => ({
          mediaType,
          size,
          digest,
          platform,
        })),
      };
      const bytes = new TextEncoder().encode(JSON.stringify(list, null, 3));
      await this.#put(repository, target.tag ?? "latest", MediaType.dockerManifestList, bytes);
      return digestOf(bytes);
    } catch (error) {
      throw finalError(error);
    }
  }

  async #entry(repository: Repository, tagOrDigest: string, reference: Reference): Promise<ResolvedEntry> {
    const manifest = await fetchManifest(repository, tagOrDigest, reference.path);
    if (manifest.kind === "index") return { manifest, platform: undefined };
    const bytes = await fetchSmallBlob(repository, manifest.image.config, MAX_CONFIG);
    const config = JSON.parse(new TextDecoder().decode(bytes)) as Partial<ImageConfig>;
    const { architecture = "", os = "", variant } = config;
    const platform: Platform = { architecture, os };
    if (config["os.version"]) platform["os.version"] = config["os.version"];
    if (config["os.features"]) platform["os.features"] = config["os.features"];
    if (variant) platform.variant = variant;
    return { manifest, platform };
  }

  /** Mounts an entry's blobs from its own repository; where the registry cannot, they go through here. */
  async #copyBlobs(target: Repository, entry: PushedEntry): Promise<void> {
    const source = await this.#repository(entry.reference, "pull");
    const manifest = JSON.parse(new TextDecoder().decode(entry.manifest)) as {
      config?: Descriptor;
      layers?: Descriptor[];
    };
    for (const { digest, size } of [manifest.config, ...(manifest.layers ?? [])].filter((blob) => blob !== undefined)) {
      if (await hasBlob(target, digest)) continue;
      const open = (offset: number) => blobStream(source, digest, offset);
      await uploadBlob(
        target,
        { digest, size, open },
        { mountFrom: [entry.reference.path], backoff: DEFAULT_BACKOFF, stall: DEFAULT_REGISTRY_CONFIG.stallTimeout },
      );
    }
  }

  async #put(repository: Repository, at: string, mediaType: string, body: Uint8Array): Promise<void> {
    await retrying(async () => {
      const request = { method: "PUT" as const, headers: { "content-type": mediaType }, body };
      const response = await repository.expect([201, 202], `manifests/${at}`, request);
      await response.body?.cancel();
    });
  }

  async #repository(reference: Reference, actions: string): Promise<Repository> {
    const known = this.#options.credentials(reference.domain);
    const credentials: Credentials | undefined = known && toCredentials(known);
    const authorizer = (at: Endpoint) => new Authorizer(this.#transport, this.#hosts, this.#tokens, at, credentials);
    const [endpoint] = await this.#hosts.endpoints(reference.domain, true);
    return new Repository(this.#transport, this.#hosts, authorizer, endpoint!, reference.path, actions);
  }
}

/** A blob of another repository as a stream, fetched when it is first read. */
function blobStream(source: Repository, digest: Digest, offset: number): ReadableStream<Uint8Array> {
  let chunks: AsyncGenerator<Uint8Array> | undefined;
  const begin = async () => {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const response = await source.expect([offset > 0 ? 206 : 200], `blobs/${digest}`, { headers });
    return chunksOf(response, DEFAULT_REGISTRY_CONFIG.stallTimeout);
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        chunks ??= await begin();
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks?.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
