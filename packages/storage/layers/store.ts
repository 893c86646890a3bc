import type { Database } from "bun:sqlite";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { type Descriptor, type Digest, digestHex, isDigest, notFound } from "@gantry/spec";
import { detectCompression } from "../archive/decompress.ts";
import { createRing, decompressByProgram, feed, needsProgram, preinflate, ringStream } from "../archive/feed.ts";
import { AsyncRingWriter, RingClosed } from "../archive/ring.ts";
import { headOf } from "../archive/source.ts";
import type { UnpackResult } from "../archive/unpack.ts";
import { workers } from "../archive/workers.ts";
import type { Content } from "../content/store.ts";
import type { Change, ContainerLayer, Layer, LayerStore, RootView, UnpackOptions } from "../contract.ts";
import type { Durability } from "../durability.ts";
import type { Leases } from "../leases.ts";
import { Containers } from "./containers.ts";
import { ensureInitLayer } from "./init.ts";
import { overlay, overlayWorks } from "./overlay.ts";
import { scatter } from "./scatter.ts";
import type { DriverName, Snapshotter } from "./snapshotter.ts";
import type { Trash } from "./trash.ts";
import { vfs } from "./vfs.ts";

interface LayerRow {
  diff_id: Digest;
  size: number;
  tar_size: number;
  tar_from: "recipe" | "tar" | "blob";
}

/** A layer on its way in. */
export interface LayerSink {
  write(chunk: Uint8Array): Promise<boolean>;
  end(): Promise<Layer>;
  abort(): Promise<void>;
}

/** Layers below `<root>/layers`, containers' writable ones below `<root>/containers`. */
export class Layers implements LayerStore {
  /** What new containers are made with. */
  readonly driver: Snapshotter;
  private readonly directory: string;
  private readonly containers: Containers;
  /** Unpacks on their way, by the diffID they are to have. */
  private readonly underway = new Map<Digest, Promise<Layer>>();
  private readonly select;
  private readonly insert;

  constructor(
    readonly root: string,
    private readonly db: Database,
    private readonly content: Content,
    private readonly leases: Leases,
    private readonly trash: Trash,
    private readonly durability: Durability,
    driver?: DriverName,
  ) {
    this.directory = `${root}/layers`;
    mkdirSync(this.directory, { recursive: true, mode: 0o710 });
    scatter(this.directory);
    const copies = vfs(this.directory, trash);
    const stacks = overlay(`${root}/mounts`);
    this.driver = (driver ?? (overlayWorks(root) ? "overlay2" : "vfs")) === "vfs" ? copies : stacks;
    const init = ensureInitLayer(`${this.directory}/init`);
    this.select = db.query<LayerRow, [string]>("SELECT * FROM storage_layers WHERE diff_id = ?");
    this.insert = db.query("INSERT OR REPLACE INTO storage_layers VALUES (?, ?, ?, ?, ?)");
    this.containers = new Containers(`${root}/containers`, db, this.trash, {
      init,
      dir: (diffId) => this.row(diffId) && this.dir(diffId),
      driver: (wanted) => (wanted === "vfs" ? copies : stacks),
    });
  }

  has(diffId: Digest): boolean {
    const found = this.select.get(diffId) !== null;
    if (found) this.leases.note(diffId);
    return found;
  }

  get(diffId: Digest): Layer {
    return { diffId, dir: this.dir(diffId), size: this.row(diffId).size };
  }

  /** Bytes of the uncompressed tar. Throws notFound. */
  tarSize(diffId: Digest): number {
    return this.row(diffId).tar_size;
  }

  async unpack(source: ReadableStream<Uint8Array> | { path: string }, options: UnpackOptions = {}): Promise<Layer> {
    const { expected, blob } = options;
    const cancel = () => {
      if ("getReader" in source) void source.cancel().catch(() => {});
    };
    for (;;) {
      if (expected && this.has(expected)) {
        cancel();
        if (blob) this.setBlobFor(expected, blob);
        return this.get(expected);
      }
      const other = expected && this.underway.get(expected);
      if (!other) break;
      // Somebody else unpacks the same: if that fails, ours is tried.
      await other.catch(() => {});
    }
    const promise = this.unpackNew(source, options);
    if (!expected) return promise;
    this.underway.set(expected, promise);
    try {
      return await promise;
    } finally {
      this.underway.delete(expected);
    }
  }

  /** Begins a layer whose bytes are written piece by piece (not xz nor bzip2). `write` gives false once it is hopeless. */
  receive(options: { expected?: Digest }): LayerSink {
    const temporary = this.temporary();
    const ring = createRing();
    const writer = new AsyncRingWriter(ring);
    const job = { source: { ring }, directory: temporary, keep: true, expected: options.expected };
    const layer = workers.run("unpack", job, { streams: true }).then(
      (result) => this.keep(temporary, result),
      (error) => {
        this.trash.discard(temporary);
        throw error;
      },
    );
    layer.catch(() => {});
    return {
      async write(chunk) {
        try {
          await writer.write(chunk);
          return true;
        } catch (error) {
          if (error instanceof RingClosed) return false;
          throw error;
        }
      },
      end() {
        writer.end();
        return layer;
      },
      async abort() {
        writer.fail();
        await layer.catch(() => {});
      },
    };
  }

