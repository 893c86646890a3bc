import { expect, test } from "bun:test";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { GantryError } from "@gantry/spec";
import { AT, close, getxattr, mkdirat, O, open } from "@gantry/sys";
import { openAt } from "./at.ts";
import { removeAt } from "./remove.ts";
import { extractTo, failureOf, run, scratch, type TestMember, tarOf } from "./testing.ts";
import { encodeHeader, TRAILER } from "./writer.ts";

/** Extracts to <scratch>/root beside a file that nobody may touch; returns the error and what the tree became. */
async function attack(members: TestMember[] | Uint8Array, options = {}) {
  using place = scratch();
  const root = `${place.path}/root`;
  mkdirSync(root);
  writeFileSync(`${place.path}/victim`, "untouched");
  const archive = members instanceof Uint8Array ? members : tarOf(...members);
  const error = await extractTo(root, archive, options).then(
    () => null,
    (reason) => reason as Error,
  );
  expect(readFileSync(`${place.path}/victim`, "utf8")).toBe("untouched");
  expect(lstatSync(`${place.path}/victim`)).toMatchObject({ nlink: 1 });
  expect(readdirSync(place.path).sort()).toEqual(["root", "victim"]);
  return { error, tree: run(["find", root, "-mindepth", "1", "-printf", "%P %y\\n"]).trim().split("\n").sort() };
}

const file = (name: string, content = "evil"): TestMember => ({ name, type: "file", mode: 0o644, content });
const dir = (name: string): TestMember => ({ name, type: "dir", mode: 0o755 });
const link = (name: string, linkname: string): TestMember => ({ name, type: "symlink", linkname });
const hard = (name: string, linkname: string): TestMember => ({ name, type: "link", linkname });

const refused: Record<string, [TestMember[], string]> = {
  "a name that climbs out": [[file("../victim")], '"../victim" is outside of'],
  "a name that climbs out later": [[dir("a"), file("a/../../victim")], "is outside of"],
  "a folder that climbs out": [[dir("../evil")], "is outside of"],
  "a symbolic link that climbs out": [[link("l", "../victim")], 'invalid symlink "l" -> "../victim"'],
  "a deep symbolic link that climbs out": [[dir("a"), link("a/l", "../../victim")], "invalid symlink"],
  "a hard link that climbs out": [[hard("h", "../victim")], 'invalid hardlink "h" -> "../victim"'],
  "a hard link to nothing": [[hard("h", "nothing")], "no such file or directory"],
  "a hard link to the root": [[hard("h", ".")], "invalid hardlink"],
  "a whiteout of the parent": [[file(".wh...", "")], "is outside of"],
  "a whiteout of the folder itself": [[dir("a"), file("a/.wh..", "")], "is outside of"],
  "a file as the root": [[file(".")], "is outside of"],
  "a file below a file": [[file("f"), file("f/x")], "not a directory"],
  "a loop of links": [[link("a", "b"), link("b", "a"), file("a/x")], "too many levels"],
  "a link below nothing": [[link("a", "missing"), file("a/x")], "a: "],
  "a name longer than the kernel has": [[file("n".repeat(300))], "too long"],
  "an owner beyond 32 bits": [[{ ...file("f"), uid: 2 ** 33 }], "out of range"],
};

for (const [what, [members, message]] of Object.entries(refused)) {
  test(`refuses ${what}`, async () => {
    const { error } = await attack(members, { whiteouts: "overlay" });
    expect(error).toBeInstanceOf(GantryError);
    expect((error as GantryError).kind).toBe("invalidParameter");
    expect(error!.message).toContain(message);
  });
}

const confined: Record<string, [TestMember[], string[]]> = {
  "an absolute name": [[file("/victim")], ["victim f"]],
  "an absolute link, followed": [
    [link("l", "/"), file("l/victim"), dir("sub"), link("sub/up", "/sub"), file("sub/up/x")],
    ["l l", "sub d", "sub/up l", "sub/x f", "victim f"],
  ],
  "a link and a file of its name": [[link("f", "/etc/passwd"), file("f")], ["f f"]],
  "a link to a folder, then the folder": [
    [dir("real"), link("d", "real"), dir("d"), file("d/x")],
    ["d d", "d/x f", "real d"],
  ],
  "a hard link to a link, followed by a file": [
    [link("l", "/victim"), hard("h", "l"), file("h")],
    ["h f", "l l"],
  ],
  "a folder replaced by a link": [
    [dir("d"), file("d/x"), link("d", "/"), file("d/y")],
    ["d l", "y f"],
  ],
  "a hard link to itself": [[file("f"), hard("f", "f")], ["f f"]],
  "dots in names": [
    [dir("./a/./"), file("a//b/../c")],
    ["a d", "a/c f"],
  ],
};

for (const [what, [members, tree]] of Object.entries(confined)) {
  test(`keeps inside: ${what}`, async () => {
    const result = await attack(members);
    expect(result.error).toBeNull();
    expect(result.tree).toEqual(tree);
  });
}

