import type { Database } from "bun:sqlite";

/** Steps of the schema; step n brings version n to n + 1. Never edited once released, only added to. */
const STEPS = [
  `
  CREATE TABLE storage_blobs (digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE storage_layers (
    diff_id TEXT PRIMARY KEY, size INTEGER NOT NULL, tar_size INTEGER NOT NULL, tar_from TEXT NOT NULL,
    created INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE storage_layer_blobs (
    diff_id TEXT NOT NULL, digest TEXT NOT NULL, descriptor TEXT NOT NULL, PRIMARY KEY (diff_id, digest)
  ) WITHOUT ROWID;
  CREATE TABLE storage_containers (id TEXT PRIMARY KEY, diff_ids TEXT NOT NULL, driver TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE storage_images (
    id TEXT PRIMARY KEY, config TEXT NOT NULL, size INTEGER NOT NULL, parent TEXT, manifest TEXT, last_tagged TEXT,
    sequence INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE storage_names (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX storage_names_id ON storage_names (id);
  CREATE TABLE storage_digests (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX storage_digests_id ON storage_digests (id);
  CREATE TABLE storage_unsynced (kind TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (kind, digest)) WITHOUT ROWID;
  CREATE TABLE storage_boot (boot TEXT NOT NULL);
  CREATE TABLE storage_volumes (
    name TEXT PRIMARY KEY, created TEXT NOT NULL, labels TEXT NOT NULL, driver_opts TEXT NOT NULL
  ) WITHOUT ROWID;
  `,
];

/** Brings the storage tables to this program's version. Throws where they are of a newer one. */
export function migrate(db: Database): void {
  db.run("CREATE TABLE IF NOT EXISTS storage_schema (version INTEGER NOT NULL)");
  const row = db.query("SELECT version FROM storage_schema").get() as { version: number } | null;
  const version = row?.version ?? 0;
  if (version > STEPS.length) {
    throw new Error(
      `storage tables are of version ${version}, made by a newer program; this one knows ${STEPS.length}`,
    );
  }
  for (let at = version; at < STEPS.length; at++) {
    db.transaction(() => {
      db.run(STEPS[at]!);
      db.run("DELETE FROM storage_schema");
      db.run("INSERT INTO storage_schema VALUES (?)", [at + 1]);
    })();
  }
}
