import type { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { workers } from "./archive/workers.ts";
import { Content } from "./content/store.ts";
import type { Storage } from "./contract.ts";
import { migrate } from "./database.ts";
import { Durability } from "./durability.ts";
import { referencedBlobs } from "./images/references.ts";
import { Images } from "./images/store.ts";
import type { DriverName } from "./layers/snapshotter.ts";
import { Layers } from "./layers/store.ts";
import { Trash } from "./layers/trash.ts";
import { Leases } from "./leases.ts";
import { Volumes } from "./volumes.ts";

export interface StorageOptions {
  /** The data root; absolute. Made (0710) where it is missing. */
  root: string;
  /** Open database, in WAL mode or however its owner likes. Tables are called `storage_*`. */
  db: Database;
  /** How new containers get their root; without it overlay2 where that works below `root`, else vfs. */
  driver?: DriverName;
}

/** Opens the stores below a data root. Call `recover` before anything else. */
export function openStorage({
  root,
  db,
  driver,
}: StorageOptions): Storage & { readonly driver: DriverName; settled(): Promise<void> } {
  mkdirSync(root, { recursive: true, mode: 0o710 });
  migrate(db);
  const leases = new Leases();
  const trash = new Trash(`${root}/trash`);
  const durability = new Durability(root, db);
  const content = new Content(`${root}/content`, db, leases, durability);
  const layers = new Layers(root, db, content, leases, trash, durability, driver);
  const images = new Images(db, content, layers, leases);
  const volumes = new Volumes(root, db, trash);
  return {
    driver: layers.driver.name,
    content,
    layers,
    images,
    volumes,
    async recover() {
      content.recover();
      await layers.recover();
      volumes.recover();
      for (const { kind, digest } of durability.suspects()) {
        if (kind === "blob" && !(await content.verify(digest))) content.delete(digest);
        if (kind === "layer" && layers.has(digest) && !(await layers.verify(digest))) layers.delete(digest);
      }
      images.recover();
      durability.checked();
    },
    async collect() {
      // Whatever anybody stores or finds present while this reads manifests is theirs.
      const guard = leases.open();
      try {
        const used = layers.usedByContainers();
        for (const image of images.list()) for (const diffId of image.config.rootfs.diff_ids) used.add(diffId);
        let freed = 0;
        for (const { diff_id } of layers.all()) {
          if (!used.has(diff_id) && !leases.holds(diff_id)) freed += layers.delete(diff_id);
        }
        const blobs = await referencedBlobs(images, content, layers);
        for (const { digest, size } of content.all()) {
          if (blobs.has(digest) || leases.holds(digest)) continue;
          content.delete(digest);
          freed += size;
        }
        return freed;
      } finally {
        guard.release();
      }
    },
    lease: (options) => leases.open(options),
    /** Resolves when all that was removed is gone from disk. */
    settled: () => layers.settled(),
  };
}

/** Ends idle archive threads at once (they end by themselves after some seconds). */
export function closeWorkers(): void {
  workers.close();
}