test("an existing link out of the root, made by a container, is followed inside the root only", async () => {
  using place = scratch();
  const root = `${place.path}/root`;
  mkdirSync(`${root}/tmp`, { recursive: true });
  mkdirSync(`${place.path}/tmp`);
  symlinkSync("../../../../../../../../tmp", `${root}/escape`);
  await extractTo(root, tarOf(file("escape/x")));
  expect(existsSync(`${root}/tmp/x`)).toBe(true);
  await extractTo(root, tarOf(file("y")), { base: "escape" });
  expect(existsSync(`${root}/tmp/y`)).toBe(true);
  expect(readdirSync(`${place.path}/tmp`)).toEqual([]);
});

test("sizes that lie are errors", async () => {
  const member = Buffer.concat([encodeHeader({ name: "f", type: "file", size: 5000 }), Buffer.alloc(512)]);
  expect((await attack(new Uint8Array(member))).error!.message).toBe("unexpected EOF");
  const trailing = Buffer.concat([encodeHeader({ name: "f", type: "file", size: 0 }), Buffer.alloc(512, "x"), TRAILER]);
  expect((await attack(new Uint8Array(trailing))).error!.message).toContain("invalid tar header");
  const huge = encodeHeader({ name: "f", type: "file", size: 2 ** 50 });
  expect((await attack(new Uint8Array(huge))).error!.message).toContain("unexpected EOF");
  expect((await attack([file("f", "x".repeat(2000))], { maxBytes: 1000 })).error!.message).toContain("too large");
  expect((await attack([file("a"), file("b")], { maxEntries: 1 })).error!.message).toContain("too many");
});

test("whiteouts become overlay's, and an archive's own overlay marks are dropped", async () => {
  using place = scratch();
  const xattrs = new Map([
    ["trusted.overlay.redirect", Buffer.from("/etc")],
    ["trusted.overlay.opaque", Buffer.from("y")],
    ["user.fine", Buffer.from("1")],
  ]);
  const archive = tarOf(
    dir("opaque"),
    file("opaque/.wh..wh..opq", ""),
    file(".wh.gone", ""),
    file(".wh..wh.plnk", ""),
    file("both"),
    file(".wh.both", ""),
    file(".wh.again", ""),
    dir("again"),
    dir("had"),
    file(".wh.had", ""),
    { ...dir("marked"), xattrs },
  );
  await extractTo(place.path, archive, { whiteouts: "overlay" });
  expect(lstatSync(`${place.path}/gone`)).toMatchObject({ rdev: 0 });
  expect(lstatSync(`${place.path}/gone`).isCharacterDevice()).toBe(true);
  expect(lstatSync(`${place.path}/both`).isFile()).toBe(true);
  const opaque = (name: string) => getxattr(`${place.path}/${name}`, "trusted.overlay.opaque")?.toString() ?? null;
  expect(["opaque", "again", "had", "marked"].map(opaque)).toEqual(["121", "121", "121", null]);
  expect(getxattr(`${place.path}/marked`, "trusted.overlay.redirect")).toBeNull();
  expect(getxattr(`${place.path}/marked`, "user.fine")).not.toBeNull();
  expect(readdirSync(place.path).sort()).toEqual(["again", "both", "gone", "had", "marked", "opaque"]);
});

test("owners are mapped, set or left", async () => {
  using place = scratch();
  const archive = tarOf({ ...file("f"), uid: 5, gid: 6 });
  const owner = () => {
    const { uid, gid } = lstatSync(`${place.path}/f`);
    return [uid, gid];
  };
  const map = (hostId: number) => [{ containerId: 0, hostId, size: 10 }];
  await extractTo(place.path, archive, { uidMap: map(1000), gidMap: map(2000) });
  expect(owner()).toEqual([1005, 2006]);
  await extractTo(place.path, archive, { chown: { uid: 7, gid: 8 } });
  expect(owner()).toEqual([7, 8]);
  await extractTo(place.path, archive, { noLchown: true });
  expect(owner()).toEqual([process.getuid!(), process.getgid!()]);
  const unmapped = extractTo(place.path, tarOf({ ...file("g"), uid: 50 }), { uidMap: map(1000) });
  expect((await failureOf(unmapped)).message).toBe("Container ID 50 cannot be mapped to a host ID");
});

test("docker cp's refusal to replace folders by files and the other way round", async () => {
  using place = scratch();
  mkdirat(AT.FDCWD, `${place.path}/d`, 0o755);
  writeFileSync(`${place.path}/f`, "");
  const strict = { noOverwriteDirNonDir: true };
  expect((await failureOf(extractTo(place.path, tarOf(file("d")), strict))).message).toContain(
    "cannot overwrite directory",
  );
  expect((await failureOf(extractTo(place.path, tarOf(dir("f")), strict))).message).toContain(
    "cannot overwrite non-directory",
  );
});

test("a tree nested deeper than there are descriptors is removed", () => {
  using place = scratch();
  mkdirSync(`${place.path}/t`);
  writeFileSync(`${place.path}/keep`, "");
  let fd = open(`${place.path}/t`, O.RDONLY | O.DIRECTORY);
  for (let i = 0; i < 3000; i++) {
    mkdirat(fd, "d", 0o755);
    const next = openAt(fd, "d", O.RDONLY | O.DIRECTORY);
    close(fd);
    fd = next;
  }
  close(fd);
  symlinkSync(`${place.path}/keep`, `${place.path}/t/link`);
  const parent = open(place.path, O.RDONLY | O.DIRECTORY);
  removeAt(parent, "t");
  close(parent);
  expect(readdirSync(place.path)).toEqual(["keep"]);
});
