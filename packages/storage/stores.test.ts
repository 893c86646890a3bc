import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { close, O, open, setxattr } from "@gantry/sys";
import { bytesOf, failureOf, run, scratch, sha256, streamOf, tarOf } from "./archive/testing.ts";
import { copyUp, openStorage, pack } from "./index.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-stores-`);
const db = new Database(":memory:");
const storage = openStorage({ root, db });
afterAll(async () => {
  await storage.settled();
  rmSync(root, { recursive: true, force: true });
});
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

test("a download is resumed where it was left, and only whole and right ones become blobs", async () => {
  const content = bytes("0123456789".repeat(300_000));
  const digest = sha256(content);
  const first = await storage.content.ingest(digest);
  expect(first.offset).toBe(0);
  await first.write(content.slice(0, 2_000_000));
  expect((await failureOf(storage.content.ingest(digest))).message).toContain("locked");
  first.close();
  // Who comes next waits until the last of the first is written.
  const second = await storage.content.ingest(digest);
  expect(second.offset).toBe(2_000_000);
  // Not waiting for each write must not mix them up.
  for (let at = 2_000_000; at < content.length; at += 1000) void second.write(content.slice(at, at + 1000));
  expect(await second.commit(digest, content.length)).toBe(digest);
  expect(sha256(await bytesOf(storage.content.stream(digest)))).toBe(digest);
  expect((await bytesOf(storage.content.stream(digest, 2_999_990))).length).toBe(10);

  const wrong = await storage.content.ingest("wrong");
  await wrong.write(bytes("x"));
  expect((await failureOf(wrong.commit(digest))).message).toContain("unexpected commit digest");
  const short = await storage.content.ingest("wrong");
  expect(short.offset).toBe(0);
  await short.write(bytes("x"));
  expect((await failureOf(short.commit(null, 2))).message).toContain("unexpected commit size");
  expect((await failureOf(storage.content.read(digest, 10))).message).toContain("more than");
  const sha512 = `sha512:${new Bun.CryptoHasher("sha512").update("x").digest("hex")}` as const;
  const other = await storage.content.ingest(sha512);
  await other.write(bytes("x"));
  expect(await other.commit(sha512)).toBe(sha512);
  expect(Buffer.from(await storage.content.read(sha512)).toString()).toBe("x");
  expect(() => storage.content.path("sha256:../../../etc/passwd" as never)).toThrow("not found");
});

test("a layer that names a file twice still gives its tar back", async () => {
  const twice = tarOf(
    { name: "a", type: "file", content: "first" },
    { name: "d", type: "dir" },
    { name: "d/b", type: "file", content: "kept" },
    { name: "a", type: "file", content: "second" },
    { name: "c", type: "file", content: "last" },
  );
  const layer = await storage.layers.unpack(streamOf(twice), { expected: sha256(twice) });
  expect(readFileSync(`${layer.dir}/a`, "utf8")).toBe("second");
  expect(Buffer.compare(await bytesOf(storage.layers.tar(layer.diffId)), twice)).toBe(0);
  rmSync(`${layer.dir}/../tar`);
  expect((await failureOf(bytesOf(storage.layers.tar(layer.diffId)))).message).toContain("no such file");
});

test("a wrong digest leaves nothing, and the same layer at the same time is unpacked once", async () => {
  const tar = tarOf({ name: "same", type: "file", content: "s".repeat(300_000) });
  const wrong = storage.layers.unpack(streamOf(tar), { expected: sha256(bytes("other")) });
  expect((await failureOf(wrong)).message).toContain("wrong diff id");
  expect(readdirSync(`${root}/layers`).filter((name) => name.startsWith(".tmp"))).toEqual([]);
  const all = await Promise.all(
    [1, 2, 3, 4].map(() => storage.layers.unpack(streamOf(tar), { expected: sha256(tar) })),
  );
  expect(new Set(all.map(({ dir }) => dir)).size).toBe(1);
  const path = `${root}/t.tar`;
  writeFileSync(path, tar);
  const progress: number[] = [];
  await storage.collect();
  await storage.layers.unpack({ path }, { onProgress: (n) => progress.push(n) });
  expect(progress.at(-1)).toBe(tar.length);
});

