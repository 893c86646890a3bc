import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { close, O, openat2, RESOLVE } from "@gantry/sys";
import { bytesOf, sha256, streamOf, tarOf } from "./archive/testing.ts";
import { importRootfs, openStorage } from "./index.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-storage-`);
const storage = openStorage({ root, db: new Database(":memory:") });
afterAll(async () => {
  await storage.settled();
  rmSync(root, { recursive: true, force: true });
});

const rootfs = tarOf(
  { name: "bin", type: "dir", mode: 0o755 },
  { name: "bin/hello", type: "file", mode: 0o4755, uid: 5, gid: 6, mtime: 1_000_000_000, content: "x".repeat(100_000) },
  { name: "etc", type: "dir", mode: 0o755 },
  { name: "etc/passwd", type: "file", content: "root:x:0:0::/:/bin/sh\n" },
  { name: "sh", type: "symlink", linkname: "bin/hello" },
  { name: "hard", type: "link", linkname: "bin/hello" },
  { name: "fifo", type: "fifo", mode: 0o640 },
  { name: "null", type: "char", devMajor: 1, devMinor: 3 },
);

test("import, tag, resolve, container, diff, commit, seal, remove", async () => {
  const image = await importRootfs(storage, streamOf(rootfs), { config: { Cmd: ["/bin/hello"] } });
  expect(image.config.rootfs.diff_ids).toEqual([sha256(rootfs)]);
  expect(storage.images.tag(image.id, "Busy".toLowerCase())).toBeNull();
  expect(storage.images.resolve("busy").id).toBe(image.id);
  expect(storage.images.resolve(image.id.slice(7, 15)).tags).toEqual(["busy:latest"]);
  expect(() => storage.images.resolve("nope")).toThrow("No such image: nope:latest");

  const layer = storage.layers.get(sha256(rootfs));
  expect(lstatSync(`${layer.dir}/bin/hello`)).toMatchObject({
    mode: 0o104755,
    uid: 5,
    gid: 6,
    nlink: 2,
    size: 100_000,
  });
  expect(lstatSync(`${layer.dir}/null`).rdev).toBe(0x103);
  expect(Buffer.compare(await bytesOf(storage.layers.tar(layer.diffId)), rootfs)).toBe(0);

  const container = await storage.layers.createContainer("c1", image.config.rootfs.diff_ids);
  expect(container.lower).toEqual([layer.dir, `${root}/layers/init`]);
  const view = await storage.layers.view("c1");
  const fd = openat2(view.fd, "etc/new", { flags: O.CREAT | O.WRONLY, mode: 0o644, resolve: RESOLVE.IN_ROOT });
  rmSync(`/proc/self/fd/${view.fd}/etc/passwd`);
  close(fd);
  view.close();
  expect(readdirSync(`${container.upper}/etc`).sort()).toEqual(["new", "passwd"]);
  expect(await storage.layers.changes("c1")).toEqual([
    { kind: 0, path: "/etc" },
    { kind: 1, path: "/etc/new" },
    { kind: 2, path: "/etc/passwd" },
  ]);
  const committed = await storage.layers.commitContainer("c1");
  const sealed = await storage.layers.sealContainer("c1");
  expect(sealed).toEqual(committed);
  expect(lstatSync(`${sealed.dir}/etc/passwd`)).toMatchObject({ rdev: 0 });
  expect<string>(sha256(await bytesOf(storage.layers.tar(sealed.diffId)))).toBe(sealed.diffId);
  expect(existsSync(container.upper)).toBe(false);

  const both = await storage.layers.viewImage([layer.diffId, sealed.diffId]);
  expect(existsSync(`/proc/self/fd/${both.fd}/etc/passwd`)).toBe(false);
  expect(readFileSync(`/proc/self/fd/${both.fd}/etc/new`, "utf8")).toBe("");
  expect(existsSync(`/proc/self/fd/${both.fd}/.dockerenv`)).toBe(true);
  both.close();

  storage.images.delete(image.id);
  await storage.collect();
  expect(storage.layers.has(layer.diffId)).toBe(false);
  await storage.settled();
  expect(existsSync(layer.dir)).toBe(false);
});
