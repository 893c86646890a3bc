import { afterAll, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { compressRotated } from "./compress.ts";
import { withLogLock } from "./files.ts";
import { type LogRange, LogReader } from "./read.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-compress-`);
afterAll(() => rmSync(root, { recursive: true, force: true }));

let last = 0;
/** A log's path in a directory of its own. */
function place(): string {
  mkdirSync(`${root}/${++last}`);
  return `${root}/${last}/c-json.log`;
}
const there = (path: string) => readdirSync(dirname(path)).sort();
const line = (n: number) =>
  `${JSON.stringify({ log: `${n}\n`, stream: "stdout", time: new Date(1.7e12 + n).toISOString() })}\n`;
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join("");
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const all: LogRange = { since: null, until: null, tail: -1 };

async function read(reader: LogReader, tail = -1): Promise<number[]> {
  const numbers: number[] = [];
  for await (const batch of reader.read({ ...all, tail })) numbers.push(...batch.map((entry) => Number(entry.line)));
  return numbers;
}
async function readOnce(path: string, tail = -1): Promise<number[]> {
  const reader = new LogReader(path);
  try {
    return await read(reader, tail);
  } finally {
    await reader.close();
  }
}

test("plain rotated files are compressed and keep mode, time and lines; the current one stays", async () => {
  const path = place();
  writeFileSync(`${path}.2`, lines(1, 5000), { mode: 0o640 });
  writeFileSync(`${path}.1`, lines(5001, 6000));
  writeFileSync(path, lines(6001, 6010));
  const before = statSync(`${path}.2`);
  await compressRotated(path);
  expect(there(path)).toEqual(["c-json.log", "c-json.log.1.gz", "c-json.log.2.gz"]);
  expect(gunzipSync(readFileSync(`${path}.2.gz`)).toString()).toBe(lines(1, 5000));
  const after = statSync(`${path}.2.gz`);
  expect(after.mode).toBe(before.mode);
  expect(Math.abs(after.mtimeMs - before.mtimeMs)).toBeLessThan(1);
  expect(await readOnce(path)).toEqual(range(1, 6010));
});

test("tail over compressed files", async () => {
  const path = place();
  writeFileSync(`${path}.2.gz`, gzipSync(lines(1, 20_000)));
  writeFileSync(`${path}.1.gz`, gzipSync(lines(20_001, 20_010)));
  writeFileSync(path, lines(20_011, 20_012));
  for (const tail of [1, 2, 3, 12, 13, 15_000, 20_012, 30_000])
    expect(await readOnce(path, tail)).toEqual(range(Math.max(1, 20_013 - tail), 20_012));
  expect(await readOnce(path, 0)).toEqual([]);
});

test("what a killed daemon left: half a temporary file, and a slot with both files", async () => {
  const path = place();
  writeFileSync(`${path}.gz.tmp`, "half");
  writeFileSync(`${path}.1`, lines(1, 10));
  writeFileSync(`${path}.1.gz`, gzipSync(lines(1, 10)));
  writeFileSync(path, lines(11, 12));
  expect(await readOnce(path)).toEqual(range(1, 12));
  await compressRotated(path);
  expect(there(path)).toEqual(["c-json.log", "c-json.log.1.gz"]);
  expect(await readOnce(path)).toEqual(range(1, 12));
});

test("a file that was rotated on, or dropped, while it was compressed", async () => {
  for (const dropped of [false, true]) {
    const path = place();
    writeFileSync(`${path}.1`, lines(1, 100));
    let asked = 0;
    await compressRotated(path, () => {
      // Between the compression and its name.
      if (++asked === 2) {
        if (dropped) rmSync(`${path}.1`);
        else renameSync(`${path}.1`, `${path}.2`);
        writeFileSync(`${path}.1`, lines(101, 200));
      }
      return true;
    });
    expect(there(path)).toEqual(dropped ? ["c-json.log.1.gz"] : ["c-json.log.1.gz", "c-json.log.2.gz"]);
    expect(await readOnce(path)).toEqual(range(dropped ? 101 : 1, 200));
  }
});

test("a daemon that ends, or a container that goes, leaves no temporary file", async () => {
  const path = place();
  writeFileSync(`${path}.1`, lines(1, 100));
  let asked = 0;
  await compressRotated(path, () => ++asked < 2);
  expect(there(path)).toEqual(["c-json.log.1"]);
});

test("who follows is not confused by its file being compressed, nor by those it missed", async () => {
  const path = place();
  writeFileSync(`${path}.1`, lines(1, 10));
  writeFileSync(path, lines(11, 20));
  const reader = new LogReader(path);
  expect(await read(reader)).toEqual(range(1, 20));
  appendFileSync(path, lines(21, 22));
  const rotate = async (from: number, to: number, compress: boolean) => {
    await withLogLock(path, "exclusive", () => {
      for (let slot = 9; slot > 0; slot--)
        for (const kind of ["", ".gz"])
          try {
            renameSync(`${path}.${slot}${kind}`, `${path}.${slot + 1}${kind}`);
          } catch {
            // Not there.
          }
      renameSync(path, `${path}.1`);
      writeFileSync(path, lines(from, to));
    });
    if (compress) await compressRotated(path);
  };
  await rotate(23, 30, true);
  await rotate(31, 40, true);
  await rotate(41, 50, false);
  expect(await read(reader)).toEqual(range(21, 50));
  await rotate(51, 52, true);
  expect(await read(reader)).toEqual([51, 52]);
  expect(await read(reader)).toEqual([]);
  await reader.close();
});

test("a damaged compressed file hides nothing else", async () => {
  const path = place();
  writeFileSync(`${path}.2.gz`, gzipSync(lines(1, 10)).subarray(0, 30));
  writeFileSync(`${path}.1.gz`, "no gzip");
  writeFileSync(path, lines(21, 30));
  expect((await readOnce(path)).slice(-10)).toEqual(range(21, 30));
  expect((await readOnce(path, 50)).slice(-10)).toEqual(range(21, 30));
});
