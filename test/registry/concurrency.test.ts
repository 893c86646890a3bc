import { expect, test } from "bun:test";
import { TestEngine } from "./support/engine.ts";
import { makeImage, seed, sha256, type TestImage } from "./support/images.ts";
import { registryInstalled, startRegistry } from "./support/registry.ts";

/** An image that shares all layers but the last with another one. */
function relative(of: TestImage): TestImage {
  const extra = makeImage({ layers: 1 });
  const diffIds = [...of.diffIds.slice(0, -1), ...extra.diffIds];
  const layers = [...of.layers.slice(0, -1), ...extra.layers];
  const json = JSON.parse(new TextDecoder().decode(of.config.bytes));
  json.rootfs.diff_ids = diffIds;
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const blob = (bytes: Uint8Array, mediaType: string) => ({ bytes, mediaType, digest: sha256(bytes) });
  const config = blob(encode(json), of.config.mediaType);
  const entry = ({ mediaType, digest, bytes }: TestImage["config"]) => ({ mediaType, digest, size: bytes.length });
  const { mediaType } = of.manifest;
  const body = { schemaVersion: 2, mediaType, config: entry(config), layers: layers.map(entry) };
  return { config, layers, diffIds, manifest: blob(encode(body), mediaType) };
}

test.skipIf(!registryInstalled)(
  "pulls, aborted pulls, removals and collections of images that share layers, all at once: no pull fails, nothing listed is broken, nothing is left",
  async () => {
    const registry = await startRegistry();
    const engine = new TestEngine();
    try {
      const one = makeImage({ layers: 4, layerSize: 40_000 });
      await seed(registry.url, "one", "1", one);
      await seed(registry.url, "two", "1", relative(one));
      const names = [`${registry.host}/one:1`, `${registry.host}/two:1`] as const;
      const bound = performance.now() + 40_000;
      let pulls = 0;
      let removals = 0;
      const enough = () => pulls >= 16 && removals >= 12;
      const until = async (work: () => Promise<unknown>) => {
        while (!enough() && performance.now() < bound) {
          await work();
          await Bun.sleep(Math.random() * 8);
        }
      };
      const pull = (name: string) => async () => {
        await engine.pull(name);
        pulls++;
      };
      const aborted = async () => {
        const abort = new AbortController();
        setTimeout(() => abort.abort(new Error("given up")), Math.random() * 60);
        await engine.pull(names[1], { signal: abort.signal }).catch((error) => expect(error.message).toBe("given up"));
      };
      const remove = (name: string) => async () => {
        try {
          engine.images.remove(name);
          removals++;
        } catch (error) {
          expect(String(error)).toContain("No such image");
        }
      };
      await Promise.all([
        ...[names[0], names[1], names[0]].map((name) => until(pull(name))),
        ...names.map((name) => until(remove(name))),
        until(aborted),
        until(() => engine.storage.collect()),
      ]);
      expect(enough()).toBe(true);
      await engine.check();
      for (const name of names) await engine.pull(name);
      await engine.check();
      engine.images.remove(names[0]);
      await engine.storage.collect();
      await engine.check();
      expect(engine.images.resolve(names[1]).id).toBeString();
      engine.images.remove(names[1]);
      await engine.storage.collect();
      for (const diffId of one.diffIds) expect(engine.storage.layers.has(diffId as never)).toBe(false);
      for (const { digest } of [...one.layers, one.config])
        expect(engine.storage.content.has(digest as never)).toBe(false);
    } finally {
      await registry.stop();
      await engine.close();
    }
  },
);
