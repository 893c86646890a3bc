import type { Database } from "bun:sqlite";
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { conflict, type Digest, invalidParameter, notFound } from "@gantry/spec";
import type { ContainerLayer } from "../contract.ts";
import { scatter } from "./scatter.ts";
import type { DriverName, Snapshotter } from "./snapshotter.ts";
import type { Trash } from "./trash.ts";

interface Lookup {
  /** The layer below all others. */
  init: string;
  /** The unpacked directory. Throws notFound. */
  dir(diffId: Digest): string;
  /** By the name that a container was made with. */
  driver(name: DriverName): Snapshotter;
}

/** A container's directories, whatever the snapshotter makes of them. */
export interface Place {
  driver: Snapshotter;
  lower: string[];
  upper: string;
  work: string;
}

interface Row {
  id: string;
  diff_ids: string;
  driver: DriverName;
}

/** Writable layers of containers. With overlay a new one is three mkdirs and an insert: it is on the path of every start. */
export class Containers {
  private readonly select;
  private readonly insert;
  private readonly delete;

  constructor(
    private readonly directory: string,
    private readonly db: Database,
    private readonly trash: Trash,
    private readonly lookup: Lookup,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o710 });
    scatter(directory);
    this.select = db.query<Row, [string]>("SELECT * FROM storage_containers WHERE id = ?");
    this.insert = db.query("INSERT INTO storage_containers VALUES (?, ?, ?)");
    this.delete = db.query("DELETE FROM storage_containers WHERE id = ?");
  }

  async create(id: string, diffIds: Digest[], name: DriverName): Promise<ContainerLayer> {
    checkContainerId(id);
    if (this.select.get(id)) throw conflict(`layer of container ${id} exists already`);
    const lower = this.lower(diffIds);
    const base = `${this.directory}/${id}`;
    const upper = `${base}/diff`;
    const work = `${base}/work`;
    const made = mkdirSync(base, { recursive: true, mode: 0o710 });
    const driver = this.lookup.driver(name);
    try {
      // Left by a create that was killed before its row.
      for (const path of [upper, work]) if (existsSync(path)) this.trash.discard(path);
      mkdirSync(upper, { mode: 0o755 });
      mkdirSync(work, { mode: 0o700 });
      // What the container sees at `/`: with Docker always this, whatever the image's own root entry says.
      chmodSync(upper, 0o755);
      this.insert.run(id, JSON.stringify(diffIds), name);
      await driver.prepare(lower, upper);
    } catch (error) {
      try {
        this.remove(id);
      } finally {
        if (made !== undefined) rmSync(base, { recursive: true, force: true });
      }
      throw error;
    }
    return driver.layer(lower, upper, work);
  }

  get(id: string): ContainerLayer {
    const { driver, lower, upper, work } = this.place(id);
    return driver.layer(lower, upper, work);
  }

  place(id: string): Place {
    const row = this.select.get(id);
    if (!row) throw notFound(`layer of container ${id.slice(0, 200)} does not exist`);
    const base = `${this.directory}/${id}`;
    const driver = this.lookup.driver(row.driver);
    return { driver, lower: this.lower(JSON.parse(row.diff_ids)), upper: `${base}/diff`, work: `${base}/work` };
  }

  remove(id: string): void {
    checkContainerId(id);
    // Files first: on a disk so full that not even the row can be deleted, they are what makes room.
    for (const name of ["diff", "work"]) this.trash.discard(`${this.directory}/${id}/${name}`);
    this.delete.run(id);
  }

  /** Directories for overlay, topmost first. */
  lower(diffIds: Digest[]): string[] {
    // Overlay refuses a directory twice. What a layer shows is the same wherever it lies, so its topmost place is enough.
    const topmost = new Set(diffIds.toReversed());
    return [...[...topmost].map((diffId) => this.lookup.dir(diffId)), this.lookup.init];
  }

  used(): Set<Digest> {
    const rows = this.db.query<Row, []>("SELECT * FROM storage_containers").all();
    return new Set(rows.flatMap(({ diff_ids }) => JSON.parse(diff_ids) as Digest[]));
  }

  ids(): string[] {
    return this.db
      .query<{ id: string }, []>("SELECT id FROM storage_containers")
      .all()
      .map(({ id }) => id);
  }

  /** Removes writable layers without a row. What else lies in the containers' folders is the engine's. */
  recover(): void {
    for (const id of readdirSync(this.directory)) {
      if (this.select.get(id)) continue;
      for (const name of ["diff", "work"]) this.trash.discard(`${this.directory}/${id}/${name}`);
    }
  }
}

function checkContainerId(id: string): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/.test(id)) {
    throw invalidParameter(`invalid container id ${JSON.stringify(id.slice(0, 200))}`);
  }
}
