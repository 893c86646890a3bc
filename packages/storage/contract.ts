import type { Descriptor, Digest, ImageConfig } from "@gantry/spec";

/**
 * What storage promises to the engine, the builder and distribution. On disk, under the data root:
 *
 *     content/blobs/sha256/<hex>   blobs as received (OCI image layout); content/ingest/<key> half-done ones
 *     layers/<diffid hex>/diff     an unpacked layer, immutable; layers/<hex>/meta.json; layers/.tmp-* half-done ones
 *     containers/<id>/{diff,work}  a container's writable layer (the engine keeps its other files beside them)
 *     volumes/<name>/_data
 *
 * Metadata (images, references, layer sizes, volumes, leases) is in SQLite, in the `Database` that `openStorage` is
 * given; a file without a row is debris and collected at start, a row is only written after its files are complete.
 */
export interface Storage {
  readonly content: ContentStore;
  readonly layers: LayerStore;
  readonly images: ImageStore;
  readonly volumes: VolumeStore;
  /** Removes debris of killed ingests, unpacks and removals. Called once at daemon start, before anything else. */
  recover(): Promise<void>;
  /** Deletes blobs and layers nothing refers to and no lease holds. Returns bytes freed. */
  collect(): Promise<number>;
  /**
   * Holds everything ingested or unpacked until `release`, so that a collect in between takes nothing. A passive lease
   * holds only what is added to it, however long (the build cache).
   */
  lease(options?: { passive?: boolean }): Lease;
}

export interface Lease {
  add(digest: Digest): void;
  release(): void;
}

/** Content-addressed blobs. */
export interface ContentStore {
  has(digest: Digest): boolean;
  /** Size in bytes. Throws notFound. */
  size(digest: Digest): number;
  /** The file of a blob, for reading only. Throws notFound. */
  path(digest: Digest): string;
  /** Whole blob, refused (invalidParameter) above `limit` bytes; default 16 MiB. */
  read(digest: Digest, limit?: number): Promise<Uint8Array>;
  stream(digest: Digest, offset?: number): ReadableStream<Uint8Array>;
  /** Writes a small blob (a manifest, a config) at once. */
  put(bytes: Uint8Array): Promise<Digest>;
  /**
   * Begins or resumes a download under a key (usually the expected digest). `offset` says how many bytes are there
   * already. `commit` checks size and digest, syncs, and makes the blob visible; `close` keeps the partial file for a
   * later resume; `discard` deletes it.
   */
  ingest(key: string): Promise<Ingest>;
  delete(digest: Digest): void;
}

export interface Ingest {
  readonly offset: number;
  write(chunk: Uint8Array): Promise<void> | void;
  /** Throws invalidParameter where digest or size differ (and discards). `expected` null: takes whatever it is. */
  commit(expected: Digest | null, size?: number): Promise<Digest>;
  close(): void;
  discard(): void;
}

export interface Layer {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  /** The unpacked directory, for overlay's lowerdir. Immutable. */
  readonly dir: string;
  /** Sum of file sizes in bytes, as Docker counts. */
  readonly size: number;
}

export interface ContainerLayer {
  /**
   * Topmost first; includes the shared init layer (mount points such as /etc/hosts) at the very bottom. Empty where
   * `upper` is the whole root by itself (the vfs driver): a directory, no overlay.
   */
  readonly lower: string[];
  readonly upper: string;
  readonly work: string;
}

export interface Change {
  /** 0 modified, 1 added, 2 deleted (Docker's kinds). */
  kind: 0 | 1 | 2;
  path: string;
}

/**
 * Layers, each unpacked once into its own directory (an overlay lower), shared by all images that have it. Unpacking
 * verifies the digest over every byte, happens beside the final place, and is renamed into it whole. Layers do not
 * depend on each other on disk, so any number may be unpacked at the same time.
 */
export interface LayerStore {
  has(diffId: Digest): boolean;
  /** Throws notFound. */
  get(diffId: Digest): Layer;
  /**
   * Unpacks a layer tar (plain, gzip, zstd, xz or bzip2; told by its first bytes). Where `expected` is given, a
   * different digest of the uncompressed bytes is refused and nothing is left. Where the layer exists already, the
   * stream is cancelled and the layer returned. `blob`: also record that this compressed blob gives this layer.
   */
  unpack(source: ReadableStream<Uint8Array> | { path: string }, options?: UnpackOptions): Promise<Layer>;
  /** The uncompressed tar whose digest is the diffId, byte for byte. */
  tar(diffId: Digest): ReadableStream<Uint8Array>;
  /** The compressed blob known for this layer, if any (so that a push sends what was pulled). */
  blobFor(diffId: Digest): Descriptor | null;
  setBlobFor(diffId: Digest, blob: Descriptor): void;

