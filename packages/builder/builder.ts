import { mkdirSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Digest, GantryError } from "@gantry/spec";
import { statfs } from "@gantry/sys";
import { classicBuild } from "./classic/build.ts";
import type { Builder, BuilderOptions, BuildOutput, BuildRequest, CacheRecord, PruneOptions } from "./contract.ts";
import { CacheMounts } from "./exec/cache-mounts.ts";
import { StepRunner } from "./exec/run.ts";
import { BuildCache } from "./solver/cache.ts";
import { Semaphore } from "./solver/semaphore.ts";
import { chooseRecords, listRecords } from "./solver/usage.ts";

/** Milliseconds. */
const TIDY_AFTER = 2000;

/** Opens the builder below `options.root`. Call `recover` before the first build. */
export function openBuilder(options: BuilderOptions): Builder {
  return new GantryBuilder(options);
}

class GantryBuilder implements Builder {
  private readonly cache: BuildCache;
  private readonly mounts: CacheMounts;
  private readonly runner: StepRunner;
  private readonly slots: Semaphore;
  private readonly temporary: string;
  private readonly running = new Set<Promise<void>>();
  private readonly stopping = new AbortController();
  private tidying: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly options: BuilderOptions) {
    const { root, storage } = options;
    mkdirSync(root, { recursive: true, mode: 0o711 });
    this.temporary = join(root, "tmp");
    mkdirSync(this.temporary, { recursive: true, mode: 0o700 });
    this.cache = new BuildCache(options.db, storage);
    this.mounts = new CacheMounts(join(root, "mounts"));
    this.slots = new Semaphore(options.parallelism ?? Math.max(2, availableParallelism()));
    this.runner = new StepRunner({
      layers: storage.layers,
      runtime: options.runtime,
      network: options.network,
      directory: join(root, "run"),
      execDirectory: options.execRoot ?? join(root, "exec"),
      cacheMounts: this.mounts,
      cgroupParent: options.cgroupParent ?? "gantry",
      dns: options.dns ?? { servers: [], search: [], options: [] },
    });
  }

  async recover(): Promise<void> {
    await this.runner.recover();
    for (const name of readdirSync(this.temporary)) {
      void rm(join(this.temporary, name), { recursive: true, force: true }).catch(() => {});
    }
    this.cache.trim();
  }

  async build(request: BuildRequest, output: BuildOutput): Promise<Digest> {
    const { signal } = this.stopping;
    signal.throwIfAborted();
    const stoppable = { ...request, signal: AbortSignal.any([request.signal, signal]) };
    const done = Promise.withResolvers<void>();
    this.running.add(done.promise);
    try {
      return await classicBuild(stoppable, output, {
        storage: this.options.storage,
        cache: this.cache,
        runner: this.runner,
        slots: this.slots,
        pullImage: this.options.pullImage,
        temporary: this.temporary,
        onTag: this.options.onTag ?? (() => {}),
      });
    } finally {
      this.running.delete(done.promise);
      done.resolve();
      this.tidySoon();
    }
  }

  usage(): Promise<CacheRecord[]> {
    return listRecords(this.cache, this.mounts, this.options.storage);
  }

  async prune(options: PruneOptions): Promise<{ deleted: string[]; reclaimed: number }> {
    const chosen = chooseRecords(await this.usage(), options);
    this.cache.remove(
      chosen.filter((record) => record.type === "regular").map((record) => record.id),
      chosen.filter((record) => record.type === "exec.cachemount").map((record) => record.id),
    );
    for (const { type, id } of chosen) {
      // Looked at again: a step may have taken it meanwhile.
      if (type !== "exec.cachemount" || this.mounts.inUse(id)) continue;
      await rm(this.mounts.pathOf(id), { recursive: true, force: true });
    }
    await this.options.storage.collect();
    return {
      deleted: chosen.map((record) => record.id),
      reclaimed: chosen.reduce((sum, record) => sum + (record.shared ? 0 : record.size), 0),
    };
  }

  async close(): Promise<void> {
    this.stopping.abort(new GantryError("unavailable", "the daemon is shutting down"));
    await Promise.all(this.running);
    if (this.tidying !== null) clearTimeout(this.tidying);
    this.cache.close();
  }

  /** What need not hold up an answer is done a while after the last build. */
  private tidySoon(): void {
    if (this.tidying !== null) clearTimeout(this.tidying);
    this.tidying = setTimeout(() => {
      this.tidying = null;
      if (this.running.size > 0 || this.stopping.signal.aborted) return;
      this.cache.flush();
      if (this.cache.grown) void this.limitCache().catch(() => {});
    }, TIDY_AFTER);
    this.tidying.unref();
  }

  /** The cache takes a tenth of the disk at most, as BuildKit's does by default: the oldest records go. */
  private async limitCache(): Promise<void> {
    this.cache.grown = false;
    const limit = statfs(this.options.root).total / 10;
    const held = (await this.usage()).reduce((sum, record) => sum + (record.shared ? 0 : record.size), 0);
    if (held > limit && !this.stopping.signal.aborted) await this.prune({ all: true, keep: limit });
  }
}
