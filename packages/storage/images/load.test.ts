import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import zlib from "node:zlib";
import { GantryError, type ImageConfig, MediaType } from "@gantry/spec";
import { bytesOf, failureOf, sha256, streamOf, type TestMember, tarOf } from "../archive/testing.ts";
import { openStorage } from "../storage.ts";

const base = mkdtempSync(`${tmpdir()}/gantry-images-`);
let count = 0;
const opened: ReturnType<typeof openStorage>[] = [];
function fresh() {
  const root = `${base}/${count++}`;
  const storage = openStorage({ root, db: new Database(":memory:") });
  opened.push(storage);
  return Object.assign(storage, { root });
}
afterAll(async () => {
  await Promise.all(opened.map((storage) => storage.settled()));
  rmSync(base, { recursive: true, force: true });
});

const json = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)));
const layerOf = (name: string, content = name) =>
  tarOf({ name: "etc", type: "dir", mode: 0o755 }, { name: `etc/${name}`, type: "file", mode: 0o644, content });
const configOf = (layers: Uint8Array[], more: Partial<ImageConfig> = {}) =>
  json({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: layers.map(sha256) }, ...more });
const file = (name: string, content: Uint8Array): TestMember => ({ name, type: "file", content });
const blob = (bytes: Uint8Array) => file(`blobs/sha256/${sha256(bytes).slice(7)}`, bytes);
const descriptor = (mediaType: string, bytes: Uint8Array, more = {}) => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
  ...more,
});

const one = layerOf("one");
const two = layerOf("two", "2".repeat(50_000));
const config = configOf([one, two]);
const dockerArchive = [
  file("aaa/layer.tar", one),
  file("bbb/layer.tar", two),
  file("config.json", config),
  file(
    "manifest.json",
    json([{ Config: "config.json", RepoTags: ["app:v1", "app:v2"], Layers: ["aaa/layer.tar", "bbb/layer.tar"] }]),
  ),
];

test("a Docker archive, its members in any order, gives the image with Docker's ID", async () => {
  for (const members of [dockerArchive, dockerArchive.toReversed()]) {
    const { images, layers } = fresh();
    const loaded = await images.load(streamOf(tarOf(...members)));
    expect(loaded).toEqual([{ id: sha256(config), tags: ["app:v1", "app:v2"] }]);
    const image = images.resolve("app:v2");
    expect(image.config.rootfs.diff_ids).toEqual([sha256(one), sha256(two)]);
    expect(image.size).toBe(3 + 50_000);
    expect(readFileSync(`${layers.get(sha256(two)).dir}/etc/two`, "utf8").length).toBe(50_000);
  }
});

test("compressed as a whole or by layer, layers shared by links", async () => {
  const linked = [
    file("x.tar", new Uint8Array(zlib.gzipSync(one))),
    { name: "aaa/layer.tar", type: "symlink", linkname: "../x.tar" } as TestMember,
    file("config.json", configOf([one, one])),
    file("manifest.json", json([{ Config: "config.json", RepoTags: null, Layers: ["aaa/layer.tar", "x.tar"] }])),
  ];
  for (const whole of [(b: Uint8Array) => b, zlib.gzipSync, zlib.zstdCompressSync]) {
    const { images, layers } = fresh();
    const [loaded] = await images.load(streamOf(whole(tarOf(...linked))));
    expect(loaded?.tags).toEqual([]);
    expect(images.list().map(({ id }) => id)).toEqual([loaded!.id]);
    expect(layers.blobFor(sha256(one))?.size).toBe(zlib.gzipSync(one).length);
    expect(Buffer.compare(await bytesOf(layers.tar(sha256(one))), one)).toBe(0);
    // The same layer twice is one directory for overlay.
    (await layers.viewImage([sha256(one), sha256(one)])).close();
  }
});