  /** A new writable layer over these image layers (bottommost first, as in `rootfs.diff_ids`). */
  createContainer(id: string, diffIds: Digest[]): Promise<ContainerLayer>;
  getContainer(id: string): ContainerLayer;
  removeContainer(id: string): Promise<void>;
  /** IDs of all writable layers. */
  containerIds(): string[];
  /** Bytes in the writable layer. */
  containerSize(id: string): Promise<number>;
  /** What the container changed against its image, sorted by path. */
  changes(id: string): Promise<Change[]>;
  /** Turns the writable layer's present content into a new immutable layer (copies; the container goes on). */
  commitContainer(id: string): Promise<Layer>;
  /** The same by moving the directory, for builds whose container is thrown away afterwards. */
  sealContainer(id: string): Promise<Layer>;
  /**
   * A view of the whole root file system as a detached mount (fsopen/fsmount; nothing appears in any mount table).
   * The descriptor is for openat2(RESOLVE_IN_ROOT); `close` unmounts. A running container's is only taken `readonly`
   * (it shows what is there now, without locking anything).
   */
  view(id: string, options?: { readonly?: boolean }): Promise<RootView>;
  /** The same, read-only, for an image's layers; `bare`: without the init layer that every container has below them. */
  viewImage(diffIds: Digest[], options?: { bare?: boolean }): Promise<RootView>;
}

export interface RootView {
  readonly fd: number;
  close(): void;
}

export interface UnpackOptions {
  expected?: Digest;
  blob?: Descriptor;
  /** Called with the number of compressed bytes read so far. */
  onProgress?: (bytes: number) => void;
  signal?: AbortSignal;
}

/** An image as stored: identified by its config's digest (Docker's image ID). */
export interface StoredImage {
  readonly id: Digest;
  readonly config: ImageConfig;
  /** Names as `repository:tag`, familiar form ("busybox:latest", "localhost:5000/a/b:v1"). */
  readonly tags: string[];
  /** `repository@sha256:…` of the manifests it was pulled or pushed as. */
  readonly digests: string[];
  /** Sum of its layers' sizes in bytes. */
  readonly size: number;
  /** The image it was built or committed from here, if any. */
  readonly parent?: Digest;
  /** RFC 3339; when it was last tagged here. */
  readonly lastTagged?: string;
  /** The manifest that gave this image, where it came from a registry or an OCI layout. */
  readonly manifest?: Descriptor;
}

/** Images and their names. Every change is one SQLite transaction. */
export interface ImageStore {
  /** All images. */
  list(): StoredImage[];
  /** By full ID, unambiguous ID prefix, name[:tag] or name@digest; throws notFound `No such image: x`, as Docker does. */
  resolve(reference: string): StoredImage;
  get(id: Digest): StoredImage | null;
  /** Records an image whose layers are all unpacked. The config's bytes decide the ID. */
  create(
    config: Uint8Array,
    options?: { parent?: Digest; manifest?: Descriptor; manifestBytes?: Uint8Array },
  ): Promise<StoredImage>;
  /** Points repository:tag at the image, taking it from another one if need be. Returns the image it was taken from. */
  tag(id: Digest, repositoryTag: string): Digest | null;
  untag(repositoryTag: string): Digest;
  addDigest(id: Digest, repositoryDigest: string): void;
  removeDigest(repositoryDigest: string): void;
  /** Removes the image's row and names; blobs and layers go with the next collect. */
  delete(id: Digest): void;
  children(id: Digest): StoredImage[];
  /** Docker/OCI archives: reads either (or both in one), any compression. Returns what was loaded. */
  load(source: ReadableStream<Uint8Array>, options?: LoadOptions): Promise<LoadedImage[]>;
  /**
   * What references mean to a save: a name without tag all its tags, an ID an image without names. Throws notFound.
   */
  select(references: string[]): SavedImage[];
  /**
   * Writes Docker 25+'s combined archive: OCI layout plus manifest.json and repositories. What it needs is not collected before the stream
   * has ended or was cancelled, which `ended` is told.
   */
  save(images: string[] | SavedImage[], ended?: () => void): ReadableStream<Uint8Array>;
}

/** An image of an archive to be. */
export interface SavedImage {
  image: StoredImage;
  /** Familiar names to save it under. */
  tags: string[];
}

export interface LoadOptions {
  platform?: string;
  onProgress?: (event: { id: string; status: string; current?: number; total?: number }) => void;
  signal?: AbortSignal;
}

export interface LoadedImage {
  id: Digest;
  tags: string[];
}

/** Local volumes. Remote (plugin) drivers are the engine's. */
export interface VolumeStore {
  create(
    name: string,
    options?: { labels?: Record<string, string>; driverOpts?: Record<string, string> },
  ): Promise<StoredVolume>;
  get(name: string): StoredVolume | null;
  list(): StoredVolume[];
  remove(name: string): Promise<void>;
  /** Bytes used. */
  size(name: string): Promise<number>;
}

export interface StoredVolume {
  name: string;
  /** The `_data` directory. */
  mountpoint: string;
  createdAt: string;
  labels: Record<string, string>;
  driverOpts: Record<string, string>;
}
