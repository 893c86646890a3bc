import type { Database } from "bun:sqlite";
import type { Runtime } from "@gantry/libcontainer";
import type { NetworkController } from "@gantry/network";
import type { Digest, OciRlimit, Platform } from "@gantry/spec";
import type { Storage, StoredImage } from "@gantry/storage";

/**
 * Builds images. Life cycle of a build: the context is received into a directory below `root`, the Dockerfile becomes a
 * plan, the solver runs the plan's vertices (each result is a layer, or one found in the cache), and images are made of
 * them. Whatever way a build ends, its context, containers and mounts are gone afterwards; what a killed daemon left is
 * removed by `recover`. The cache survives: it holds its layers by a lease of its own, until `prune`.
 */
export interface Builder {
  /** Ends containers of builds that a killed daemon left, and removes their files. Once, before the first build. */
  recover(): Promise<void>;
  /**
   * Runs a build in the classic builder's manner: progress goes to `output` as it happens. Returns the image's ID.
   * Throws GantryError; `RunFailed` where a command of the Dockerfile failed.
   */
  build(request: BuildRequest, output: BuildOutput): Promise<Digest>;
  /** What the cache holds, for `system df`. */
  usage(): Promise<CacheRecord[]>;
  /** Removes cache records. Returns what was removed and the bytes that frees. */
  prune(options: PruneOptions): Promise<{ deleted: string[]; reclaimed: number }>;
  /** Ends what is being built, and waits until nothing of it is left. */
  close(): Promise<void>;
}

export interface BuilderOptions {
  storage: Storage;
  runtime: Runtime;
  network: NetworkController;
  /** The image a reference names: present already, or (`always`, or missing) pulled, telling `progress` the pull's messages. */
  pullImage: PullImage;
  db: Database;
  /** Directory of the builder: contexts, downloads, cache mounts, running steps. On the file system of the layers. */
  root: string;
  /** Directory for running steps' sockets; on tmpfs where possible. Default: below `root`. */
  execRoot?: string;
  /** Cgroup under which build containers are. */
  cgroupParent?: string;
  /** Name servers and searches for build containers, as the daemon's flags give them. */
  dns?: { servers: string[]; search: string[]; options: string[] };
  /** How many RUN steps may run at a time. Default: the number of processors, at least 2. */
  parallelism?: number;
  /** An image was named by a build. */
  onTag?: (id: Digest, name: string) => void;
}

export type PullImage = (
  reference: string,
  options: {
    platform?: Platform;
    /** Ask the registry even where the image is here. */
    always: boolean;
    /** `X-Registry-Config`, decoded: credentials by registry. */
    auth?: Record<string, unknown>;
    /** Docker's progress messages (`{status, id, progressDetail}`). */
    progress: (message: object) => void;
    signal: AbortSignal;
  },
) => Promise<StoredImage>;

/** Where a build's files come from. */
export type BuildSource =
  /** A tar, compressed or not, as the client sends it. */
  | { type: "tar"; stream: AsyncIterable<Uint8Array> }
  /** A git repository, a tar or a single Dockerfile at a URL. */
  | { type: "remote"; url: string };

export interface BuildRequest {
  source: BuildSource;
  /** Path of the Dockerfile in the context. Default "Dockerfile". */
  dockerfile: string;
  /** Names for the image, as given. */
  tags: string[];
  target: string;
  buildArgs: Record<string, string | null>;
  labels: Record<string, string>;
  platform?: Platform;
  noCache: boolean;
  pull: boolean;
  /** Images whose history may serve as cache. */
  cacheFrom: string[];
  /** Whether to say that containers were removed: after success, and after failure. */
  remove: boolean;
  forceRemove: boolean;
  /** Send no progress, only the result. */
  quiet: boolean;
  auth?: Record<string, unknown>;
  run: RunSettings;
  signal: AbortSignal;
}

/** How RUN's containers are run; not part of what a step is. */
export interface RunSettings {
  /** HostConfig.NetworkMode's values; "" for the default. */
  networkMode: string;
  extraHosts: string[];
  memory: number;
  memorySwap: number;
  cpuShares: number;
  cpuPeriod: number;
  cpuQuota: number;
  cpusetCpus: string;
  cpusetMems: string;
  cgroupParent: string;
  /** Bytes; 0 for the default of 64 MiB. */
  shmSize: number;
  rlimits: OciRlimit[];
  secrets: SecretSource;
}

/** What `RUN --mount=type=secret` and `type=ssh` get. */
export interface SecretSource {
  /** A secret's bytes, or null where there is none of that name. */
  secret(id: string): Promise<Uint8Array | null>;
  /** Path of an agent's socket on this machine, or null. */
  sshAgent(id: string): Promise<string | null>;
}

/** The classic builder's stream. */
export interface BuildOutput {
  /** A message of Docker's JSON stream: `{stream}`, `{aux}`, `{status, …}`. May return a promise for back-pressure. */
  message(message: object): void | Promise<void>;
}

export interface PruneOptions {
  /** All, instead of what no image uses. */
  all: boolean;
  /** Keep this many bytes, the last used first. */
  keep: number;
  /** Only what was last used this many milliseconds ago or longer. */
  olderThan?: number;
  /** Only what this is true of. */
  matches?: (record: CacheRecord) => boolean;
}

/** One thing the cache holds. Times in milliseconds since the epoch. */
export interface CacheRecord {
  id: string;
  type: "regular" | "exec.cachemount";
  description: string;
  parents: string[];
  inUse: boolean;
  shared: boolean;
  /** Bytes. */
  size: number;
  createdAt: number;
  lastUsedAt: number;
  usageCount: number;
}
