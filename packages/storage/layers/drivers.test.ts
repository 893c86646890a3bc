import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { bytesOf, run, sha256, streamOf, tarOf } from "../archive/testing.ts";
import { openStorage } from "../storage.ts";
import type { DriverName } from "./snapshotter.ts";

const bottom = tarOf(
  { name: "d", type: "dir", mode: 0o750, uid: 1, mtime: 100 },
  { name: "d/a", type: "file", content: "a", mtime: 100 },
  { name: "d/b", type: "file", content: "b", mtime: 100 },
  { name: "hard1", type: "file", content: "h", mtime: 100 },
  { name: "hard2", type: "link", linkname: "hard1" },
  { name: "o", type: "dir", mode: 0o755, mtime: 100 },
  { name: "o/old", type: "file", content: "old", mtime: 100 },
);
const top = tarOf(
  { name: "d", type: "dir", mode: 0o700, uid: 2, mtime: 200 },
  { name: "d/.wh.b", type: "file" },
  { name: "o", type: "dir", mode: 0o755, mtime: 200 },
  { name: "o/.wh..wh..opq", type: "file" },
  { name: "o/new", type: "file", content: "new", mtime: 200 },
);

const isRoot = process.getuid?.() === 0;
const cases: [driver: DriverName, where: string][] = [
  ["overlay2", ""],
  ["vfs", ""],
  ["vfs", " on an overlay, as in a container"],
];
for (const [driver, where] of cases) {
  test.skipIf(where !== "" && !isRoot)(
    `${driver}${where}: layers are laid over each other, changed, compared, committed`,
    async () => {
      const base = mkdtempSync(`${tmpdir()}/gantry-driver-`);
      const root = where === "" ? base : `${base}/root`;
      if (where !== "") {
        for (const name of ["lower", "upper", "work", "root"]) mkdirSync(`${base}/${name}`);
        const options = `lowerdir=${base}/lower,upperdir=${base}/upper,workdir=${base}/work`;
        run(["mount", "-t", "overlay", "-o", options, "overlay", root]);
      }
      const storage = openStorage({ root, db: new Database(":memory:"), driver });
      const { layers } = storage;
      try {
        expect(storage.driver).toBe(driver);
        for (const tar of [bottom, top]) await layers.unpack(streamOf(tar));
        const diffIds = [sha256(bottom), sha256(top)];
        const container = await layers.createContainer("c", diffIds);
        expect(container.lower.length).toBe(driver === "vfs" ? 0 : 3);
        const view = await layers.view("c");
        const path = `/proc/self/fd/${view.fd}`;
        expect(readdirSync(path).sort()).toEqual([
          ".dockerenv",
          "d",
          "dev",
          "etc",
          "hard1",
          "hard2",
          "o",
          "proc",
          "sys",
        ]);
        expect([readdirSync(`${path}/d`), readdirSync(`${path}/o`)]).toEqual([["a"], ["new"]]);
        expect(lstatSync(`${path}/d`)).toMatchObject({ mode: 0o40700, uid: 2, mtimeMs: 200_000 });
        expect(lstatSync(`${path}/hard1`).nlink).toBe(2);
        expect(await layers.changes("c")).toEqual([]);
        rmSync(`${path}/d/a`);
        appendFileSync(`${path}/o/new`, "er");
        mkdirSync(`${path}/made`);
        writeFileSync(`${path}/made/x`, "x");
        view.close();
        const changes = (await layers.changes("c")).map((change) => `${"CAD"[change.kind]} ${change.path}`);
        expect(changes).toEqual(["C /d", "D /d/a", "A /made", "A /made/x", "C /o", "C /o/new"]);
        const committed = await layers.commitContainer("c");
        const names = run(["tar", "-tf", "-"], { stdin: await bytesOf(layers.tar(committed.diffId)) })
          .trim()
          .split("\n");
        expect(names).toEqual(["d/", "d/.wh.a", "made/", "made/x", "o/", "o/new"]);
        const sealed = await layers.sealContainer("c");
        expect(sealed.size).toBe(committed.size);
        const image = await layers.viewImage([...diffIds, sealed.diffId]);
        expect(readFileSync(`/proc/self/fd/${image.fd}/o/new`, "utf8")).toBe("newer");
        expect(existsSync(`/proc/self/fd/${image.fd}/d/a`)).toBe(false);
        image.close();
        await layers.createContainer("c", diffIds);
        await layers.removeContainer("c");
        await storage.settled();
        expect(readdirSync(`${root}/layers`).filter((name) => name.startsWith("."))).toEqual([]);
        expect(readdirSync(`${root}/trash`)).toEqual([]);
      } finally {
        await storage.settled();
        if (where !== "") run(["umount", "-l", root]);
        rmSync(base, { recursive: true, force: true });
      }
    },
  );
}

test("the driver is chosen by trying", () => {
  const root = mkdtempSync(`${tmpdir()}/gantry-driver-`);
  try {
    expect(openStorage({ root, db: new Database(":memory:") }).driver).toBe("overlay2");
    expect(readdirSync(root).filter((name) => name.startsWith(".probe"))).toEqual([]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});

const canMake = isRoot && Bun.which("mkfs.ext4") !== null;

test.skipIf(!canMake)("vfs on a file system that lists no types of files: there overlay shows what was removed", () => {
  const root = mkdtempSync(`${tmpdir()}/gantry-driver-`);
  const mounted = `${root}/small`;
  mkdirSync(mounted);
  run(["truncate", "-s", "16M", `${root}/image`]);
  run(["mkfs.ext4", "-q", "-O", "^filetype", `${root}/image`]);
  run(["mount", "-o", "loop", `${root}/image`, mounted]);
  try {
    expect(openStorage({ root: mounted, db: new Database(":memory:") }).driver).toBe("vfs");
    expect(readdirSync(mounted).filter((name) => name.startsWith(".probe"))).toEqual([]);
  } finally {
    run(["umount", "-l", mounted]);
    rmSync(root, { recursive: true, force: true });
  }
});
