import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { type Digest, GantryError, invalidParameter } from "@gantry/spec";
import type { Layer, Storage } from "@gantry/storage";
import type { RunSettings } from "../contract.ts";
import { isDirectoryBelow, performCopy, planCopy } from "../copy/copy.ts";
import { UpperWriter } from "../copy/upper.ts";
import type { StepRunner } from "../exec/run.ts";
import type { MountInput } from "../exec/run-mounts.ts";
import { removeFolder, sealOrRemove } from "../exec/seal.ts";
import { StepLog } from "../exec/step-log.ts";
import { PatternMatcher } from "../ignore/matcher.ts";
import type { CopyOp, ExecOp, MkdirOp, Vertex } from "../plan/vertex.ts";
import { fetchGit } from "../remote/git.ts";
import { fetchFile } from "../remote/http.ts";
import { Pacer } from "../tree/pacer.ts";
import { selectSources, sumSelected } from "../tree/select.ts";
import type { SourceTree } from "../tree/source-tree.ts";
import type { TemporaryTree } from "../tree/temporary-tree.ts";
import type { BuildCache, CachedResult } from "./cache.ts";
import { keyOf, timestamp } from "./keys.ts";
import type { Semaphore } from "./semaphore.ts";
import { LayerTrees } from "./trees.ts";

/** What a vertex came to. */
export type VertexResult = FilesResult | TreeResult;

/** A root file system. */
export interface FilesResult {
  type: "files";
  /** All layers, bottommost first. */
  layers: Digest[];
  /** The vertex's own; null where it added none. */
  own: Digest | null;
  cached: boolean;
  /** RFC 3339; when the step was first done. */
  created: string;
  /** COPY and ADD: Docker's checksum text of what was copied. */
  contentHash: string;
}

/** Files that are no image's: the context, a download, a checkout. */
export interface TreeResult {
  type: "tree";
  tree: TemporaryTree;
}

/** A cache instead of the cache: what images named by `--cache-from` know. */
export type ForeignCache = (vertex: Vertex, contentHash: string) => Promise<CachedResult | null>;

export interface SolverOptions {
  storage: Storage;
  cache: BuildCache;
  runner: StepRunner;
  /** Limits how many steps run at a time, over all builds. */
  slots: Semaphore;
  /** Where downloads and checkouts go. */
  temporary: string;
  context: TemporaryTree | null;
  settings: RunSettings;
  noCache: boolean;
  /** Where it is given nothing else is looked up. */
  foreign: ForeignCache | null;
  signal: AbortSignal;
  /** A vertex failed by itself, not because of an input. */
  onFailure(vertex: Vertex, error: unknown): void;
}

/**
 * Works vertices out, each once, independent ones at the same time. A vertex's key is its op and the content of its
 * inputs; what has a known key is not done again.
 */
export class Solver {
  private readonly results = new Map<Vertex, Promise<VertexResult>>();
  private readonly logs = new Map<Vertex, StepLog>();
  private readonly trees: LayerTrees;
  private readonly temporary: SourceTree[] = [];
  private readonly pacer = new Pacer();

  constructor(private readonly options: SolverOptions) {
    this.trees = new LayerTrees(options.storage.layers);
  }

  /** What a vertex tells while it is worked on. */
  log(vertex: Vertex): StepLog {
    let log = this.logs.get(vertex);
    if (!log) {
      log = new StepLog();
      this.logs.set(vertex, log);
    }
    return log;
  }

  /** Works a vertex out. Rejects with what went wrong, in it or in what it needs. */
  solve(vertex: Vertex): Promise<VertexResult> {
    let result = this.results.get(vertex);
    if (!result) {
      result = this.work(vertex).finally(() => this.log(vertex).end());
      result.catch((error) => this.failed(vertex, error));
      this.results.set(vertex, result);
    }
    return result;
  }

  async files(vertex: Vertex): Promise<FilesResult> {
    const result = await this.solve(vertex);
    if (result.type !== "files") throw new Error("this vertex is no root file system");
    return result;
  }

  /** Gives back all that was opened. Every solve must have ended. */
  async close(): Promise<void> {
    await Promise.allSettled(this.results.values());
    await this.options.runner.settled();
    await this.trees.close();
    for (const tree of this.temporary) tree.close();
  }

  /** The error of an input comes through every vertex above it: only the first one is where it happened. */
  private readonly told = new Set<unknown>();
  private failed(vertex: Vertex, error: unknown): void {
    if (this.told.has(error)) return;
    this.told.add(error);
    this.options.onFailure(vertex, error);
  }