function ociLayout(platforms: string[], name = "docker.io/library/multi:1") {
  const members: TestMember[] = [file("oci-layout", json({ imageLayoutVersion: "1.0.0" }))];
  const manifests = platforms.map((architecture) => {
    const layer = layerOf(architecture);
    const gz = new Uint8Array(zlib.gzipSync(layer));
    const cfg = configOf([layer], { architecture });
    const manifest = json({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: descriptor(MediaType.ociConfig, cfg),
      layers: [descriptor(MediaType.ociLayerGzip, gz)],
    });
    members.push(blob(gz), blob(cfg), blob(manifest));
    return descriptor(MediaType.ociManifest, manifest, { platform: { os: "linux", architecture } });
  });
  const attestation = json({ schemaVersion: 2, config: descriptor(MediaType.ociConfig, json({})), layers: [] });
  members.push(blob(attestation));
  const annotations = { "vnd.docker.reference.type": "attestation-manifest" };
  const index = json({
    schemaVersion: 2,
    manifests: [...manifests, descriptor(MediaType.ociManifest, attestation, { annotations })],
  });
  members.push(blob(index));
  const top = descriptor(MediaType.ociIndex, index, { annotations: { "io.containerd.image.name": name } });
  members.push(file("index.json", json({ schemaVersion: 2, manifests: [top] })));
  return tarOf(...members);
}

test("an OCI layout of several platforms: the wanted one, with its manifest and compressed layer kept", async () => {
  const host = process.arch === "arm64" ? "arm64" : "amd64";
  const { images, layers, content } = fresh();
  const archive = ociLayout(["riscv64", "amd64", "arm64"]);
  await images.load(streamOf(archive));
  const image = images.resolve("multi:1");
  expect(image.config.architecture).toBe(host);
  expect(content.has(image.manifest!.digest)).toBe(true);
  expect(layers.blobFor(image.config.rootfs.diff_ids[0]!)?.mediaType).toBe(MediaType.ociLayerGzip);
  expect(images.list().length).toBe(1);

  await images.load(streamOf(archive), { platform: "linux/riscv64" });
  expect(images.resolve("multi:1").config.architecture).toBe("riscv64");
  expect(images.get(image.id)?.tags).toEqual([]);
  const missing = await failureOf(images.load(streamOf(archive), { platform: "linux/s390x" }));
  expect(missing).toMatchObject({ kind: "notFound" });
});

test("an archive from before configs existed", async () => {
  const ids = ["a".repeat(64), "b".repeat(64)] as const;
  const v1 = (id: string, parent?: string) =>
    json({
      id,
      ...(parent ? { parent } : {}),
      created: "2015-01-01T00:00:00Z",
      architecture: "amd64",
      os: "linux",
      config: { Cmd: ["sh"] },
      container_config: { Cmd: ["/bin/sh", "-c", "echo <x>"] },
    });
  const { images } = fresh();
  const [loaded] = await images.load(
    streamOf(
      tarOf(
        file("repositories", json({ old: { "1": ids[1] } })),
        file(`${ids[0]}/VERSION`, json("1.0")),
        file(`${ids[0]}/json`, v1(ids[0])),
        file(`${ids[0]}/layer.tar`, one),
        file(`${ids[1]}/json`, v1(ids[1], ids[0])),
        file(`${ids[1]}/layer.tar`, two),
      ),
    ),
  );
  expect(loaded?.tags).toEqual(["old:1"]);
  const image = images.resolve("old:1");
  expect(image.config.rootfs.diff_ids).toEqual([sha256(one), sha256(two)]);
  expect(image.config.history?.map(({ created_by }) => created_by)).toEqual(Array(2).fill("/bin/sh -c echo <x>"));
});

test("what is saved loads again to the same IDs, names and bytes", async () => {
  const from = fresh();
  await from.images.load(streamOf(tarOf(...dockerArchive)));
  await from.images.load(streamOf(ociLayout(["amd64"])));
  const archive = await bytesOf(from.images.save(["app", "multi:1"]));
  const to = fresh();
  const loaded = await to.images.load(streamOf(archive));
  expect(loaded.map(({ id }) => id).sort()).toEqual(
    from.images
      .list()
      .map(({ id }) => id)
      .sort(),
  );
  expect(
    to.images
      .list()
      .flatMap(({ tags }) => tags)
      .sort(),
  ).toEqual(["app:v1", "app:v2", "multi:1"]);
  expect(Buffer.compare(await bytesOf(to.images.save(["app", "multi:1"])), archive)).toBe(0);
  const byId = await bytesOf(from.images.save([sha256(config)]));
  expect((await fresh().images.load(streamOf(byId)))[0]).toEqual({ id: sha256(config), tags: [] });
  expect(() => from.images.save(["nothing"])).toThrow(/^No such image: nothing$/);
  expect(() => from.images.save(["nothing:1"])).toThrow("reference does not exist");
  // A second load finds all its layers and takes the names over.
  const again = await to.images.load(streamOf(archive));
  expect(again.length).toBe(2);
});

