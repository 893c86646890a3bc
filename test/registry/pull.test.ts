import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { statuses, TestEngine } from "./support/engine.ts";
import { makeImage, makeIndex, seed, sha256 } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

const short = (digest: string) => digest.slice(7, 19);

describe.skipIf(!registryInstalled)("pull from a registry", () => {
  let registry: RunningRegistry;
  let engine: TestEngine;
  beforeAll(async () => {
    registry = await startRegistry();
    engine = new TestEngine();
  });
  afterAll(async () => {
    await registry.stop();
    await engine.close();
  });

  test("an image comes whole, under its name and digest, and says so in Docker's words", async () => {
    const image = makeImage({ layers: 3 });
    await seed(registry.url, "team/app", "v1", image);
    const name = `${registry.host}/team/app`;
    const said = await engine.pull(name, { tag: "v1" });

    const stored = engine.images.resolve(`${name}:v1`);
    expect(stored.id).toBe(image.config.digest as never);
    expect(stored.digests).toEqual([`${name}@${image.manifest.digest}`]);
    expect(stored.config.rootfs.diff_ids).toEqual(image.diffIds as never);
    const { dir } = engine.storage.layers.get(image.diffIds[1] as never);
    expect(readFileSync(join(dir, "dir1/file")).length).toBe(1000);

    const lines = statuses(said);
    expect(lines[0]).toBe("v1: Pulling from team/app");
    expect(lines.slice(1, 4)).toEqual(image.layers.map(({ digest }) => `${short(digest)}: Pulling fs layer`));
    for (const { digest } of image.layers) {
      const own = lines.filter((line) => line.startsWith(`${short(digest)}: `)).map((line) => line.slice(14));
      expect(own).toEqual(
        expect.arrayContaining(["Downloading", "Verifying Checksum", "Download complete", "Pull complete"]),
      );
      expect(own.at(-1)).toBe("Pull complete");
    }
    expect(lines.slice(-2)).toEqual([
      `Digest: ${image.manifest.digest}`,
      `Status: Downloaded newer image for ${name}:v1`,
    ]);
    expect(engine.events.at(-1)).toMatchObject({ action: "pull", id: `${name}:v1`, attributes: { name } });

    expect(statuses(await engine.pull(`${name}:v1`))).toEqual([
      "v1: Pulling from team/app",
      `Digest: ${image.manifest.digest}`,
      `Status: Image is up to date for ${name}:v1`,
    ]);
  });

  for (const format of ["oci", "docker"] as const) {
    for (const compression of ["gzip", "zstd", "none"] as const) {
      test(`${format} manifests with ${compression} layers`, async () => {
        const image = makeImage({ format, compression });
        await seed(registry.url, `formats/${format}`, compression, image);
        await engine.pull(`${registry.host}/formats/${format}:${compression}`);
        expect(engine.images.resolve(image.config.digest).config.rootfs.diff_ids).toEqual(image.diffIds as never);
      });
    }
  }

  test("of an index, the best manifest for the platform; attestations never", async () => {
    const linux = (architecture: string, variant?: string) => ({
      os: "linux",
      architecture,
      ...(variant ? { variant } : {}),
    });
    const index = makeIndex([
      linux("386"),
      linux("arm", "v6"),
      linux("arm", "v7"),
      linux("arm64", "v8"),
      linux("amd64"),
    ]);
    await seed(registry.url, "multi", "1", index);
    const name = `${registry.host}/multi:1`;
    const pulled = async (platform?: string) => {
      await engine.pull(name, platform ? { platform } : {});
      return engine.images.resolve(name).id as string;
    };
    const id = (i: number) => index.images[i]!.config.digest;
    expect(await pulled("linux/amd64")).toBe(id(4));
    expect(await pulled("linux/arm64")).toBe(id(3));
    expect(await pulled("linux/arm/v7")).toBe(id(2));
    expect(await pulled("linux/arm/v8")).toBe(id(2));
    expect(await pulled("linux/arm/v6")).toBe(id(1));
    expect(await pulled("linux/i386")).toBe(id(0));
    expect(engine.images.resolve(name).digests).toEqual([`${registry.host}/multi@${index.manifest.digest}`]);
    await expect(pulled("linux/s390x")).rejects.toThrow(
      "no matching manifest for linux/s390x in the manifest list entries",
    );
    await expect(pulled("unknown/unknown")).rejects.toThrow();

    const summary = (await engine.images.inspect(name, { manifests: true })).Manifests ?? [];
    expect(summary.map(({ Kind }) => Kind)).toEqual([...Array(5).fill("image"), ...Array(5).fill("attestation")]);
    expect(summary.filter(({ Available }) => Available).map(({ ID }) => ID)).toEqual(
      index.images.map(({ manifest }) => manifest.digest),
    );
  });

  test("falls back to what the machine also runs", async () => {
    const index = makeIndex([
      { os: "linux", architecture: "arm", variant: "v7" },
      { os: "linux", architecture: "386" },
    ]);
    await seed(registry.url, "fallback", "1", index);
    await engine.pull(`${registry.host}/fallback:1`, { platform: "linux/arm64" });
    expect(engine.images.resolve(`${registry.host}/fallback:1`).id).toBe(index.images[0]!.config.digest as never);
    await engine.pull(`${registry.host}/fallback:1`, { platform: "linux/amd64" });
    expect(engine.images.resolve(`${registry.host}/fallback:1`).id).toBe(index.images[1]!.config.digest as never);
  });

  test("by digest: no tag, only the digest", async () => {
    const image = makeImage();
    await seed(registry.url, "bydigest", "x", image);
    const name = `${registry.host}/bydigest@${image.manifest.digest}`;
    const said = statuses(await engine.pull(name));
    expect(said[0]).toBe(`${name}: Pulling from bydigest`);
    const stored = engine.images.resolve(name);
    expect(stored.tags).toEqual([]);
    expect(stored.digests).toEqual([name]);
    expect(statuses(await engine.pull(name)).at(-1)).toBe(`Status: Image is up to date for ${name}`);
  });

  test("-a brings every tag", async () => {
    const images = { a: makeImage(), b: makeImage(), c: makeImage() };
    for (const [tag, image] of Object.entries(images)) await seed(registry.url, "many", tag, image);
    const said = statuses(await engine.pull(`${registry.host}/many`, { all: true }));
    for (const [tag, image] of Object.entries(images)) {
      expect(engine.images.resolve(`${registry.host}/many:${tag}`).id).toBe(image.config.digest as never);
    }
    expect(said.at(-1)).toBe(`Status: Downloaded newer image for ${registry.host}/many`);
  });

  test("what is not there is said as Docker says it", async () => {
    await expect(engine.pull(`${registry.host}/multi:nope`)).rejects.toMatchObject({
      kind: "notFound",
      message: `manifest for ${registry.host}/multi:nope not found: manifest unknown: manifest unknown`,
    });
    await expect(engine.pull("127.0.0.1:1/x:1")).rejects.toThrow("connection refused");
    await expect(engine.pull("UPPER")).rejects.toThrow("repository name (library/UPPER) must be lowercase");
  });

  test("a tag that moves leaves the old image without name", async () => {
    const [first, second] = [makeImage(), makeImage()];
    const name = `${registry.host}/moving:1`;
    await seed(registry.url, "moving", "1", first);
    await engine.pull(name);
    await seed(registry.url, "moving", "1", second);
    expect(statuses(await engine.pull(name)).at(-1)).toBe(`Status: Downloaded newer image for ${name}`);
    expect(engine.images.resolve(name).id).toBe(second.config.digest as never);
    expect(engine.images.resolve(first.config.digest).tags).toEqual([]);
  });

  test("layers shared by concurrent pulls come once; one caller giving up does not stop the other", async () => {
    const image = makeImage({ layers: 2, layerSize: 3_000_000 });
    await seed(registry.url, "shared", "1", image);
    const name = `${registry.host}/shared:1`;
    const abort = new AbortController();
    const impatient = engine.pull(name, { signal: abort.signal });
    const patient = engine.pull(name);
    const third = engine.pull(name);
    setTimeout(() => abort.abort(new Error("gone")), 15);
    await impatient.catch((error) => expect(error.message).toBe("gone"));
    await Promise.all([patient, third]);
    expect(engine.images.resolve(name).id).toBe(image.config.digest as never);
    await engine.check();
  });

  test("a blob that is just coming out of an archive does not stop a pull", async () => {
    const image = makeImage({ layers: 1 });
    await seed(registry.url, "beside", "1", image);
    const name = `${registry.host}/beside:1`;
    const other = await engine.storage.content.ingest(image.layers[0]!.digest as never);
    await engine.pull(name);
    expect(engine.images.resolve(name).id).toBe(image.config.digest as never);
    other.discard();
    await engine.check();
  });

  test("a manifest of schema 1 is refused by name", async () => {
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () =>
        new Response(JSON.stringify({ schemaVersion: 1, name: "old", fsLayers: [], history: [] }), {
          headers: { "content-type": "application/vnd.docker.distribution.manifest.v1+prettyjws" },
        }),
    });
    try {
      await expect(engine.pull(`127.0.0.1:${server.port}/old:1`)).rejects.toThrow(/^\[DEPRECATION NOTICE\].*schema 1/);
    } finally {
      server.stop(true);
    }
  });

  test("a layer that does not have the config's diffID is refused, and nothing is listed", async () => {
    const image = makeImage({ layers: 1 });
    const config = JSON.parse(new TextDecoder().decode(image.config.bytes));
    config.rootfs.diff_ids = [sha256("something else")];
    const bytes = new TextEncoder().encode(JSON.stringify(config));
    image.config = { ...image.config, bytes, digest: sha256(bytes) };
    const manifest = JSON.parse(new TextDecoder().decode(image.manifest.bytes));
    manifest.config = { mediaType: image.config.mediaType, digest: image.config.digest, size: bytes.length };
    const text = new TextEncoder().encode(JSON.stringify(manifest));
    image.manifest = { ...image.manifest, bytes: text, digest: sha256(text) };
    await seed(registry.url, "liar", "1", image);
    await expect(engine.pull(`${registry.host}/liar:1`)).rejects.toThrow("wrong diff id");
    expect(() => engine.images.resolve(`${registry.host}/liar:1`)).toThrow("No such image");
    await engine.check();
  });

  test("what is removed leaves nothing behind", async () => {
    const image = makeImage();
    await seed(registry.url, "leaves", "1", image);
    await engine.pull(`${registry.host}/leaves:1`);
    const removed = engine.images.remove(`${registry.host}/leaves:1`);
    expect(removed.map(({ Untagged }) => Untagged).filter(Boolean)).toEqual([
      `${registry.host}/leaves:1`,
      `${registry.host}/leaves@${image.manifest.digest}`,
    ]);
    expect(removed.filter(({ Deleted }) => Deleted).length).toBe(3);
    await engine.images.collect();
    for (const { digest } of [...image.layers, image.config, image.manifest]) {
      expect(engine.storage.content.has(digest as never)).toBe(false);
    }
    for (const diffId of image.diffIds) expect(engine.storage.layers.has(diffId as never)).toBe(false);
  });
});
