import type { Database } from "bun:sqlite";
import {
  type Descriptor,
  type Digest,
  familiarString,
  type ImageConfig,
  invalidParameter,
  isImageIdPrefix,
  notFound,
  parseAnyReference,
  parseReference,
  type Reference,
  refuseAmbiguousTag,
  withDefaultTag,
  withDigest,
} from "@gantry/spec";
import type { Content } from "../content/store.ts";
import type { ImageStore, LoadedImage, LoadOptions, SavedImage, StoredImage } from "../contract.ts";
import type { Layers } from "../layers/store.ts";
import type { Leases } from "../leases.ts";
import { parseConfig } from "./config.ts";
import { load } from "./load.ts";
import { save, select } from "./save.ts";

interface Row {
  id: Digest;
  config: string;
  size: number;
  parent: Digest | null;
  manifest: string | null;
  last_tagged: string | null;
}

/** Images and names in SQLite; configs and manifests are blobs as well, so that they can be given away unaltered. */
export class Images implements ImageStore {
  private readonly configs = new Map<Digest, ImageConfig>();
  private readonly byId;
  private readonly names;
  private readonly digestNames;
  private readonly idOfName;
  private readonly idOfDigest;

  constructor(
    private readonly db: Database,
    private readonly content: Content,
    private readonly layers: Layers,
    private readonly leases: Leases,
  ) {
    this.byId = db.query<Row, [string]>("SELECT * FROM storage_images WHERE id = ?");
    this.names = db.query<{ name: string }, [string]>("SELECT name FROM storage_names WHERE id = ? ORDER BY name");
    this.digestNames = db.query<{ name: string }, [string]>(
      "SELECT name FROM storage_digests WHERE id = ? ORDER BY name",
    );
    this.idOfName = db.query<{ id: Digest }, [string]>("SELECT id FROM storage_names WHERE name = ?");
    this.idOfDigest = db.query<{ id: Digest }, [string]>("SELECT id FROM storage_digests WHERE name = ?");
  }

  list(): StoredImage[] {
    const names = this.grouped("storage_names");
    const digests = this.grouped("storage_digests");
    return this.db
      .query<Row, []>("SELECT * FROM storage_images ORDER BY sequence DESC")
      .all()
      .map((row) => this.stored(row, names.get(row.id) ?? [], digests.get(row.id) ?? []));
  }

  get(id: Digest): StoredImage | null {
    const row = this.byId.get(id);
    if (!row) return null;
    return this.stored(
      row,
      this.names.all(id).map(({ name }) => name),
      this.digestNames.all(id).map(({ name }) => name),
    );
  }

  resolve(reference: string): StoredImage {
    const parsed = parseAnyReference(reference);
    if ("id" in parsed) return this.get(parsed.id) ?? missing(parsed.id);
    // A name comes before an ID of the same letters.
    const found = parsed.digest
      ? this.idOfDigest.get(familiarString(withDigest(parsed, parsed.digest)))
      : this.idOfName.get(familiarString(withDefaultTag(parsed)));
    const image = this.get(found?.id ?? this.byPrefix(reference) ?? missing(parsed));
    return image ?? missing(parsed);
  }

  async create(
    config: Uint8Array,
    options: { parent?: Digest; manifest?: Descriptor; manifestBytes?: Uint8Array } = {},
  ): Promise<StoredImage> {
    const parsed = parseConfig(config);
    const lease = this.leases.open();
    try {
      let size = 0;
      for (const diffId of parsed.rootfs.diff_ids) {
        if (!this.layers.has(diffId)) throw invalidParameter(`layer ${diffId} of the image does not exist`);
        size += this.layers.get(diffId).size;
      }
      if (options.parent && !this.byId.get(options.parent)) missing(options.parent);
      const id = await this.content.put(config);
      if (options.manifestBytes) await this.content.put(options.manifestBytes);
      const manifest = options.manifest ? JSON.stringify(options.manifest) : null;
      this.db
        .query(
          `INSERT INTO storage_images (id, config, size, parent, manifest, sequence)
           VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(sequence), 0) + 1 FROM storage_images))
           ON CONFLICT (id) DO UPDATE SET manifest = coalesce(excluded.manifest, manifest),
             parent = coalesce(excluded.parent, parent)`,
        )
        .run(id, Buffer.from(config).toString(), size, options.parent ?? null, manifest);
      return this.get(id)!;
    } finally {
      lease.release();
    }
  }

  tag(id: Digest, repositoryTag: string): Digest | null {
    const name = tagName(repositoryTag);
    refuseAmbiguousTag(parseReference(name));
    return this.db.transaction(() => {
      if (!this.byId.get(id)) missing(id);
      const before = this.idOfName.get(name)?.id ?? null;
      this.db.query("INSERT OR REPLACE INTO storage_names VALUES (?, ?)").run(name, id);
      this.db.query("UPDATE storage_images SET last_tagged = ? WHERE id = ?").run(new Date().toISOString(), id);
      return before === id ? null : before;
    })();
  }

