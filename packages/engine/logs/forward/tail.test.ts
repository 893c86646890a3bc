import { afterAll, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { compressRotated } from "../compress.ts";
import { LogTail, type Place } from "./tail.ts";

const root = mkdtempSync(`${tmpdir()}/gantry-tail-`);
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function place(): string {
  mkdirSync(`${root}/${++count}`);
  return `${root}/${count}/c-json.log`;
}
const line = (n: number) => `{"log":"${n}\\n","stream":"stdout","time":"${new Date(1.7e12 + n).toISOString()}"}\n`;
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join("");
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** As the shim does it. */
function rotate(path: string, maxFile: number): void {
  for (let slot = maxFile - 1; slot > 0; slot--) {
    for (const end of ["", ".gz"]) {
      try {
        if (slot === maxFile - 1) unlinkSync(`${path}.${slot}${end}`);
        else renameSync(`${path}.${slot}${end}`, `${path}.${slot + 1}${end}`);
      } catch {
        // Not there.
      }
    }
  }
  renameSync(path, `${path}.1`);
  writeFileSync(path, "");
}

class Reader {
  losses: number[] = [];
  readonly tail: LogTail;
  last: Place | null;
  constructor(path: string, from: Place | null = null) {
    this.last = from;
    this.tail = new LogTail(path, from, (bytes) => this.losses.push(bytes));
  }
  async all(): Promise<number[]> {
    const numbers: number[] = [];
    for (let piece = await this.tail.next(); piece !== null; piece = await this.tail.next()) {
      this.last = piece.place;
      for (const text of piece.text.trimEnd().split("\n")) numbers.push(Number(/"log":"(\d+)/.exec(text)?.[1]));
    }
    return numbers;
  }
}

test("a log that is not there yet, grows, and is half written", async () => {
  const path = place();
  const reader = new Reader(path);
  expect(await reader.all()).toEqual([]);
  writeFileSync(path, lines(1, 3000));
  expect(await reader.all()).toEqual(range(1, 3000));
  appendFileSync(path, line(3001).slice(0, 20));
  expect(await reader.all()).toEqual([]);
  appendFileSync(path, line(3001).slice(20));
  expect(await reader.all()).toEqual([3001]);
  expect(reader.losses).toEqual([]);
  reader.tail.close();
});

test("goes on from a place, in the file that it was, whatever became of it", async () => {
  const path = place();
  writeFileSync(path, lines(1, 1000));
  const first = new Reader(path);
  await first.all();
  first.tail.close();
  const from = first.last as Place;
  appendFileSync(path, lines(1001, 1500));
  const counts: number[] = [];
  for (const then of [
    () => {},
    () => rotate(path, 5),
    () => {
      appendFileSync(path, lines(1501, 1600));
      rotate(path, 5);
    },
    () => compressRotated(path),
    () => {
      appendFileSync(path, lines(1601, 1700));
      rotate(path, 5);
    },
  ]) {
    await then();
    const reader = new Reader(path, from);
    const numbers = await reader.all();
    expect(numbers).toEqual(range(1001, 1000 + numbers.length));
    expect(reader.losses).toEqual([]);
    reader.tail.close();
    counts.push(numbers.length);
  }
  expect(counts).toEqual([500, 500, 600, 600, 700]);
});

test("rotation and compression while reading lose nothing", async () => {
  const path = place();
  writeFileSync(path, lines(1, 10));
  const reader = new Reader(path);
  const numbers = await reader.all();
  let next = 11;
  for (let i = 0; i < 12; i++) {
    for (let times = 0; times <= i % 3; times++) {
      appendFileSync(path, lines(next, next + 49));
      next += 50;
      rotate(path, 5);
    }
    if (i % 2 === 0) await compressRotated(path);
    appendFileSync(path, line(next++));
    numbers.push(...(await reader.all()));
  }
  expect(numbers).toEqual(range(1, next - 1));
  expect(reader.losses).toEqual([]);
  reader.tail.close();
});

test("what rotation took is told: known bytes where it was seen, else that something is gone", async () => {
  const path = place();
  writeFileSync(path, lines(1, 10));
  const reader = new Reader(path);
  const [first] = [await reader.tail.next()];
  expect(first?.text).toBe(lines(1, 10));
  appendFileSync(path, lines(11, 20));
  rotate(path, 3);
  appendFileSync(path, lines(21, 30));
  rotate(path, 3);
  await reader.tail.look();
  // Now 21 to 30 go unread; 11 to 20 are in the file that is still open.
  appendFileSync(path, lines(31, 40));
  rotate(path, 3);
  appendFileSync(path, lines(41, 50));
  rotate(path, 3);
  appendFileSync(path, lines(51, 60));
  expect(await reader.all()).toEqual([...range(11, 20), ...range(31, 60)]);
  expect(reader.losses).toEqual([Buffer.byteLength(lines(21, 30))]);
  const from = reader.last as Place;
  reader.tail.close();
  for (let i = 0; i < 4; i++) {
    rotate(path, 3);
    appendFileSync(path, lines(61 + i * 10, 70 + i * 10));
  }
  const later = new Reader(path, from);
  expect(await later.all()).toEqual(range(71, 100));
  expect(later.losses).toEqual([0]);
  later.tail.close();
});

test("a log of one file, which is emptied", async () => {
  const path = place();
  writeFileSync(path, lines(1, 100));
  const reader = new Reader(path);
  await reader.all();
  truncateSync(path, 0);
  appendFileSync(path, lines(101, 110));
  expect(await reader.all()).toEqual(range(101, 110));
  truncateSync(path, 0);
  appendFileSync(path, lines(111, 150));
  // Longer than it was: seen by how it begins, at the end at the latest.
  const seen = await reader.all();
  expect(seen.slice(-40)).toEqual(range(111, 150));
  expect(reader.losses.length).toBe(2);
  reader.tail.close();
});

test("files that begin with the same long text are told apart; lines longer than a piece", async () => {
  const path = place();
  const long = (n: number) => `{"log":"${"x".repeat(90_000)}\\n","stream":"stdout","time":"${n}"}\n`;
  writeFileSync(path, long(1));
  const first = new Reader(path);
  expect((await first.tail.next())?.text).toBe(long(1));
  const place1 = (await new Reader(path).tail.next())?.place as Place;
  rotate(path, 5);
  appendFileSync(path, long(2));
  await compressRotated(path);
  const reader = new Reader(path, place1);
  expect((await reader.tail.next())?.text).toBe(long(2));
  expect((await first.tail.next())?.text).toBe(long(2));
  expect(await reader.tail.next()).toBeNull();
  expect(reader.losses).toEqual([]);
});