  /** The layer that a compressed blob gives, where both are here. */
  byBlob(digest: Digest): { layer: Promise<Layer>; blob: Descriptor } | null {
    const row = this.db
      .query<{ diff_id: Digest; descriptor: string }, [string]>(
        "SELECT diff_id, descriptor FROM storage_layer_blobs WHERE digest = ?",
      )
      .get(digest);
    if (!row || !this.content.has(digest) || !this.has(row.diff_id)) return null;
    return { layer: Promise.resolve(this.get(row.diff_id)), blob: JSON.parse(row.descriptor) };
  }

  tar(diffId: Digest): ReadableStream<Uint8Array> {
    const row = this.row(diffId);
    const sink = createRing();
    const base = `${this.directory}/${digestHex(diffId)}`;
    const job =
      row.tar_from === "recipe"
        ? { sink, recipe: `${base}/recipe`, diff: `${base}/diff`, expected: diffId }
        : { sink, file: row.tar_from === "tar" ? `${base}/tar` : this.blobPath(diffId), expected: diffId };
    return ringStream(sink, workers.run("tar", job, { streams: true }));
  }

  blobFor(diffId: Digest): Descriptor | null {
    const rows = this.db
      .query<{ digest: Digest; descriptor: string }, [string]>(
        "SELECT digest, descriptor FROM storage_layer_blobs WHERE diff_id = ?",
      )
      .all(diffId);
    const row = rows.find(({ digest }) => this.content.has(digest));
    return row ? (JSON.parse(row.descriptor) as Descriptor) : null;
  }

  setBlobFor(diffId: Digest, blob: Descriptor): void {
    this.db
      .query("INSERT OR REPLACE INTO storage_layer_blobs VALUES (?, ?, ?)")
      .run(diffId, blob.digest, JSON.stringify(blob));
  }

  async createContainer(id: string, diffIds: Digest[]): Promise<ContainerLayer> {
    return this.containers.create(id, diffIds, this.driver.name);
  }

  getContainer(id: string): ContainerLayer {
    return this.containers.get(id);
  }

  async removeContainer(id: string): Promise<void> {
    this.containers.remove(id);
  }

  containerIds(): string[] {
    return this.containers.ids();
  }

  async containerSize(id: string): Promise<number> {
    return workers.run("usage", { path: this.containers.get(id).upper });
  }

  async changes(id: string): Promise<Change[]> {
    const { driver, lower, upper } = this.containers.place(id);
    return driver.changes(lower, upper);
  }

  async commitContainer(id: string): Promise<Layer> {
    const { driver, lower, upper } = this.containers.place(id);
    const diff = await driver.diff(lower, upper);
    try {
      return await this.unpackFrom({ pack: diff.path }, {});
    } finally {
      if (diff.temporary) this.trash.discard(diff.path);
    }
  }

  async sealContainer(id: string): Promise<Layer> {
    const { driver, lower, upper } = this.containers.place(id);
    const diff = await driver.diff(lower, upper);
    const temporary = this.temporary();
    try {
      const result = await workers.run("seal", { upper: diff.path, directory: temporary });
      if (this.has(result.diffId)) {
        this.trash.discard(temporary);
      } else {
        renameSync(diff.path, `${temporary}/diff`);
        this.adopt(temporary, result);
      }
      this.containers.remove(id);
      return this.get(result.diffId);
    } catch (error) {
      this.trash.discard(temporary);
      throw error;
    } finally {
      if (diff.temporary) this.trash.discard(diff.path);
    }
  }

  async view(id: string, options: { readonly?: boolean } = {}): Promise<RootView> {
    const { driver, lower, upper, work } = this.containers.place(id);
    return driver.view(lower, upper, work, options.readonly === true);
  }

  async viewImage(diffIds: Digest[], options: { bare?: boolean } = {}): Promise<RootView> {
    const lower = this.containers.lower(diffIds);
    // The init layer is the last. Its empty /proc stands in for an image without layers.
    if (options.bare) lower.splice(-1, 1, ...(lower.length > 1 ? [] : [`${this.directory}/init/proc`]));
    return this.driver.viewImage(lower);
  }

  /** Layers of all containers: what a collect must leave. */
  usedByContainers(): Set<Digest> {
    return this.containers.used();
  }

  all(): LayerRow[] {
    return this.db.query<LayerRow, []>("SELECT * FROM storage_layers").all();
  }

  /** Compressed blobs recorded for layers that are here. */
  blobs(): Digest[] {
    return this.db
      .query<{ digest: Digest }, []>("SELECT digest FROM storage_layer_blobs")
      .all()
      .map(({ digest }) => digest);
  }

  /** Whether the layer still gives the tar it is named after (reads all of it). */
  async verify(diffId: Digest): Promise<boolean> {
    try {
      for await (const _ of this.tar(diffId));
      return true;
    } catch {
      return false;
    }
  }

