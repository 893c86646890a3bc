import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { sha256, streamOf, type TestMember, tarOf } from "../archive/testing.ts";
import { openStorage } from "../storage.ts";

/** A process that loads an archive and is killed at some moment of it. */
const LOADER = `
import { Database } from "bun:sqlite";
import { openStorage } from ${JSON.stringify(`${import.meta.dir}/../index.ts`)};
const [root, archive] = process.argv.slice(-2);
const db = new Database(root + "/db.sqlite", { create: true });
db.run("PRAGMA journal_mode = WAL");
const storage = openStorage({ root, db });
await storage.recover();
process.stdout.write("go");
await storage.images.load(Bun.file(archive).stream());
process.stdout.write("done");
`;

test("kill -9 at any moment of a load: whole images or none, no debris, and the next load ends it", async () => {
  const base = mkdtempSync(`${tmpdir()}/gantry-kill-`);
  try {
    const layers = Array.from({ length: 6 }, (_, i) =>
      tarOf(
        ...Array.from(
          { length: 20 },
          (_, j): TestMember => ({ name: `l${i}/${j}`, type: "file", content: `${i}${j}`.repeat(20_000) }),
        ),
      ),
    );
    const config = new Uint8Array(
      Buffer.from(
        JSON.stringify({
          architecture: "amd64",
          os: "linux",
          rootfs: { type: "layers", diff_ids: layers.map(sha256) },
        }),
      ),
    );
    const names = layers.map((_, i) => `${i}/layer.tar`);
    const manifest = Buffer.from(JSON.stringify([{ Config: "c.json", RepoTags: ["killed:1"], Layers: names }]));
    const archive = tarOf(
      ...layers.map((content, i): TestMember => ({ name: names[i]!, type: "file", content })),
      { name: "c.json", type: "file", content: config },
      { name: "manifest.json", type: "file", content: new Uint8Array(manifest) },
    );
    writeFileSync(`${base}/archive.tar`, archive);
    writeFileSync(`${base}/loader.ts`, LOADER);
    const root = `${base}/root`;
    let most = 0;
    for (let round = 0; round < 8; round++) {
      await Bun.$`mkdir -p ${root}`;
      const child = Bun.spawn([process.execPath, `${base}/loader.ts`, root, `${base}/archive.tar`], { stdout: "pipe" });
      const reader = child.stdout.getReader();
      await reader.read();
      await Bun.sleep(round * 4);
      child.kill(9);
      await child.exited;
      const db = new Database(`${root}/db.sqlite`);
      const storage = openStorage({ root, db });
      await storage.recover();
      await storage.settled();
      const whole = layers.filter((layer) => storage.layers.has(sha256(layer)));
      // What was done before a kill is there after it.
      expect(whole.length).toBeGreaterThanOrEqual(most);
      most = whole.length;
      expect(readdirSync(`${root}/layers`).sort()).toEqual(
        ["init", ...whole.map((layer) => sha256(layer).slice(7))].sort(),
      );
      for (const image of storage.images.list()) {
        for (const diffId of image.config.rootfs.diff_ids) expect(storage.layers.has(diffId)).toBe(true);
      }
      if (round === 7) {
        await storage.images.load(streamOf(archive));
        expect(storage.images.resolve("killed:1").id).toBe(sha256(config));
        for (const layer of layers) for await (const _ of storage.layers.tar(sha256(layer)));
      }
      db.close();
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}, 60_000);
