import type { Database } from "bun:sqlite";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { conflict, invalidParameter } from "@gantry/spec";
import { workers } from "./archive/workers.ts";
import type { StoredVolume, VolumeStore } from "./contract.ts";
import type { Trash } from "./layers/trash.ts";

/** Docker's rule for names of local volumes. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Options of Docker's local driver, all for mount(8). */
const OPTIONS = new Set(["type", "o", "device", "size"]);

interface Row {
  name: string;
  created: string;
  labels: string;
  driver_opts: string;
}

/** Local volumes below `<root>/volumes`. */
export class Volumes implements VolumeStore {
  private readonly directory: string;
  private readonly select;

  constructor(
    root: string,
    private readonly db: Database,
    private readonly trash: Trash,
  ) {
    this.directory = `${root}/volumes`;
    mkdirSync(this.directory, { recursive: true, mode: 0o701 });
    this.select = db.query<Row, [string]>("SELECT * FROM storage_volumes WHERE name = ?");
  }

  async create(
    name: string,
    options: { labels?: Record<string, string>; driverOpts?: Record<string, string> } = {},
  ): Promise<StoredVolume> {
    checkName(name);
    const driverOpts = options.driverOpts ?? {};
    checkOptions(driverOpts);
    const there = this.get(name);
    if (there) return there;
    const base = `${this.directory}/${name}`;
    // Left by a create that was killed before its row: nobody ever used it.
    if (existsSync(base)) this.trash.discard(base);
    const created = new Date().toISOString();
    try {
      mkdirSync(base, { mode: 0o701 });
      mkdirSync(`${base}/_data`, { mode: 0o755 });
      this.db
        .query("INSERT INTO storage_volumes VALUES (?, ?, ?, ?)")
        .run(name, created, JSON.stringify(options.labels ?? {}), JSON.stringify(driverOpts));
    } catch (error) {
      // Else the next start would take it for somebody's data.
      rmSync(base, { recursive: true, force: true });
      throw error;
    }
    return this.get(name)!;
  }

  get(name: string): StoredVolume | null {
    const row = this.select.get(name);
    return row && this.stored(row);
  }

  list(): StoredVolume[] {
    return this.db
      .query<Row, []>("SELECT * FROM storage_volumes ORDER BY name")
      .all()
      .map((row) => this.stored(row));
  }

  async remove(name: string): Promise<void> {
    if (!this.select.get(name)) return;
    // The data is out of sight before the row goes; a crash between leaves a volume without data, which is removed again.
    try {
      this.trash.discard(`${this.directory}/${name}`);
    } catch (error) {
      throw conflict(`unable to remove volume ${name}: ${(error as Error).message}`, error);
    }
    this.db.query("DELETE FROM storage_volumes WHERE name = ?").run(name);
  }

  async size(name: string): Promise<number> {
    const volume = this.get(name);
    return volume ? workers.run("usage", { path: volume.mountpoint }) : 0;
  }

  /** Drops volumes whose directory is gone. Directories without a row stay: they hold people's data. */
  recover(): void {
    for (const { name, mountpoint } of this.list()) {
      if (!existsSync(mountpoint)) this.db.query("DELETE FROM storage_volumes WHERE name = ?").run(name);
    }
    const known = new Set(this.list().map(({ name }) => name));
    const now = new Date().toISOString();
    for (const name of readdirSync(this.directory)) {
      if (known.has(name) || !NAME.test(name) || !existsSync(`${this.directory}/${name}/_data`)) continue;
      this.db.query("INSERT INTO storage_volumes VALUES (?, ?, '{}', '{}')").run(name, now);
    }
  }

  private stored(row: Row): StoredVolume {
    return {
      name: row.name,
      mountpoint: `${this.directory}/${row.name}/_data`,
      createdAt: row.created,
      labels: JSON.parse(row.labels),
      driverOpts: JSON.parse(row.driver_opts),
    };
  }
}

function checkName(name: string): void {
  if (name.length === 1)
    throw invalidParameter("volume name is too short, names should be at least two alphanumeric characters");
  if (!NAME.test(name) || name.length > 255) {
    throw invalidParameter(
      `${JSON.stringify(name.slice(0, 300))} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
}

function checkOptions(options: Record<string, string>): void {
  for (const key of Object.keys(options)) {
    if (!OPTIONS.has(key)) throw invalidParameter(`create volume: invalid option: ${JSON.stringify(key)}`);
  }
  const mounts = ["type", "o", "device"].some((key) => options[key] !== undefined);
  if (!mounts) return;
  for (const key of ["device", "type"]) {
    if (!options[key]) throw invalidParameter(`missing required option: ${JSON.stringify(key)}`);
  }
}