  untag(repositoryTag: string): Digest {
    const name = tagName(repositoryTag);
    const found = this.idOfName.get(name);
    if (!found) throw notFound(`No such image: ${name}`);
    this.db.query("DELETE FROM storage_names WHERE name = ?").run(name);
    return found.id;
  }

  addDigest(id: Digest, repositoryDigest: string): void {
    if (!this.byId.get(id)) missing(id);
    this.db.query("INSERT OR REPLACE INTO storage_digests VALUES (?, ?)").run(digestName(repositoryDigest), id);
  }

  removeDigest(repositoryDigest: string): void {
    this.db.query("DELETE FROM storage_digests WHERE name = ?").run(digestName(repositoryDigest));
  }

  delete(id: Digest): void {
    this.db.transaction(() => {
      if (!this.byId.get(id)) missing(id);
      this.db.query("DELETE FROM storage_names WHERE id = ?").run(id);
      this.db.query("DELETE FROM storage_digests WHERE id = ?").run(id);
      this.db.query("UPDATE storage_images SET parent = NULL WHERE parent = ?").run(id);
      this.db.query("DELETE FROM storage_images WHERE id = ?").run(id);
    })();
    this.configs.delete(id);
  }

  children(id: Digest): StoredImage[] {
    return this.db
      .query<{ id: Digest }, [string]>("SELECT id FROM storage_images WHERE parent = ? ORDER BY sequence")
      .all(id)
      .map((row) => this.get(row.id)!);
  }

  async load(source: ReadableStream<Uint8Array>, options: LoadOptions = {}): Promise<LoadedImage[]> {
    const lease = this.leases.open();
    try {
      return await load({ content: this.content, layers: this.layers, images: this }, source, options);
    } finally {
      lease.release();
    }
  }

  select(references: string[]): SavedImage[] {
    return select(this, references);
  }

  save(images: string[] | SavedImage[], ended?: () => void): ReadableStream<Uint8Array> {
    const selected = isSelection(images) ? images : this.select(images);
    // Removed while they are saved they go afterwards.
    const lease = this.leases.open({ passive: true });
    for (const { image } of selected)
      for (const digest of [image.id, ...image.config.rootfs.diff_ids]) lease.add(digest);
    return save({ content: this.content, layers: this.layers, images: this }, selected, () => {
      lease.release();
      ended?.();
    });
  }

  /** Drops images whose layers did not survive: what is listed can be run. The config's blob is made anew from its row. */
  recover(): void {
    for (const row of this.db.query<Row, []>("SELECT * FROM storage_images").all()) {
      let whole: boolean;
      try {
        whole = parseConfig(Buffer.from(row.config)).rootfs.diff_ids.every((diffId) => this.layers.has(diffId));
      } catch {
        whole = false;
      }
      if (!whole) this.delete(row.id);
      else if (!this.content.has(row.id)) void this.content.put(Buffer.from(row.config));
    }
  }

  private byPrefix(text: string): Digest | null {
    if (!isImageIdPrefix(text)) return null;
    const prefix = text.startsWith("sha256:") ? text : `sha256:${text}`;
    const rows = this.db
      .query<{ id: Digest }, [string, string]>("SELECT id FROM storage_images WHERE id >= ? AND id < ? LIMIT 2")
      .all(prefix, `${prefix}g`);
    return rows.length === 1 ? rows[0]!.id : null;
  }

  private stored(row: Row, tags: string[], digests: string[]): StoredImage {
    let config = this.configs.get(row.id);
    if (!config) {
      config = parseConfig(Buffer.from(row.config));
      this.configs.set(row.id, config);
    }
    return {
      id: row.id,
      config,
      tags,
      digests,
      size: row.size,
      ...(row.parent ? { parent: row.parent } : {}),
      ...(row.last_tagged ? { lastTagged: row.last_tagged } : {}),
      ...(row.manifest ? { manifest: JSON.parse(row.manifest) as Descriptor } : {}),
    };
  }

  private grouped(table: "storage_names" | "storage_digests"): Map<Digest, string[]> {
    const groups = new Map<Digest, string[]>();
    for (const { id, name } of this.db
      .query<{ id: Digest; name: string }, []>(`SELECT id, name FROM ${table} ORDER BY name`)
      .all()) {
      const group = groups.get(id);
      if (group) group.push(name);
      else groups.set(id, [name]);
    }
    return groups;
  }
}

function isSelection(images: string[] | SavedImage[]): images is SavedImage[] {
  return typeof images[0] === "object";
}

function missing(reference: Reference | Digest): never {
  const name = typeof reference === "string" ? reference : familiarString(withDefaultTag(reference));
  throw notFound(`No such image: ${name}`);
}

function tagName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest) throw invalidParameter("refusing to create a tag with a digest reference");
  return familiarString(withDefaultTag(reference));
}

function digestName(text: string): string {
  const reference = parseReference(text);
  if (!reference.digest) throw invalidParameter(`${text} has no digest`);
  return familiarString(withDigest(reference, reference.digest));
}