  /** Deletes a layer; its files go in the background. Returns its size in bytes. */
  delete(diffId: Digest): number {
    const { size } = this.row(diffId);
    this.db.transaction(() => {
      this.db.query("DELETE FROM storage_layers WHERE diff_id = ?").run(diffId);
      this.db.query("DELETE FROM storage_layer_blobs WHERE diff_id = ?").run(diffId);
    })();
    this.trash.discard(`${this.directory}/${digestHex(diffId)}`);
    return size;
  }

  /** Drops rows whose files are gone, and files that have no row. */
  async recover(): Promise<void> {
    const known = new Set<string>(["init"]);
    for (const { diff_id } of this.all()) {
      if (existsSync(this.dir(diff_id))) known.add(digestHex(diff_id));
      else this.db.query("DELETE FROM storage_layers WHERE diff_id = ?").run(diff_id);
    }
    for (const name of readdirSync(this.directory)) {
      if (!known.has(name)) this.trash.discard(`${this.directory}/${name}`);
    }
    this.containers.recover();
    this.trash.sweep();
  }

  /** Resolves when everything removed so far is gone from disk (tests, shutdown). */
  settled(): Promise<void> {
    return this.trash.settled();
  }

  private dir(diffId: Digest): string {
    return `${this.directory}/${digestHex(diffId)}/diff`;
  }

  private row(diffId: Digest): LayerRow {
    const row = isDigest(diffId) ? this.select.get(diffId) : null;
    if (!row) throw notFound(`layer ${String(diffId).slice(0, 200)} does not exist`);
    return row;
  }

  private blobPath(diffId: Digest): string {
    const blob = this.blobFor(diffId);
    if (!blob) throw notFound(`no blob is kept for layer ${diffId}`);
    return this.content.path(blob.digest);
  }

  private temporary(): string {
    const path = `${this.directory}/.tmp-${randomUUID()}`;
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  private async unpackNew(
    source: ReadableStream<Uint8Array> | { path: string },
    options: UnpackOptions,
  ): Promise<Layer> {
    if (!("path" in source)) return this.unpackFrom({ stream: await preinflate(source) }, options);
    const kind = detectCompression(headOf(source.path));
    if (needsProgram(kind)) return this.unpackFrom({ stream: decompressByProgram(kind, source) }, options);
    return this.unpackFrom({ path: source.path }, options);
  }

  private async unpackFrom(
    from: { stream: ReadableStream<Uint8Array> } | { path: string } | { pack: string },
    options: UnpackOptions,
  ): Promise<Layer> {
    const { expected, blob, onProgress, signal } = options;
    if (signal?.aborted && "stream" in from) void from.stream.cancel().catch(() => {});
    signal?.throwIfAborted();
    const temporary = this.temporary();
    const keep = blob === undefined;
    try {
      let result: UnpackResult;
      if ("stream" in from) {
        const ring = createRing();
        const job = { source: { ring }, directory: temporary, keep, expected };
        const running = workers.run("unpack", job, { streams: true });
        running.catch(() => {});
        const fed = feed(from.stream, ring, { onProgress, signal });
        fed.catch(() => {});
        // The worker's reason first, unless the stream broke, which the worker only sees as an end.
        await fed;
        result = await running;
      } else {
        const source = "path" in from ? { path: from.path } : { pack: from.pack };
        result = await this.watched({ source, directory: temporary, keep, expected }, onProgress, signal);
      }
      const layer = this.keep(temporary, result);
      if (blob) this.setBlobFor(result.diffId, blob);
      return layer;
    } catch (error) {
      this.trash.discard(temporary);
      throw error;
    }
  }

  /** Runs an unpack that reads by itself; progress and stop go through shared memory. */
  private async watched(
    job: Parameters<typeof workers.run<"unpack">>[1],
    onProgress?: (bytes: number) => void,
    signal?: AbortSignal,
  ): Promise<UnpackResult> {
    const control = new Int32Array(new SharedArrayBuffer(8));
    const abort = () => Atomics.store(control, 1, 1);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
    const timer = onProgress && setInterval(() => onProgress(Atomics.load(control, 0) * 4096), 100);
    try {
      const result = await workers.run("unpack", { ...job, control: control.buffer as SharedArrayBuffer });
      onProgress?.(result.blobSize);
      return result;
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  private keep(temporary: string, result: UnpackResult): Layer {
    if (this.has(result.diffId)) this.trash.discard(temporary);
    else this.adopt(temporary, result);
    return this.get(result.diffId);
  }

  /** Files first, then the row: a crash between leaves debris, never a row without files. */
  private adopt(temporary: string, result: UnpackResult): void {
    const { diffId } = result;
    const place = `${this.directory}/${digestHex(diffId)}`;
    if (existsSync(place)) this.trash.discard(place);
    renameSync(temporary, place);
    try {
      this.db.transaction(() => {
        this.insert.run(diffId, result.size, result.tarSize, result.tarFrom, Date.now());
        this.durability.note("layer", diffId);
      })();
    } catch (error) {
      this.trash.discard(place);
      throw error;
    }
    this.leases.note(diffId);
  }
}
