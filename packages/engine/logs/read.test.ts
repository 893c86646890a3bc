import { afterAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { gzipSync } from "node:zlib";
import { type LogRange, LogReader } from "./read.ts";

const dir = mkdtempSync(`${tmpdir()}/gantry-logs-`);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const line = (n: number) =>
  `${JSON.stringify({ log: `${n}\n`, stream: n % 2 ? "stdout" : "stderr", time: `2026-01-01T00:00:${String(n % 60).padStart(2, "0")}.5Z` })}\n`;
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join("");
const all: LogRange = { since: null, until: null, tail: -1 };

/** The same with a reader of its own. */
async function readOnce(path: string, wanted = all): Promise<number[]> {
  const reader = new LogReader(path);
  try {
    return await read(reader, wanted);
  } finally {
    await reader.close();
  }
}

async function read(reader: LogReader, range = all): Promise<number[]> {
  const numbers: number[] = [];
  for await (const batch of reader.read(range)) numbers.push(...batch.map((entry) => Number(entry.line)));
  return numbers;
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("rotated files, the compressed one too, come first", async () => {
  const path = `${dir}/a.log`;
  writeFileSync(`${path}.2.gz`, gzipSync(lines(1, 10)));
  writeFileSync(`${path}.1`, lines(11, 20));
  writeFileSync(path, lines(21, 30));
  expect(await readOnce(path)).toEqual(range(1, 30));
  expect(await readOnce(path, { ...all, tail: 15 })).toEqual(range(16, 30));
  expect(await readOnce(path, { ...all, tail: 3 })).toEqual([28, 29, 30]);
  expect(await readOnce(path, { ...all, tail: 0 })).toEqual([]);
});

test("a reader goes on where it was, through half lines and a rotation", async () => {
  const path = `${dir}/b.log`;
  writeFileSync(path, lines(1, 5));
  const reader = new LogReader(path);
  expect(await read(reader)).toEqual(range(1, 5));
  const next = line(6);
  appendFileSync(path, next.slice(0, 10));
  expect(await read(reader)).toEqual([]);
  appendFileSync(path, next.slice(10) + lines(7, 8));
  renameSync(path, `${path}.1`);
  writeFileSync(path, lines(9, 10));
  expect(await read(reader)).toEqual(range(6, 10));
  await reader.close();
});

test("a slow reader that several rotations overtook misses nothing", async () => {
  const path = `${dir}/e.log`;
  writeFileSync(path, lines(1, 5));
  const reader = new LogReader(path);
  expect(await read(reader)).toEqual(range(1, 5));
  appendFileSync(path, lines(6, 7));
  renameSync(path, `${path}.3`);
  await Bun.sleep(5);
  writeFileSync(`${path}.2`, lines(8, 10));
  writeFileSync(`${path}.1`, lines(11, 20));
  writeFileSync(path, lines(21, 22));
  expect(await read(reader)).toEqual(range(6, 22));
  await reader.close();
});

test("tail over many blocks", async () => {
  const path = `${dir}/c.log`;
  writeFileSync(path, lines(1, 20_000));
  expect(await readOnce(path, { ...all, tail: 12_345 })).toEqual(range(20_000 - 12_344, 20_000));
  expect(await readOnce(path, { ...all, tail: 50_000 })).toEqual(range(1, 20_000));
});

test("since and until, and rubbish is skipped", async () => {
  const path = `${dir}/d.log`;
  writeFileSync(path, `${lines(1, 3)}rubbish\n{"log":1}\n${lines(4, 9)}`);
  const at = (second: number) => BigInt(Date.parse(`2026-01-01T00:00:0${second}Z`)) * 1_000_000n;
  expect(await readOnce(path, { since: at(3), until: at(7), tail: -1 })).toEqual([3, 4, 5, 6]);
});
