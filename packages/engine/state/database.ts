import { Database } from "bun:sqlite";

/**
 * Opens the daemon's database: WAL, so that a killed daemon loses nothing that was written (only a power cut can lose
 * the last moments), one writer. Each room makes its own tables.
 */
export function openDatabase(path: string): Database {
  const database = new Database(path, { create: true, strict: true });
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA synchronous = NORMAL");
  database.run("PRAGMA busy_timeout = 5000");
  database.run("PRAGMA cache_size = -4096");
  return database;
}
