import { afterAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makedev, mknodat, S } from "@gantry/sys";
import { extractTree } from "./extract-tree.ts";
import { readTar, type TarEntry, tarEnd, tarHeader, tarPadding } from "./tar.ts";
import { archiveTree } from "./tree-archive.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-tar-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const entry = (name: string, more: Partial<TarEntry> = {}): TarEntry => ({
  name,
  type: "file",
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtime: 1,
  size: 0,
  linkname: "",
  ...more,
});
async function* archive(...entries: [TarEntry, string?][]) {
  for (const [head, text = ""] of entries) {
    yield tarHeader({ ...head, size: text.length });
    yield Buffer.from(text);
    yield tarPadding(text.length);
  }
  yield tarEnd;
}

test("a tree comes back as it was: long and foreign names, links, modes", async () => {
  const source = join(root, "source");
  const long = `${"l".repeat(200)}.txt`;
  mkdirSync(join(source, "sub", "ünï"), { recursive: true });
  writeFileSync(join(source, "sub", "ünï", long), "content", { mode: 0o640 });
  writeFileSync(join(source, "big"), Buffer.alloc(600_000, 7));
  writeFileSync(join(source, "run.sh"), "#!", { mode: 0o755 });
  linkSync(join(source, "big"), join(source, "big2"));
  symlinkSync("../outside", join(source, "link"));
  const target = join(root, "target");
  mkdirSync(target);
  await extractTree(archiveTree(source, { name: "source" }), target, { rename: "copy", owner: false });
  expect(readFileSync(join(target, "copy/sub/ünï", long), "utf8")).toBe("content");
  expect(readFileSync(join(target, "copy/big2")).length).toBe(600_000);
  expect(lstatSync(join(target, "copy/big2")).ino).toBe(lstatSync(join(target, "copy/big")).ino);
  expect(readlinkSync(join(target, "copy/link"))).toBe("../outside");
  expect(lstatSync(join(target, "copy/run.sh")).mode & 0o777).toBe(0o755);
});

test("pipes and devices come along", async () => {
  const source = join(root, "nodes");
  mkdirSync(source);
  const made = (name: string, mode: number, device = 0n) => {
    const fd = openSync(source, "r");
    mknodat(fd, name, mode, device);
    closeSync(fd);
  };
  made("pipe", S.IFIFO | 0o600);
  const nodes = ["pipe"];
  try {
    made("null", S.IFCHR | 0o640, makedev(1, 3));
    made("disk", S.IFBLK | 0o600, makedev(511, 70_000));
    nodes.push("null", "disk");
  } catch {
    // Only root makes devices.
  }
  linkSync(join(source, "pipe"), join(source, "pipe2"));
  const target = join(root, "nodes-target");
  mkdirSync(target);
  await extractTree(archiveTree(source, { name: "nodes" }), target, { rename: "copy", owner: false });
  const facts = (dir: string) =>
    nodes.map((name) => {
      const { mode, rdev } = lstatSync(join(dir, name));
      return { name, mode, rdev };
    });
  expect(facts(join(target, "copy"))).toEqual(facts(source));
  expect(lstatSync(join(target, "copy/pipe")).nlink).toBe(2);
});

describe("a hostile archive writes nothing outside", () => {
  const attempt = async (...entries: [TarEntry, string?][]) => {
    const target = mkdtempSync(join(root, "hostile-"));
    const error = await extractTree(archive(...entries), target, { rename: ".", owner: false }).catch(
      (caught) => caught,
    );
    return { target, error };
  };
  test("by dots", async () => {
    expect((await attempt([entry("../evil"), "x"])).error.message).toContain("invalid tar entry");
    expect((await attempt([entry("a/../../evil"), "x"])).error.message).toContain("invalid tar entry");
    expect(existsSync(join(root, "evil"))).toBe(false);
  });
  test("by an absolute name", async () => {
    const { target } = await attempt([entry("/absolute"), "x"]);
    expect(readFileSync(join(target, "absolute"), "utf8")).toBe("x");
  });
  test("through a link that it made", async () => {
    const { error } = await attempt([entry("way", { type: "symlink", linkname: root })], [entry("way/evil"), "x"]);
    expect(error.message).toContain("leads through");
    expect(existsSync(join(root, "evil"))).toBe(false);
  });
  test("onto a link that it made", async () => {
    const victim = join(root, "victim");
    writeFileSync(victim, "safe");
    const { target } = await attempt(
      [entry("file", { type: "symlink", linkname: victim })],
      [entry("file"), "overwritten"],
    );
    expect(readFileSync(victim, "utf8")).toBe("safe");
    expect(readFileSync(join(target, "file"), "utf8")).toBe("overwritten");
  });
  test("by a hard link to outside", async () => {
    const { error } = await attempt([entry("hard", { type: "link", linkname: "../victim" })]);
    expect(error.message).toContain("invalid tar entry");
  });
});

describe("a broken archive is refused", () => {
  const names = async (bytes: Uint8Array) => {
    async function* once() {
      yield bytes;
    }
    const found: string[] = [];
    for await (const { entry } of readTar(once())) found.push(entry.name);
    return found;
  };
  test("with a wrong checksum", () => {
    const head = tarHeader(entry("a"));
    head[0] = 66;
    expect(names(head)).rejects.toThrow("archive/tar: invalid tar header");
  });
  test("that ends too early", () => {
    expect(names(tarHeader(entry("a", { size: 100 })))).rejects.toThrow("unexpected EOF");
  });
  test("by random changes, without a crash", async () => {
    const whole = Buffer.concat(
      await Array.fromAsync(
        archive(
          [entry("d/", { type: "directory" })],
          [entry(`n${"x".repeat(150)}`), "hello"],
          [entry("l", { type: "symlink", linkname: "y" })],
        ),
      ),
    );
    let seed = 42;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return seed % below;
    };
    for (let i = 0; i < 2000; i++) {
      const mutated = Buffer.from(whole);
      for (let j = random(5); j >= 0; j--) mutated[random(mutated.length)] = random(256);
      await names(mutated.subarray(0, random(2) ? mutated.length : random(mutated.length))).catch((error) =>
        expect(error).toBeInstanceOf(Error),
      );
    }
  });
});