  private async work(vertex: Vertex): Promise<VertexResult> {
    const { op } = vertex;
    const { signal, context, temporary } = this.options;
    signal.throwIfAborted();
    switch (op.type) {
      case "base":
        return { type: "files", layers: op.layers, own: null, cached: true, created: "", contentHash: "" };
      case "context":
        if (!context) throw invalidParameter("missing build context");
        return { type: "tree", tree: context };
      case "http":
        return this.keep(
          await fetchFile(op, temporary, (message) => void this.log(vertex).push({ type: "message", message }), signal),
        );
      case "git":
        return this.keep(await fetchGit(op.url, { keepGitDir: op.keepGitDir, temporary, context: false, signal }));
      case "exec":
        return this.exec(vertex, op);
      case "copy":
        return this.copy(vertex, op);
      case "mkdir":
        return this.mkdir(vertex, op);
    }
  }

  private keep(tree: TemporaryTree): TreeResult {
    this.temporary.push(tree);
    return { type: "tree", tree };
  }

  private async exec(vertex: Vertex, op: ExecOp): Promise<FilesResult> {
    const { runner, slots, settings, cache, signal } = this.options;
    // Inputs of mounts are worked out beside the root file system.
    const [base, ...inputs] = await Promise.all(vertex.inputs.map((input) => this.solve(input)));
    const layers = asFiles(base!).layers;
    const { quietEnv: _quiet, mounts, ...keyed } = op;
    const mountKeys: string[] = [];
    for (const mount of mounts) {
      const input = mount.input === undefined ? undefined : inputs[mount.input - 1];
      mountKeys.push(JSON.stringify([mount, input ? await this.sourceKey(input, mount.source) : ""]));
    }
    const key = keyOf(
      "exec",
      keyed,
      mountKeys,
      settings.networkMode === "none" ? "none" : "",
      settings.extraHosts,
      layers,
    );
    return this.cached(vertex, key, layers, "", () =>
      slots.run(async () => {
        const { layer, caches } = await runner.run({
          op,
          base: {
            layers,
            root: async () => (await this.trees.get(layers)).fd,
            users: () => this.trees.users(layers),
          },
          input: (index) => this.mountInput(inputs[index - 1]!),
          settings,
          log: this.log(vertex),
          signal,
        });
        for (const { key: mountKey, id } of caches) cache.noteMount(mountKey, id);
        return layer;
      }, signal),
    );
  }

  private async mountInput(result: VertexResult): Promise<MountInput> {
    if (result.type === "tree") {
      await result.tree.root();
      return { tree: result.tree, directories: [result.tree.path], layers: null };
    }
    const { layers } = result;
    const { storage } = this.options;
    return {
      tree: await this.trees.get(layers),
      directories: layers.map((diffId) => storage.layers.get(diffId).dir).reverse(),
      layers,
    };
  }

  /** What a mount of this input at this path stands for in a key. */
  private async sourceKey(result: VertexResult, path: string): Promise<string> {
    if (result.type === "files") return result.layers.join(",");
    const [selected] = selectSources(result.tree, path || "/");
    return selected ? (await sumSelected(result.tree, selected, new PatternMatcher([]), this.pacer)).key : "";
  }

  private async copy(vertex: Vertex, op: CopyOp): Promise<FilesResult> {
    const { storage, cache, noCache, foreign } = this.options;
    const inputs = await Promise.all(vertex.inputs.map((input) => this.solve(input)));
    const layers = asFiles(inputs[0]!).layers;
    const below = op.link ? [] : layers;
    const { sources: _sources, rawDest: _rawDest, ...keyed } = op;
    const keyWith = (content: string) => keyOf("copy", keyed, content, below);
    // Layers never change: what was once found out of a copy from them need not be looked at again.
    const remembered = this.layersKey(op, inputs);
    const content = remembered === null || noCache || foreign ? null : cache.findSum(remembered);
    const found = content === null ? null : cache.find(keyWith(content));
    if (found) return this.result(layers, found, true, JSON.parse(content!)[0]);

    const trees: (SourceTree | undefined)[] = [];
    for (const { input } of op.sources) {
      const source = inputs[input]!;
      trees[input] ??= source.type === "tree" ? source.tree : await this.trees.get(source.layers);
    }
    const plan = await planCopy(op, (input) => trees[input]!, this.pacer);
    const names = plan.inputs.map(({ name, folder }) => [name, folder]);
    const now = JSON.stringify([plan.hash, plan.keys, names]);
    if (remembered !== null) cache.storeSum(remembered, now);
    return this.cached(vertex, keyWith(now), layers, plan.hash, async () => {
      const base = await this.trees.get(below);
      return this.layer(below, (id, upper) =>
        performCopy(
          op,
          plan,
          { upper, lowerFd: base.fd, users: () => this.trees.users(below), view: () => storage.layers.view(id) },
          this.pacer,
        ),
      );
    });
  }