test("docker diff: opaque directories, replaced kinds, untouched copies, links", async () => {
  const lower = tarOf(
    { name: "d", type: "dir", mode: 0o755 },
    { name: "d/gone", type: "file", content: "1" },
    { name: "d/stays", type: "file", content: "2", mtime: 5 },
    { name: "kind", type: "file" },
    { name: "same", type: "file", content: "3", mtime: 7 },
    { name: "deep", type: "dir", mode: 0o755 },
    { name: "deep/er", type: "dir", mode: 0o755 },
  );
  const layer = await storage.layers.unpack(streamOf(lower));
  const { upper } = await storage.layers.createContainer("diff", [layer.diffId]);
  mkdirSync(`${upper}/d`);
  setxattr(`${upper}/d`, "trusted.overlay.opaque", bytes("y"));
  run(["cp", "-p", `${layer.dir}/d/stays`, `${upper}/d/stays`]);
  mkdirSync(`${upper}/kind`);
  writeFileSync(`${upper}/kind/in`, "");
  run(["cp", "-p", `${layer.dir}/same`, `${upper}/same`]);
  mkdirSync(`${upper}/deep/er`, { recursive: true });
  writeFileSync(`${upper}/deep/er/new`, "n");
  linkSync(`${upper}/deep/er/new`, `${upper}/second`);
  symlinkSync("x", `${upper}/link`);
  const list = (await storage.layers.changes("diff")).map(({ kind, path }) => `${"CAD"[kind]} ${path}`);
  expect(list).toEqual(
    [
      "C /d",
      "D /d/gone",
      "C /deep",
      "C /deep/er",
      "A /deep/er/new",
      "C /kind",
      "A /kind/in",
      "A /link",
      "A /second",
    ].sort((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1)),
  );
  expect(await storage.layers.containerSize("diff")).toBe(1 + 1 + 1 + 1);
  const committed = await storage.layers.commitContainer("diff");
  const names = run(["tar", "-tf", "-"], { stdin: await bytesOf(storage.layers.tar(committed.diffId)) })
    .trim()
    .split("\n");
  expect(names).toEqual([
    "d/",
    "d/.wh..wh..opq",
    "d/stays",
    "deep/",
    "deep/er/",
    "deep/er/new",
    "kind/",
    "kind/in",
    "link",
    "same",
    "second",
  ]);
  expect(lstatSync(`${committed.dir}/second`).nlink).toBe(2);
  await storage.layers.removeContainer("diff");
  expect(() => storage.layers.getContainer("diff")).toThrow("does not exist");
  expect((await failureOf(storage.layers.createContainer("../up", []))).message).toContain("invalid container id");
});

test("volumes: Docker's names and options, sizes, content of the image", async () => {
  const { volumes } = storage;
  const made = await volumes.create("data", { labels: { a: "b" } });
  expect(made).toMatchObject({ name: "data", labels: { a: "b" }, driverOpts: {} });
  expect(await volumes.create("data")).toEqual(made);
  for (const name of ["x", "", "a/b", "..", ".hidden", "a b", "é".repeat(3)]) {
    expect(await failureOf(volumes.create(name))).toMatchObject({ kind: "invalidParameter" });
  }
  expect((await failureOf(volumes.create("opts", { driverOpts: { bad: "1" } }))).message).toContain(
    'invalid option: "bad"',
  );
  expect((await failureOf(volumes.create("opts", { driverOpts: { type: "nfs" } }))).message).toContain(
    'missing required option: "device"',
  );
  const layer = await storage.layers.unpack(
    streamOf(
      tarOf(
        { name: "srv", type: "dir", mode: 0o750, uid: 33, gid: 34, mtime: 1000 },
        { name: "srv/index", type: "file", mode: 0o640, uid: 35, gid: 36, mtime: 2000, content: "hello" },
        { name: "abs", type: "symlink", linkname: "/srv" },
      ),
    ),
  );
  const view = await storage.layers.viewImage([layer.diffId]);
  try {
    expect(await copyUp(view.fd, "/abs", made.mountpoint)).toBe(true);
    expect(lstatSync(made.mountpoint)).toMatchObject({ uid: 33, gid: 34, mode: 0o40750, mtimeMs: 1_000_000 });
    expect(lstatSync(`${made.mountpoint}/index`)).toMatchObject({
      uid: 35,
      gid: 36,
      mode: 0o100640,
      mtimeMs: 2_000_000,
    });
    expect(await volumes.size("data")).toBe(5);
    writeFileSync(`${made.mountpoint}/mine`, "");
    expect(await copyUp(view.fd, "/srv", made.mountpoint)).toBe(false);
    const empty = await volumes.create("empty");
    expect(await copyUp(view.fd, "/nothing", empty.mountpoint)).toBe(false);
  } finally {
    view.close();
  }
  expect(volumes.list().map(({ name }) => name)).toEqual(["data", "empty"]);
  await volumes.remove("data");
  expect(volumes.get("data")).toBeNull();
});

test("pack for docker cp: a file, a directory renamed, links kept inside, what a filter leaves", async () => {
  using place = scratch();
  mkdirSync(`${place.path}/a/b`, { recursive: true });
  writeFileSync(`${place.path}/a/b/f`, "f");
  writeFileSync(`${place.path}/a/g`, "g");
  symlinkSync("/a", `${place.path}/link`);
  symlinkSync("../../../../../../etc", `${place.path}/out`);
  const fd = open(place.path, O.RDONLY | O.DIRECTORY);
  const names = async (options: Parameters<typeof pack>[1]) =>
    run(["tar", "-tf", "-"], { stdin: await bytesOf(pack(fd, options)) })
      .trim()
      .split("\n");
  try {
    expect(await names({ path: "a/g" })).toEqual(["g"]);
    expect(await names({ path: "link/b", rebase: "new" })).toEqual(["new/", "new/f"]);
    expect(await names({ path: "link" })).toEqual(["link"]);
    expect(await names({ filter: (name) => (name === "a/b" ? "prune" : "keep") })).toEqual([
      "a/",
      "a/g",
      "link",
      "out",
    ]);
    expect((await failureOf(names({ path: "out/passwd" }))).message).toContain("no such file");
    expect((await failureOf(bytesOf(pack(fd, { path: "missing" })))).message).toContain("no such file");
  } finally {
    close(fd);
  }
});
