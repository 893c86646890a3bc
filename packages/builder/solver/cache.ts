import type { Database } from "bun:sqlite";
import type { Digest } from "@gantry/spec";
import type { Lease, Storage } from "@gantry/storage";

/** What a step came to, as the cache knows it. */
export interface CachedResult {
  /** null where the step changed no files. */
  diffId: Digest | null;
  /** RFC 3339; when it was first made. */
  created: string;
}

interface Row {
  key: string;
  diff_id: Digest | null;
  created: string;
  description: string;
  parent: string;
  created_ms: number;
  used_ms: number;
  uses: number;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS builder_cache (
    key TEXT PRIMARY KEY, diff_id TEXT, created TEXT NOT NULL, description TEXT NOT NULL, parent TEXT NOT NULL,
    created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, uses INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS builder_configs (key TEXT PRIMARY KEY, created TEXT NOT NULL, used_ms INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS builder_mounts (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, created_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, uses INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS builder_sums (key TEXT PRIMARY KEY, sum TEXT NOT NULL, used_ms INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Configuration and checksum records are small; this many are kept, the last used ones. */
const MAX_SMALL = 50_000;

/**
 * The build cache: keys of steps to layers, in SQLite. The layers are held by one passive lease, so that they outlive
 * the images they were made for; a record whose layer is gone is no hit.
 */
export class BuildCache {
  private lease: Lease;
  /** Steps that some build works on right now, by key. */
  readonly underway = new Map<string, Promise<CachedResult>>();
  /** Whether layers were added since this was last set to false. */
  grown = false;
  /** Keys used since the last flush: written in one go, for a commit for each would cost more than the look-up. */
  private readonly used = new Set<string>();
  private readonly select;
  private readonly touch;
  private readonly insert;
  private readonly selectConfig;
  private readonly insertConfig;
  private readonly selectSum;
  private readonly insertSum;

  constructor(
    private readonly db: Database,
    private readonly storage: Storage,
  ) {
    db.run(SCHEMA);
    this.select = db.query<Row, [string]>("SELECT * FROM builder_cache WHERE key = ?");
    this.touch = db.query("UPDATE builder_cache SET used_ms = ?, uses = uses + 1 WHERE key = ?");
    this.insert = db.query("INSERT OR REPLACE INTO builder_cache VALUES (?, ?, ?, ?, ?, ?, ?, 1)");
    this.selectConfig = db.query<{ created: string }, [string]>("SELECT created FROM builder_configs WHERE key = ?");
    this.insertConfig = db.query("INSERT OR REPLACE INTO builder_configs VALUES (?, ?, ?)");
    this.selectSum = db.query<{ sum: string }, [string]>("SELECT sum FROM builder_sums WHERE key = ?");
    this.insertSum = db.query("INSERT OR REPLACE INTO builder_sums VALUES (?, ?, ?)");
    this.lease = this.hold();
  }

  /** The result of a step with this key, if it is known and its layer is there. */
  find(key: string): CachedResult | null {
    const row = this.select.get(key);
    if (!row) return null;
    if (row.diff_id !== null && !this.storage.layers.has(row.diff_id)) return null;
    this.used.add(key);
    return { diffId: row.diff_id, created: row.created };
  }

  store(key: string, result: CachedResult, about: { description: string; parent: string }): void {
    const now = Date.now();
    if (result.diffId !== null) {
      this.lease.add(result.diffId);
      this.grown = true;
    }
    this.insert.run(key, result.diffId, result.created, about.description.slice(0, 1000), about.parent, now, now);
  }

  /** When a step that only changed the configuration was first made: with it the same image comes out again. */
  findConfig(key: string): string | null {
    return this.selectConfig.get(key)?.created ?? null;
  }

  storeConfig(key: string, created: string): void {
    this.insertConfig.run(key, created, Date.now());
  }

  /** Checksum of files in a chain of layers, which never change. */
  findSum(key: string): string | null {
    return this.selectSum.get(key)?.sum ?? null;
  }

  storeSum(key: string, sum: string): void {
    this.insertSum.run(key, sum, Date.now());
  }

  /** A cache mount was used. */
  noteMount(key: string, id: string): void {
    const now = Date.now();
    this.db
      .query(
        "INSERT INTO builder_mounts VALUES (?, ?, ?, ?, 1) ON CONFLICT (key) DO UPDATE SET used_ms = excluded.used_ms, uses = uses + 1",
      )
      .run(key, id, now, now);
  }

  records(): Row[] {
    this.flush();
    return this.db.query<Row, []>("SELECT * FROM builder_cache ORDER BY created_ms, key").all();
  }

  mounts(): { key: string; id: string; created_ms: number; used_ms: number; uses: number }[] {
    return this.db
      .query<{ key: string; id: string; created_ms: number; used_ms: number; uses: number }, []>(
        "SELECT * FROM builder_mounts ORDER BY created_ms, key",
      )
      .all();
  }

  /** Forgets records, and lets go of layers no record is left for. */
  remove(keys: string[], mounts: string[]): void {
    this.db.transaction(() => {
      for (const key of keys) this.db.query("DELETE FROM builder_cache WHERE key = ?").run(key);
      for (const key of mounts) this.db.query("DELETE FROM builder_mounts WHERE key = ?").run(key);
      if (keys.length > 0) this.db.run("DELETE FROM builder_configs");
    })();
    const before = this.lease;
    this.lease = this.hold();
    before.release();
  }

  /** Writes down what was used. After each build. */
  flush(): void {
    if (this.used.size === 0) return;
    const now = Date.now();
    this.db.transaction(() => {
      for (const key of this.used) this.touch.run(now, key);
    })();
    this.used.clear();
  }

  /** Keeps the tables of small records from growing without end. */
  trim(): void {
    for (const table of ["builder_configs", "builder_sums"]) {
      this.db.run(
        `DELETE FROM ${table} WHERE key IN (SELECT key FROM ${table} ORDER BY used_ms DESC LIMIT -1 OFFSET ${MAX_SMALL})`,
      );
    }
  }

  close(): void {
    this.flush();
    this.lease.release();
  }

  private hold(): Lease {
    const lease = this.storage.lease({ passive: true });
    const rows = this.db.query<{ diff_id: Digest }, []>(
      "SELECT DISTINCT diff_id FROM builder_cache WHERE diff_id IS NOT NULL",
    );
    for (const { diff_id } of rows.all()) lease.add(diff_id);
    return lease;
  }
}