  /** What tells a copy whose sources are all layers from any other, without looking at files; null for other copies. */
  private layersKey(op: CopyOp, inputs: VertexResult[]): string | null {
    const sources = op.sources.map(({ input }) => inputs[input]!);
    if (sources.length === 0 || sources.some((source) => source.type !== "files")) return null;
    return keyOf(
      "sum",
      op,
      sources.map((source) => asFiles(source).layers),
    );
  }

  private async mkdir(vertex: Vertex, op: MkdirOp): Promise<FilesResult> {
    const layers = asFiles(await this.solve(vertex.inputs[0]!)).layers;
    return this.cached(vertex, keyOf("mkdir", op.path, layers), layers, "", async () => {
      const base = await this.trees.get(layers);
      const { real, directory } = isDirectoryBelow(base.fd, op.path);
      if (directory) return null;
      if (directory === false) throw invalidParameter(`Cannot mkdir: ${op.path} is not a directory`);
      return this.layer(layers, async (_id, upper) => {
        const writer = new UpperWriter(upper, base.fd);
        try {
          writer.openFolder(real);
        } finally {
          writer.finish();
        }
      });
    });
  }

  /** Makes a layer of what `fill` puts in its directory; null where that is nothing. */
  private async layer(below: Digest[], fill: (id: string, upper: string) => Promise<void>): Promise<Layer | null> {
    const { layers } = this.options.storage;
    const id = randomBytes(32).toString("hex");
    const { upper } = await layers.createContainer(id, below);
    try {
      await fill(id, upper);
      return await sealOrRemove(layers, id, upper);
    } catch (error) {
      await layers.removeContainer(id).catch(() => {});
      removeFolder(dirname(upper));
      throw error;
    }
  }

  private async cached(
    vertex: Vertex,
    key: string,
    layers: Digest[],
    contentHash: string,
    make: () => Promise<Layer | null>,
  ): Promise<FilesResult> {
    const { cache, noCache, foreign } = this.options;
    const about = { description: vertex.description, parent: layers.at(-1) ?? "" };
    if (!noCache && !foreign) {
      const found = cache.find(key);
      if (found) return this.result(layers, found, true, contentHash);
    }
    if (!noCache && foreign) {
      const imported = await foreign(vertex, contentHash);
      if (imported) {
        cache.store(key, imported, about);
        return this.result(layers, imported, true, contentHash);
      }
    }
    // No waiting between the last look and the entry: else two builds would both find nothing, and both begin.
    for (let other = cache.underway.get(key); other && !noCache && !foreign; other = cache.underway.get(key)) {
      const done = await this.outcomeOf(other);
      if (done) return this.result(layers, done, true, contentHash);
    }
    const making = make().then((layer): CachedResult => {
      const made = { diffId: layer?.diffId ?? null, created: timestamp() };
      cache.store(key, made, about);
      return made;
    });
    const settled = making.finally(() => {
      if (cache.underway.get(key) === settled) cache.underway.delete(key);
    });
    cache.underway.set(key, settled);
    return this.result(layers, await settled, false, contentHash);
  }

  /** What another build made of the same step; null where it failed. Rejects when this build is stopped. */
  private async outcomeOf(other: Promise<CachedResult>): Promise<CachedResult | null> {
    const { signal } = this.options;
    const stopped = Promise.withResolvers<null>();
    const stop = () => stopped.resolve(null);
    signal.addEventListener("abort", stop, { once: true });
    try {
      return await Promise.race([other.catch(() => null), stopped.promise]);
    } finally {
      signal.removeEventListener("abort", stop);
      signal.throwIfAborted();
    }
  }

  private result(layers: Digest[], found: CachedResult, cached: boolean, contentHash: string): FilesResult {
    return {
      type: "files",
      layers: found.diffId === null ? layers : [...layers, found.diffId],
      own: found.diffId,
      cached,
      created: found.created,
      contentHash,
    };
  }
}

function asFiles(result: VertexResult): FilesResult {
  if (result.type !== "files") throw new GantryError("system", "a root file system was expected");
  return result;
}