const broken: Record<string, [TestMember[], string]> = {
  "no manifest": [[file("x.tar", one)], "no manifest.json"],
  "a missing config": [dockerArchive.filter(({ name }) => name !== "config.json"), "no such file: config.json"],
  "a missing layer": [dockerArchive.filter(({ name }) => name !== "aaa/layer.tar"), "no such file: aaa/layer.tar"],
  "an altered layer": [[file("aaa/layer.tar", two), ...dockerArchive.slice(1)], "invalid diffID for layer 0"],
  "too few layers": [
    [...dockerArchive.slice(0, 3), file("manifest.json", json([{ Config: "config.json", Layers: ["aaa/layer.tar"] }]))],
    "layers length mismatch: expected 2, got 1",
  ],
  "a bad name": [
    [
      ...dockerArchive.slice(0, 3),
      file(
        "manifest.json",
        json([{ Config: "config.json", RepoTags: ["UPPER:1"], Layers: ["aaa/layer.tar", "bbb/layer.tar"] }]),
      ),
    ],
    "must be lowercase",
  ],
  "a blob that is not what it is called": [
    [
      file(`blobs/sha256/${"0".repeat(64)}`, one),
      ...dockerArchive.slice(1, 3),
      file(
        "manifest.json",
        json([{ Config: "config.json", Layers: [`blobs/sha256/${"0".repeat(64)}`, "bbb/layer.tar"] }]),
      ),
    ],
    "wrong diff id",
  ],
  "a compressed blob that is not what it is called": [
    [file(`blobs/sha256/${"0".repeat(64)}`, new Uint8Array(zlib.gzipSync(one)))],
    "unexpected commit digest",
  ],
};
for (const [what, [members, message]] of Object.entries(broken)) {
  test(`refuses ${what}, and lists nothing`, async () => {
    const storage = fresh();
    const error = await failureOf(storage.images.load(streamOf(tarOf(...members))));
    expect(error).toBeInstanceOf(GantryError);
    expect((error as GantryError).kind).toBe("invalidParameter");
    expect(error.message).toContain(message);
    expect(storage.images.list()).toEqual([]);
    await storage.collect();
    await storage.settled();
    expect(readdirSync(`${storage.root}/layers`)).toEqual(["init"]);
    expect(readdirSync(`${storage.root}/content/blobs/sha256`)).toEqual([]);
  });
}

test("a load that is stopped leaves no image, and what was done is not done again", async () => {
  const storage = fresh();
  const archive = tarOf(...dockerArchive);
  const stop = new AbortController();
  const slow = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(archive.slice(0, archive.length - 3000));
    },
  });
  const stopped = failureOf(storage.images.load(slow, { signal: stop.signal }));
  for (const end = performance.now() + 30_000; !storage.layers.has(sha256(one)) && performance.now() < end; )
    await Bun.sleep(5);
  stop.abort();
  const error = await stopped;
  expect(error).toBeDefined();
  expect(storage.images.list()).toEqual([]);
  expect(readdirSync(`${storage.root}/layers`).filter((name) => name.startsWith(".tmp"))).toEqual([]);
  expect(storage.layers.has(sha256(one))).toBe(true);
});

test("a compressed layer that comes by another way just now does not stop a load", async () => {
  const storage = fresh();
  const digest = sha256(new Uint8Array(zlib.gzipSync(layerOf("amd64"))));
  const other = await storage.content.ingest(digest);
  const load = () => storage.images.load(streamOf(ociLayout(["amd64"])), { platform: "linux/amd64" });
  expect((await Promise.all([load(), load()])).map(([image]) => image?.tags)).toEqual([["multi:1"], ["multi:1"]]);
  other.discard();
  expect(storage.content.has(digest)).toBe(true);
  expect(readdirSync(`${storage.root}/content/ingest`)).toEqual([]);
});

