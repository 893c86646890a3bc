import type { Database } from "bun:sqlite";
import { readFileSync } from "node:fs";
import type { Digest } from "@gantry/spec";
import { workers } from "./archive/workers.ts";

/** How long after the last write everything is synced, in milliseconds: by then the kernel has written most of it. */
const QUIET = 20_000;

/**
 * Durability without a sync for each file. On a journaling file system one fsync of a small file waits for all data just
 * written, a load's 500 MB for its config of 1 kB. So what is new is only
 * noted, the file system is synced once things are quiet, and the note taken away. A kill of this process loses
 * nothing, the page cache survives it; after a power cut (another boot ID) what is still noted is checked against its
 * digest, and dropped where it did not reach the disk.
 */
export class Durability {
  private timer: ReturnType<typeof setTimeout> | null = null;
  private readonly insert;

  constructor(
    private readonly root: string,
    private readonly db: Database,
  ) {
    this.insert = db.query("INSERT OR REPLACE INTO storage_unsynced VALUES (?, ?)");
  }

  /** A blob or layer was just written; to be called in the transaction that makes it known. */
  note(kind: "blob" | "layer", digest: Digest): void {
    this.insert.run(kind, digest);
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.sync().catch(() => {}), QUIET);
    this.timer.unref();
  }

  /** Syncs the data root's file system on another thread; then all noted before is safe. */
  async sync(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const noted = this.noted();
    if (noted.length === 0) return;
    await workers.run("sync", { path: this.root }, { streams: true });
    const forget = this.db.query("DELETE FROM storage_unsynced WHERE kind = ? AND digest = ?");
    this.db.transaction(() => {
      for (const { kind, digest } of noted) forget.run(kind, digest);
    })();
  }

  /**
   * What must be checked before it is trusted: everything noted, where the machine was started anew since. To be called
   * once at start; `checked` then.
   */
  suspects(): { kind: "blob" | "layer"; digest: Digest }[] {
    const row = this.db.query<{ boot: string }, []>("SELECT boot FROM storage_boot").get();
    return row?.boot === bootId() ? [] : this.noted();
  }

  checked(): void {
    this.db.transaction(() => {
      this.db.run("DELETE FROM storage_boot");
      this.db.run("INSERT INTO storage_boot VALUES (?)", [bootId()]);
    })();
    if (this.noted().length > 0) {
      this.timer ??= setTimeout(() => void this.sync().catch(() => {}), QUIET);
      this.timer.unref();
    }
  }

  private noted(): { kind: "blob" | "layer"; digest: Digest }[] {
    return this.db
      .query<{ kind: "blob" | "layer"; digest: Digest }, []>("SELECT kind, digest FROM storage_unsynced")
      .all();
  }
}

/** Another one after each start of the machine. */
function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
