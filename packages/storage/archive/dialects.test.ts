import { expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import zlib from "node:zlib";
import { getxattr, setxattr } from "@gantry/sys";
import { bytesOf, extractTo, failureOf, packFrom, run, scratch, sha256, streamOf } from "./testing.ts";

/** A tree with everything a tar can hold, made by the system's own tools. */
function makeTree(root: string): void {
  const deep = `${"long-directory-name/".repeat(9)}${"x".repeat(120)}`;
  mkdirSync(`${root}/${deep}`, { recursive: true });
  writeFileSync(`${root}/${deep}/file`, "deep");
  writeFileSync(`${root}/plain`, "plain\n");
  writeFileSync(`${root}/empty`, "");
  writeFileSync(`${root}/big`, Buffer.alloc(3_000_001, "0123456789"));
  writeFileSync(`${root}/näme mit\nZeile`, "utf8");
  run(["ln", `${root}/plain`, `${root}/hard`]);
  run(["ln", "-s", "plain", `${root}/soft`]);
  run(["ln", "-s", `/${"t".repeat(150)}`, `${root}/longsoft`]);
  run(["mknod", `${root}/null`, "c", "1", "3"]);
  run(["mknod", `${root}/disk`, "b", "7", "300"]);
  run(["mkfifo", `${root}/fifo`]);
  run(["chown", "-h", "3000000:4000000", `${root}/soft`]);
  run(["chown", "1234:5678", `${root}/plain`]);
  run(["chmod", "6751", `${root}/plain`]);
  run(["chmod", "1777", `${root}/long-directory-name`]);
  run(["touch", "-d", "@1000000000.123456789", `${root}/plain`]);
  run(["touch", "-d", "@-5", `${root}/empty`]);
  run(["sh", "-c", `printf x > ${root}/bad"$(printf '\\377\\376')"name`]);
  run([
    "sh",
    "-c",
    `truncate -s 5M ${root}/sparse && for i in 0 1 2 3 4; do printf data | dd of=${root}/sparse bs=1 seek=$((i*1000000+7)) conv=notrunc status=none; done`,
  ]);
  run(["touch", "-h", "-d", "@1111111111", `${root}/soft`, `${root}/null`, `${root}/fifo`]);
  run(["touch", "-d", "@1222222222", `${root}/long-directory-name`, root]);
}

/** What a tree is, in words that can be compared. */
function describe(root: string, exact: boolean): string[] {
  const format = `%P|%y|%#m|%U:%G|%s|%n|%l|%T@`;
  const lines = run(["find", root, "-printf", `${format}\\0`])
    .split("\0")
    .filter(Boolean);
  return lines
    .map((line) => {
      const parts = line.split("|");
      if (parts[1] === "d") parts[4] = parts[5] = "";
      if (!exact) parts[7] = parts[7]!.replace(/\..*/, "");
      return parts.join("|");
    })
    .sort();
}

const GNU: [string, string[]][] = [
  ["gnu", ["--format=gnu"]],
  ["gnu sparse", ["--format=gnu", "-S"]],
  ["posix", ["--format=posix"]],
  ["posix sparse 0.0", ["--format=posix", "-S", "--sparse-version=0.0"]],
  ["posix sparse 0.1", ["--format=posix", "-S", "--sparse-version=0.1"]],
  ["posix sparse 1.0", ["--format=posix", "-S", "--sparse-version=1.0"]],
  ["posix, global header", ["--format=posix", "--pax-option=comment=hello,globexthdr.name=g"]],
];

for (const [name, flags] of GNU) {
  test(`GNU tar's ${name} archive is laid out as GNU tar does`, async () => {
    using tree = scratch();
    makeTree(tree.path);
    using from = scratch();
    using to = scratch();
    run(["tar", ...flags, "-C", tree.path, "-cf", `${from.path}/t.tar`, "."]);
    await extractTo(to.path, new Uint8Array(readFileSync(`${from.path}/t.tar`)));
    expect(describe(to.path, name.startsWith("posix"))).toEqual(describe(tree.path, name.startsWith("posix")));
    expect(
      run(["diff", "-r", "--no-dereference", "--exclude=null", "--exclude=disk", "--exclude=fifo", tree.path, to.path]),
    ).toBe("");
    if (name.includes("sparse")) expect(lstatSync(`${to.path}/sparse`).blocks).toBeLessThan(400);
    expect(lstatSync(`${to.path}/disk`).rdev).toBe(lstatSync(`${tree.path}/disk`).rdev);
  });
}

for (const format of ["v7", "ustar", "oldgnu"]) {
  test(`GNU tar's ${format} archive`, async () => {
    using tree = scratch();
    mkdirSync(`${tree.path}/d/e`, { recursive: true });
    writeFileSync(`${tree.path}/d/e/f`, "text");
    run(["ln", `${tree.path}/d/e/f`, `${tree.path}/hard`]);
    run(["ln", "-s", "d/e", `${tree.path}/soft`]);
    using from = scratch();
    using to = scratch();
    run(["tar", `--format=${format}`, "-C", tree.path, "-cf", `${from.path}/t.tar`, "d", "hard", "soft"]);
    await extractTo(to.path, new Uint8Array(readFileSync(`${from.path}/t.tar`)));
    expect(readFileSync(`${to.path}/hard`, "utf8")).toBe("text");
    expect(lstatSync(`${to.path}/hard`).nlink).toBe(2);
    expect(readlinkSync(`${to.path}/soft`)).toBe("d/e");
  });
}

const python = Bun.which("python3");
for (const format of ["USTAR", "GNU", "PAX"]) {
  test.skipIf(!python)(`Python's ${format} archive, and Python reads ours`, async () => {
    using tree = scratch();
    makeTree(tree.path);
    if (format === "USTAR")
      run(["sh", "-c", `cd ${tree.path} && rm -r long* bad* && chown -h 1:1 soft && touch -d @1 empty`]);
    using from = scratch();
    using to = scratch();
    run([
      python!,
      "-c",
      `import tarfile,sys
t=tarfile.open(sys.argv[2],'w',format=tarfile.${format}_FORMAT)
t.add(sys.argv[1],'.')
t.close()`,
      tree.path,
      `${from.path}/t.tar`,
    ]);
    await extractTo(to.path, new Uint8Array(readFileSync(`${from.path}/t.tar`)));
    expect(describe(to.path, false)).toEqual(describe(tree.path, false));
    writeFileSync(`${from.path}/ours.tar`, await packFrom(to.path));
    const listed = run([
      python!,
      "-c",
      `import tarfile,sys
t=tarfile.open(sys.argv[1])
print(sum(1 for m in t), t.getmember('big').size, t.extractfile('big').read()[-1:])`,
      `${from.path}/ours.tar`,
    ]);
    expect(listed.trim()).toBe(`${describe(tree.path, false).length - 1} 3000001 b'0'`);
  });
}

test("bsdtar's archive with extended attributes", async () => {
  if (!Bun.which("bsdtar")) return console.warn("bsdtar is not installed: skipped");
  using tree = scratch();
  makeTree(tree.path);
  using from = scratch();
  using to = scratch();
  run(["bsdtar", "--format=pax", "-C", tree.path, "-cf", `${from.path}/t.tar`, "."]);
  await extractTo(to.path, new Uint8Array(readFileSync(`${from.path}/t.tar`)));
  expect(describe(to.path, true)).toEqual(describe(tree.path, true));
});

test("what we pack, GNU tar unpacks to the same tree, and packing that again gives the same bytes", async () => {
  using tree = scratch();
  makeTree(tree.path);
  setxattr(`${tree.path}/big`, "user.note", Buffer.from("hello"));
  // cap_net_raw+ep, as capabilities(7) lays it out in version 2.
  setxattr(`${tree.path}/big`, "security.capability", Buffer.from("0100000200200000000000000000000000000000", "hex"));
  using to = scratch();
  using again = scratch();
  const archive = await packFrom(tree.path, { exactTimes: true });
  run(["tar", "--xattrs", "--xattrs-include=*", "-xpf", "-", "-C", to.path], { stdin: archive });
  const lines = (root: string) => describe(root, true).filter((line) => !line.startsWith("|"));
  expect(lines(to.path)).toEqual(lines(tree.path));
  expect(await packFrom(to.path, { exactTimes: true })).toEqual(archive);
  await extractTo(again.path, archive);
  expect(lines(again.path)).toEqual(lines(tree.path));
  const key = "security.capability";
  expect(getxattr(`${again.path}/big`, key)).toEqual(getxattr(`${tree.path}/big`, key));
  expect(Buffer.from(getxattr(`${again.path}/big`, "user.note")!).toString()).toBe("hello");
});

test("any compression, whole or in pieces, any chunk size", async () => {
  using tree = scratch();
  writeFileSync(`${tree.path}/a`, "a".repeat(100_000));
  writeFileSync(`${tree.path}/b`, "b");
  const plain = await packFrom(tree.path);
  const half = 30_000;
  const kinds: Record<string, Uint8Array> = {
    plain,
    gzip: zlib.gzipSync(plain),
    "gzip of two members": Buffer.concat([zlib.gzipSync(plain.slice(0, half)), zlib.gzipSync(plain.slice(half))]),
    zstd: zlib.zstdCompressSync(plain),
    "zstd of two frames": Buffer.concat([
      zlib.zstdCompressSync(plain.slice(0, half)),
      zlib.zstdCompressSync(plain.slice(half)),
    ]),
  };
  for (const program of ["xz", "bzip2"]) {
    if (!Bun.which(program)) continue;
    kinds[program] = Bun.spawnSync([program, "-c"], { stdin: plain }).stdout;
  }
  for (const [kind, bytes] of Object.entries(kinds)) {
    for (const piece of [1, 511, 1 << 16]) {
      if (piece === 1 && bytes.length > 2000) continue;
      using to = scratch();
      await extractTo(to.path, streamOf(bytes, piece));
      expect([kind, sha256(readFileSync(`${to.path}/a`))]).toEqual([kind, sha256(readFileSync(`${tree.path}/a`))]);
      expect(readdirSync(to.path).sort()).toEqual(["a", "b"]);
    }
    for (const cut of [3, 20]) {
      if (kind === "plain") continue;
      using to = scratch();
      expect((await failureOf(extractTo(to.path, bytes.slice(0, bytes.length - cut)))).message).toContain(
        "archive/tar",
      );
    }
  }
  expect((await bytesOf(streamOf(plain))).length).toBe(plain.length);
});
