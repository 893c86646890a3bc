import { constants, Database } from "bun:sqlite";
import { closeSync, openSync, statSync } from "node:fs";
import { systemError } from "@gantry/spec";
import { addInodeFlags, FS_FL } from "@gantry/sys";

/** What the log of changes grows to before SQLite copies it into the database (1,000 pages), and somewhat more. */
const LOG_BYTES = 1100 * 4120;
/** Pages that new rows find free in the database itself. */
const FREE_PAGES = 256;
const PAGE = 4096;

/**
 * Opens the daemon's database: WAL, so that a killed daemon loses nothing that was written (only a power cut can lose
 * the last moments), one writer, which nobody else reads beside: the index of the log is then in memory, not in a mapped
 * file, for which a full disk has no pages (SIGBUS). Each room makes its own tables. It has room of its own on the disk, so that on a full
 * one the daemon still starts, ends and removes what it is told to.
 */
export function openDatabase(path: string): Database {
  for (const file of [path, `${path}-wal`]) inPlace(file);
  const database = new Database(path, { create: true, strict: true });
  database.run("PRAGMA locking_mode = EXCLUSIVE");
  // One that is told to end may take as long.
  database.run("PRAGMA busy_timeout = 5000");
  try {
    database.run("PRAGMA journal_mode = WAL");
  } catch (error) {
    database.close();
    if ((error as { code?: string }).code !== "SQLITE_BUSY") throw error;
    throw systemError(
      `failed to start daemon, ensure no other one runs on the same data root: ${path} is locked`,
      error,
    );
  }
  database.run("PRAGMA synchronous = NORMAL");
  database.run("PRAGMA cache_size = -4096");
  database.fileControl(constants.SQLITE_FCNTL_PERSIST_WAL, 1);
  try {
    reserve(database, path);
  } catch {
    // The disk is full already: at another start then.
  }
  return database;
}

/**
 * Makes a file that btrfs is to overwrite in place, where it is not there yet: it writes elsewhere otherwise, for which a full
 * disk has no room, and breaks the file into ever smaller pieces.
 */
function inPlace(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  closeSync(openSync(path, "a", 0o644));
  addInodeFlags(path, FS_FL.NOCOW);
}

/**
 * Lets both files have their size before they need it. Freed pages stay in the database, and the log is written from its
 * beginning again and again: on file systems that overwrite in place neither then asks for more.
 */
function reserve(database: Database, path: string): void {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  const { free } = database.query("SELECT freelist_count AS free FROM pragma_freelist_count").get() as { free: number };
  if (log >= LOG_BYTES && free >= FREE_PAGES) return;
  database.run("DROP TABLE IF EXISTS reserve");
  database.run("CREATE TABLE reserve (room BLOB)");
  const bytes = log < LOG_BYTES ? LOG_BYTES : (FREE_PAGES - free) * PAGE;
  database.run("INSERT INTO reserve VALUES (zeroblob(?))", [bytes]);
  database.run("DROP TABLE reserve");
}
