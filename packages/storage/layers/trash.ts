import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { isErrno } from "@gantry/sys";
import { workers } from "../archive/workers.ts";

/**
 * Where directories go that are to be removed: moved there at once (one rename, so that nothing half-removed is ever
 * seen at its place), deleted by a worker in the background, or at the next start.
 */
export class Trash {
  private pending = new Set<Promise<void>>();
  /** One at a time, and not in the way of unpacks: deleting is slow where the file system discards blocks at once. */
  private tail: Promise<void> = Promise.resolve();

  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Takes the path away. Nothing there is no error. */
  discard(path: string): void {
    const name = randomUUID();
    try {
      renameSync(path, `${this.directory}/${name}`);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      throw error;
    }
    this.empty(name);
  }

  /** Deletes what a killed process left. */
  sweep(): void {
    for (const name of readdirSync(this.directory)) this.empty(name);
  }

  async settled(): Promise<void> {
    while (this.pending.size > 0) await Promise.all(this.pending);
  }

  private empty(name: string): void {
    // What cannot be deleted now (still mounted somewhere) is tried again at the next start.
    const work = this.tail
      .then(() => workers.run("remove", { parent: this.directory, name }, { streams: true }))
      .catch(() => {});
    this.tail = work;
    this.pending.add(work);
    void work.finally(() => this.pending.delete(work));
  }
}