test("a collect leaves what an image that is just being made, or being saved, needs", async () => {
  const { images, layers, collect } = fresh();
  await layers.unpack(streamOf(one), { expected: sha256(one) });
  const making = images.create(configOf([one]));
  await collect();
  const { id } = await making;
  expect(layers.has(sha256(one))).toBe(true);
  for (const cut of [false, true]) {
    let ended = 0;
    const saved = images.save([id], () => ended++);
    const image = images.resolve(id);
    images.delete(id);
    await collect();
    expect([layers.has(sha256(one)), ended]).toEqual([true, 0]);
    if (cut) await saved.cancel();
    else expect((await images.load(saved)).map((one) => one.id)).toEqual([image.id]);
    expect(ended).toBe(1);
  }
  await collect();
  expect(layers.has(sha256(one))).toBe(false);
});

test("a restart removes debris and keeps what is whole", async () => {
  const root = `${base}/restart`;
  const db = new Database(":memory:");
  const before = openStorage({ root, db });
  await before.recover();
  await before.images.load(streamOf(tarOf(...dockerArchive)));
  await before.layers.createContainer("kept", [sha256(one)]);
  writeFileSync(`${root}/content/blobs/sha256/${"1".repeat(64)}`, "debris");
  writeFileSync(`${root}/content/ingest/.put-x`, "debris");
  await Bun.write(`${root}/layers/.tmp-x/diff/f`, "debris");
  await Bun.write(`${root}/layers/${"2".repeat(64)}/diff/f`, "debris");
  await Bun.write(`${root}/containers/gone/diff/f`, "debris");
  await Bun.write(`${root}/containers/gone/config.json`, "the engine's");
  const after = openStorage({ root, db });
  await after.recover();
  await after.settled();
  expect(readdirSync(`${root}/layers`).sort()).toEqual(["init", sha256(one).slice(7), sha256(two).slice(7)].sort());
  expect(readdirSync(`${root}/content/blobs/sha256`)).toEqual([sha256(config).slice(7)]);
  expect(readdirSync(`${root}/content/ingest`)).toEqual([]);
  expect(readdirSync(`${root}/containers/gone`)).toEqual(["config.json"]);
  expect(existsSync(after.layers.getContainer("kept").upper)).toBe(true);
  expect(after.images.resolve("app:v1").id).toBe(sha256(config));
  // After a power cut, a layer that did not reach the disk takes its image with it.
  rmSync(`${root}/layers/${sha256(two).slice(7)}/diff/etc/two`);
  db.run("UPDATE storage_boot SET boot = 'another'");
  const cut = openStorage({ root, db });
  await cut.recover();
  expect(cut.layers.has(sha256(two))).toBe(false);
  expect(cut.images.list()).toEqual([]);
  await Promise.all([before.settled(), cut.settled()]);
});

test("collect takes what nothing needs, and nothing that a container, an image or a lease holds", async () => {
  const { images, layers, content, collect, lease, settled } = fresh();
  await images.load(streamOf(tarOf(...dockerArchive)));
  await images.load(streamOf(ociLayout(["amd64"])));
  expect(await collect()).toBe(0);
  await layers.createContainer("c", [sha256(one)]);
  const held = lease();
  held.add(sha256(two));
  images.delete(sha256(config));
  const multi = images.resolve("multi:1");
  await collect();
  expect([sha256(one), sha256(two)].map((id) => layers.has(id))).toEqual([true, true]);
  held.release();
  await layers.removeContainer("c");
  expect(await collect()).toBe(50_003);
  expect([sha256(one), sha256(two)].map((id) => layers.has(id))).toEqual([false, false]);
  expect(content.has(multi.manifest!.digest)).toBe(true);
  images.delete(multi.id);
  await collect();
  expect(content.has(multi.manifest!.digest)).toBe(false);
  await settled();
});
