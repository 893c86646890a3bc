import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import zlib from "node:zlib";
import { GantryError } from "@gantry/spec";
import { close, O, open } from "@gantry/sys";
import { checksumMatches } from "./header.ts";
import { formatPaxRecord } from "./pax.ts";
import { replay } from "./recipe.ts";
import { sha256, tarOf } from "./testing.ts";
import { unpack } from "./unpack.ts";
import { encodeHeader } from "./writer.ts";

/** How many mutated archives; GANTRY_FUZZ=10000 for the long run. */
const ROUNDS = Number(process.env["GANTRY_FUZZ"] ?? 300);

/** A small deterministic generator (xorshift), so that a failing round can be run again. */
export function random(seed: number): (below: number) => number {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

function pax(records: [string, string][], flag = 0x78): Uint8Array {
  const body = Buffer.concat(records.map(([key, value]) => formatPaxRecord(key, Buffer.from(value))));
  const header = encodeHeader({ name: "pax", type: "file", size: body.length });
  header[156] = flag;
  resum(header, 0);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

function resum(bytes: Uint8Array, at: number): void {
  bytes.fill(0x20, at + 148, at + 156);
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += bytes[at + i]!;
  bytes.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), at + 148);
}

const members = tarOf(
  { name: "d", type: "dir", mode: 0o755 },
  { name: "d/f", type: "file", mode: 0o644, content: "payload".repeat(100) },
  { name: "d/l", type: "symlink", linkname: "f" },
  { name: "up", type: "symlink", linkname: "d" },
  { name: "up/through", type: "file", content: "x" },
  { name: "h", type: "link", linkname: "d/f" },
  { name: "d/.wh.gone", type: "file" },
  { name: "d/.wh..wh..opq", type: "file" },
  { name: "fifo", type: "fifo" },
  { name: "x", type: "file", content: "x", xattrs: new Map([["user.a", Buffer.from("b")]]) },
  { name: `${"n".repeat(120)}/${"m".repeat(120)}`, type: "file", content: "long" },
);
const seeds = [
  members,
  Buffer.concat([
    pax([
      ["GNU.sparse.map", "0,3,100,4"],
      ["GNU.sparse.size", "200"],
    ]),
    tarOf({ name: "s", type: "file", content: "abcdefg" }),
  ]),
  Buffer.concat([
    pax([
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.name", "s"],
      ["GNU.sparse.realsize", "900"],
    ]),
    tarOf({
      name: "s1",
      type: "file",
      content: Buffer.concat([Buffer.from("1\n10\n5\n"), Buffer.alloc(505), Buffer.from("hello")]),
    }),
  ]),
  Buffer.concat([
    pax(
      [
        ["path", "global"],
        ["comment", "c"],
      ],
      0x67,
    ),
    members,
  ]),
];

const WORDS = [
  "../",
  "/",
  "..",
  ".wh.",
  ".wh..wh..opq",
  "\0",
  "\xff",
  "99999999999",
  "-1",
  "victim",
  "../victim",
  "/proc/self/root/",
];

function mutate(original: Uint8Array, next: (below: number) => number): Uint8Array {
  const bytes = Buffer.from(original);
  for (let i = 1 + next(4); i > 0; i--) {
    const block = next(bytes.length / 512) * 512;
    switch (next(6)) {
      case 0:
        bytes[next(bytes.length)] = next(256);
        break;
      case 1:
        bytes.write(WORDS[next(WORDS.length)]!, block + [0, 157, 124, 345][next(4)]! + next(4), "latin1");
        break;
      case 2:
        bytes[block + 156] = "01234567LKxgSVDX\0".charCodeAt(next(17));
        break;
      case 3:
        bytes.copy(bytes, block, next(bytes.length / 512) * 512, bytes.length);
        break;
      case 4:
        bytes[block + 100 + next(60)] = [0x80, 0xff, 0x30 + next(8), 0x20][next(4)]!;
        break;
      default:
        bytes.write(`${WORDS[next(WORDS.length)]}`, next(bytes.length - 20), "latin1");
    }
  }
  // Most changed headers get their checksum right, or nothing behind it would ever be reached.
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    if (
      next(8) !== 0 &&
      bytes[at] !== 0 &&
      /^[0-7 \0]{8}$/.test(bytes.toString("latin1", at + 100, at + 108)) &&
      !checksumMatches(bytes.subarray(at, at + 512))
    )
      resum(bytes, at);
  }
  return next(10) === 0 ? bytes.subarray(0, next(bytes.length)) : bytes;
}

test(`${ROUNDS} mutated archives: an error or a layer that gives its tar back; nothing outside`, () => {
  const place = mkdtempSync(`${tmpdir()}/gantry-fuzz-`);
  writeFileSync(`${place}/victim`, "untouched");
  let accepted = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const next = random(round + 1);
      let bytes = mutate(seeds[next(seeds.length)]!, next);
      if (next(5) === 0) {
        bytes = next(2) === 0 ? zlib.gzipSync(bytes) : zlib.zstdCompressSync(bytes);
        if (next(2) === 0) bytes[next(bytes.length)]! ^= 1 << next(8);
      }
      const directory = `${place}/layer`;
      mkdirSync(directory);
      writeFileSync(`${place}/t.tar`, bytes);
      try {
        const result = unpack({ source: { path: `${place}/t.tar` }, directory, keep: true });
        accepted++;
        const given = givenBack(directory, result.tarFrom);
        if (sha256(given) !== result.diffId) throw new Error(`round ${round}: the tar given back is another`);
      } catch (error) {
        if (!(error instanceof GantryError)) throw new Error(`round ${round}: ${(error as Error).stack}`);
      }
      const outside = readdirSync(place).sort().join();
      if (outside !== "layer,t.tar,victim") throw new Error(`round ${round}: outside is ${outside}`);
      rmSync(directory, { recursive: true });
    }
    expect(readFileSync(`${place}/victim`, "utf8")).toBe("untouched");
    expect(accepted).toBeGreaterThan(ROUNDS / 20);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}, 600_000);

function givenBack(directory: string, from: string): Buffer {
  if (from === "tar") return readFileSync(`${directory}/tar`);
  const parts: Buffer[] = [];
  const fd = open(`${directory}/diff`, O.RDONLY | O.DIRECTORY);
  try {
    replay(`${directory}/recipe`, fd, (chunk) => parts.push(Buffer.from(chunk)));
  } finally {
    close(fd);
  }
  return Buffer.concat(parts);
}
