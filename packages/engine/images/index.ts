import type { Emit, SearchOptions } from "@gantry/distribution";
import type {
  AttestationStatement,
  Digest,
  DistributionInspect,
  HistoryResponseItem,
  ImageDeleteResponseItem,
  ImageInspect,
  ImagePruneResponse,
  ImageSummary,
  SearchResult,
} from "@gantry/spec";
import { parseReference, withDefaultTag } from "@gantry/spec";
import type { StoredImage } from "@gantry/storage";
import type { Filters } from "../filters.ts";
import { type LoadRequest, load, save, tag } from "./archive.ts";
import { type AttestationQuery, attestations, attestationText } from "./attestations.ts";
import { Collector } from "./collector.ts";
import { type CommitRequest, commitImage, type ImportRequest, importImage } from "./derive.ts";
import { history, inspect } from "./inspect.ts";
import { type ListOptions, layersSize, list } from "./list.ts";
import { prune } from "./prune.ts";
import { type PullRequest, pull } from "./pull.ts";
import { checkPush, type PushRequest, push } from "./push.ts";
import { type RemoveOptions, remove, removePlatform } from "./remove.ts";
import type { ImageRoom, ImagesOptions } from "./room.ts";
import { search } from "./search.ts";

export type { LoadRequest } from "./archive.ts";
export type { CommitRequest, ImportRequest } from "./derive.ts";
export type { ListOptions } from "./list.ts";
export type { PullRequest } from "./pull.ts";
export type { PushRequest } from "./push.ts";
export type { RemoveOptions } from "./remove.ts";
export type { ImagesOptions, ImageUser } from "./room.ts";
export { importMessage, openUrl } from "./url-source.ts";

/**
 * The life of images: how they come, are named, looked at, given away and go. Every method throws GantryError in
 * Docker's words. What a removal leaves unused is collected in the background.
 */
export class Images {
  readonly #room: ImageRoom;
  readonly #collector: Collector;

  constructor(options: ImagesOptions) {
    const later = options.later ?? ((_, work) => void work.catch(() => {}));
    this.#collector = new Collector(options.storage, later, options.grace);
    // What a killed daemon was about.
    this.#collector.abandoned();
    this.#room = { ...options, collectSoon: () => this.#collector.soon() };
  }

  /** By name, ID or unambiguous prefix. Throws notFound `No such image: …`. */
  resolve(name: string): StoredImage {
    return this.#room.storage.images.resolve(name);
  }

  pull(request: PullRequest, emit: Emit): Promise<void> {
    return this.#bring(pull(this.#room, request, emit));
  }

  /** Pulls and returns the image, for run and build. */
  async pullAndGet(request: PullRequest, emit: Emit): Promise<StoredImage> {
    await this.pull(request, emit);
    return this.resolve(request.tag ? joinTag(request.image, request.tag) : request.image);
  }

  /** Throws notFound where the image of a push for one platform is of another: to be asked before an answer is begun. */
  checkPush(request: PushRequest): Promise<void> {
    return checkPush(this.#room, request);
  }

  push(request: PushRequest, emit: Emit): Promise<void> {
    return push(this.#room, request, emit);
  }

  load(request: LoadRequest, emit: Emit): Promise<void> {
    return this.#bring(load(this.#room, request, emit));
  }

  save(names: string[], options?: { platform?: string }): Promise<ReadableStream<Uint8Array>> {
    return save(this.#room, names, options);
  }

  import(request: ImportRequest): Promise<Digest> {
    return this.#bring(importImage(this.#room, request));
  }

  /** The image side of `docker commit`. */
  commit(request: CommitRequest): Promise<Digest> {
    return commitImage(this.#room, request);
  }

  tag(name: string, repository: string, tagName: string): void {
    tag(this.#room, name, repository, tagName);
  }

  remove(name: string, options?: RemoveOptions): ImageDeleteResponseItem[] {
    return remove(this.#room, name, options);
  }

  /** Removes one platform (`os/arch[/variant]`) of what was pulled under a name. */
  removePlatform(name: string, platform: string, options?: RemoveOptions): Promise<ImageDeleteResponseItem[]> {
    return removePlatform(this.#room, name, platform, options);
  }

  prune(filters: Filters): Promise<ImagePruneResponse> {
    return prune(this.#room, filters);
  }

  list(options: ListOptions): Promise<ImageSummary[]> {
    return list(this.#room, options);
  }

  inspect(
    name: string,
    options?: { manifests?: boolean | undefined; platform?: string | undefined },
  ): Promise<ImageInspect> {
    return inspect(this.#room, name, options);
  }

  history(name: string, platform?: string): Promise<HistoryResponseItem[]> {
    return history(this.#room, name, platform);
  }

  /** The in-toto statements that came with an image. Throws notFound. */
  attestations(name: string, query: AttestationQuery): Promise<AttestationStatement[]> {
    return attestations(this.#room, name, query);
  }

  /** The JSON of one of those. Throws notFound. */
  attestationText(statement: AttestationStatement): Promise<string> {
    return attestationText(this.#room, statement);
  }

  search(term: string, filters: Filters, options?: SearchOptions): Promise<SearchResult[]> {
    return search(this.#room, term, filters, options);
  }

  /** What a registry says about a name, without pulling. */
  inspectRemote(name: string, options: Pick<PullRequest, "credentials" | "signal"> = {}): Promise<DistributionInspect> {
    return this.#room.distribution.inspect(withDefaultTag(parseReference(name)), options);
  }

  /** The part of `system df` that is about images. */
  async usage(filters: Filters): Promise<{ LayersSize: number; Images: ImageSummary[] }> {
    const Images = await list(this.#room, { filters, sharedSize: true, containers: true });
    return { LayersSize: layersSize(this.#room), Images };
  }

  /** Deletes what removals have left unused, now. */
  collect(): Promise<void> {
    return this.#collector.flush();
  }

  async #bring<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.#collector.abandoned();
      throw error;
    }
  }
}

/** Opens the image service on its parts. */
export function openImages(options: ImagesOptions): Images {
  return new Images(options);
}

function joinTag(image: string, tagOrDigest: string): string {
  return tagOrDigest.includes(":") ? `${image}@${tagOrDigest}` : `${image}:${tagOrDigest}`;
}
