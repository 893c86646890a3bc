import type { Database } from "bun:sqlite";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { type Digest, digestAlgorithm, digestHex, invalidParameter, isDigest, notFound } from "@gantry/spec";
import type { ContentStore, Ingest } from "../contract.ts";
import type { Durability } from "../durability.ts";
import type { Leases } from "../leases.ts";
import { FileIngest } from "./ingest.ts";

const DEFAULT_LIMIT = 16 << 20;

/** Blobs in the layout of an OCI image directory below `root`, their sizes in SQLite. */
export class Content implements ContentStore {
  private readonly ingests = new Set<string>();
  /** Those that were given up and write their last bytes. */
  private readonly closing = new Map<string, Promise<void>>();
  private readonly selectSize;
  private readonly insert;
  private readonly remove;

  constructor(
    readonly root: string,
    private readonly db: Database,
    private readonly leases: Leases,
    private readonly durability: Durability,
  ) {
    for (const folder of ["blobs/sha256", "blobs/sha512", "ingest"])
      mkdirSync(`${root}/${folder}`, { recursive: true, mode: 0o700 });
    this.selectSize = db.query<{ size: number }, [string]>("SELECT size FROM storage_blobs WHERE digest = ?");
    this.insert = db.query("INSERT OR IGNORE INTO storage_blobs VALUES (?, ?)");
    this.remove = db.query("DELETE FROM storage_blobs WHERE digest = ?");
  }

  has(digest: Digest): boolean {
    const found = this.selectSize.get(digest) !== null;
    if (found) this.leases.note(digest);
    return found;
  }

  size(digest: Digest): number {
    const row = this.selectSize.get(digest);
    if (!row) throw notFound(`content digest ${digest}: not found`);
    return row.size;
  }

  path(digest: Digest): string {
    this.size(digest);
    return this.place(digest);
  }

  async read(digest: Digest, limit = DEFAULT_LIMIT): Promise<Uint8Array> {
    const size = this.size(digest);
    if (size > limit) throw invalidParameter(`content ${digest} has ${size} bytes, more than the ${limit} allowed`);
    return Bun.file(this.place(digest)).bytes();
  }

  stream(digest: Digest, offset = 0): ReadableStream<Uint8Array> {
    const file = Bun.file(this.path(digest));
    return (offset > 0 ? file.slice(offset) : file).stream();
  }

  async put(bytes: Uint8Array): Promise<Digest> {
    const digest: Digest = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
    if (this.has(digest)) return digest;
    const temporary = `${this.root}/ingest/.put-${randomUUID()}`;
    try {
      const file = await openFile(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
      } finally {
        await file.close();
      }
      this.adopt(temporary, digest, bytes.length);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    return digest;
  }

  async ingest(key: string): Promise<Ingest> {
    const name = ingestName(key);
    for (let last = this.closing.get(name); last; last = this.closing.get(name)) await last;
    if (this.ingests.has(name)) throw invalidParameter(`ref ${key} locked: already being written`);
    this.ingests.add(name);
    try {
      return await FileIngest.open(`${this.root}/ingest/${name}`, {
        commit: (path, digest, size) => this.adopt(path, digest, size),
        closed: (after) => {
          this.ingests.delete(name);
          if (!after) return;
          const last = after.then(() => void this.closing.delete(name));
          this.closing.set(name, last);
        },
      });
    } catch (error) {
      this.ingests.delete(name);
      throw error;
    }
  }

  delete(digest: Digest): void {
    this.remove.run(digest);
    rmSync(this.place(digest), { force: true });
  }

  /** Takes a finished file of the same file system as a blob. Its digest was computed by the caller. */
  adopt(path: string, digest: Digest, size: number): void {
    const place = this.place(digest);
    if (this.selectSize.get(digest)) {
      rmSync(path, { force: true });
    } else {
      renameSync(path, place);
      try {
        this.db.transaction(() => {
          this.insert.run(digest, size);
          this.durability.note("blob", digest);
        })();
      } catch (error) {
        rmSync(place, { force: true });
        throw error;
      }
    }
    this.leases.note(digest);
  }

  /** Whether a blob's bytes are what its digest says (reads all of it). */
  async verify(digest: Digest): Promise<boolean> {
    if (!this.selectSize.get(digest)) return false;
    const hash = new Bun.CryptoHasher(digestAlgorithm(digest));
    try {
      for await (const chunk of Bun.file(this.place(digest)).stream()) hash.update(chunk);
    } catch {
      return false;
    }
    return hash.digest("hex") === digestHex(digest);
  }

  /** A path for a blob on its way, to be given to `adopt`. */
  temporary(): string {
    return `${this.root}/ingest/.put-${randomUUID()}`;
  }

  /** All blobs. */
  all(): { digest: Digest; size: number }[] {
    return this.db.query<{ digest: Digest; size: number }, []>("SELECT digest, size FROM storage_blobs").all();
  }

  /**
   * Brings rows and files together after a crash: rows whose file is gone are dropped, files without a row (the crash
   * came between rename and insert) are removed, as are unfinished `put`s. Ingests stay for a resume.
   */
  recover(): void {
    const rows = new Map(this.all().map(({ digest, size }) => [digest as string, size]));
    for (const [digest, size] of rows) {
      const place = this.place(digest as Digest);
      const whole = existsSync(place) && statSync(place).size === size;
      if (!whole) this.delete(digest as Digest);
    }
    for (const algorithm of ["sha256", "sha512"]) {
      for (const name of readdirSync(`${this.root}/blobs/${algorithm}`)) {
        if (!rows.has(`${algorithm}:${name}`))
          rmSync(`${this.root}/blobs/${algorithm}/${name}`, { force: true, recursive: true });
      }
    }
    const week = Date.now() - 7 * 86_400_000;
    for (const name of readdirSync(`${this.root}/ingest`)) {
      const path = `${this.root}/ingest/${name}`;
      if (name.startsWith(".put-") || statSync(path).mtimeMs < week) rmSync(path, { force: true });
    }
  }

  private place(digest: Digest): string {
    if (!isDigest(digest)) throw invalidParameter(`invalid digest ${JSON.stringify(String(digest).slice(0, 200))}`);
    return `${this.root}/blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
  }
}

/** A file name for any key: digests stay readable, everything else is hashed. */
function ingestName(key: string): string {
  if (isDigest(key)) return key.replace(":", "-");
  return `key-${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;
}
