import { expect, test } from "bun:test";
import { BLOCK, Blocks } from "./blocks.ts";
import { Feed } from "./feed.ts";
import { Limiter } from "./limiter.ts";
import { humanSize, layerProgress, progressBar } from "./progress.ts";
import { delayBefore, parseRetryAfter, retrying, sleep, TransientError } from "./retry.ts";

test("Retry-After in seconds and as a date; waits grow and are bounded", () => {
  expect(parseRetryAfter("7")).toBe(7000);
  expect(parseRetryAfter("Thu, 01 Jan 1970 00:01:00 GMT", 10_000)).toBe(50_000);
  expect(parseRetryAfter("soon")).toBeUndefined();
  const backoff = { attempts: 9, base: 100, limit: 1000 };
  expect(delayBefore(1, backoff)).toBeWithin(75, 101);
  expect(delayBefore(3, backoff)).toBeWithin(300, 401);
  expect(delayBefore(9, backoff)).toBeWithin(750, 1001);
  expect(delayBefore(1, backoff, 700)).toBe(700);
});

test("only transient failures are tried again, and not for ever", async () => {
  const backoff = { attempts: 3, base: 1, limit: 2 };
  let tries = 0;
  const failing = (error: Error) =>
    retrying(
      async () => {
        tries++;
        throw error;
      },
      { backoff },
    );
  await expect(failing(new TransientError("x"))).rejects.toThrow("x");
  expect(tries).toBe(3);
  await expect(failing(new Error("y"))).rejects.toThrow("y");
  expect(tries).toBe(4);
  await expect(failing(new TransientError("come back tomorrow", { retryAfter: 86_400_000 }))).rejects.toThrow(
    "tomorrow",
  );
  expect(tries).toBe(5);
});

test("a wait ends when it is aborted", async () => {
  const abort = new AbortController();
  const waiting = sleep(60_000, abort.signal);
  abort.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
});

test("a limiter lets so many in, in order, and forgets who gave up", async () => {
  const limiter = new Limiter(2);
  const log: number[] = [];
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const abort = new AbortController();
  const run = (i: number, signal?: AbortSignal) =>
    limiter.run(async () => {
      log.push(i);
      await gates[i]!.promise;
    }, signal);
  const all: Promise<unknown>[] = [run(0), run(1), run(2, abort.signal).catch(() => "gone"), run(3)];
  expect(limiter.full).toBe(true);
  abort.abort();
  gates[0]!.resolve();
  await all[0];
  await sleep(1);
  expect(log).toEqual([0, 1, 3]);
  gates[1]!.resolve();
  gates[3]!.resolve();
  expect(await all[2]).toBe("gone");
  await Promise.all(all);
  expect(limiter.full).toBe(false);
});

test("blocks through a feed: every byte in order, whatever the chunks", async () => {
  const feed = new Feed();
  const blocks = new Blocks((block) => feed.write(block));
  const hash = new Bun.CryptoHasher("sha256");
  const writing = (async () => {
    for (let i = 0; i < 400; i++) {
      const chunk = new Uint8Array((i * 7919) % 40_000).fill(i);
      hash.update(chunk);
      await blocks.write(chunk);
    }
    await blocks.flush();
    feed.close();
  })();
  const read = new Bun.CryptoHasher("sha256");
  for await (const block of feed.stream as unknown as AsyncIterable<Uint8Array>) {
    expect(block.length).toBeLessThanOrEqual(BLOCK);
    // A slow reader must not see the block change under its eyes.
    await sleep(1);
    read.update(block);
  }
  await writing;
  expect(read.digest("hex")).toBe(hash.digest("hex"));
});

test("a feed whose reader has gone holds nobody up", async () => {
  const feed = new Feed();
  const reader = feed.stream.getReader();
  const first = reader.read();
  await feed.write(new Uint8Array(1));
  await first;
  const waiting = feed.write(new Uint8Array(1));
  await reader.cancel();
  await waiting;
  await feed.write(new Uint8Array(1));
});

test("numbers as Docker writes them", () => {
  expect([0, 999, 1000, 1234, 12_345_678, 1_500_000_000].map(humanSize)).toEqual([
    "0B",
    "999B",
    "1kB",
    "1.234kB",
    "12.35MB",
    "1.5GB",
  ]);
  expect(progressBar(50, 100)).toBe(`[${"=".repeat(25)}>${" ".repeat(25)}]      50B/100B`);
  expect(progressBar(100, 100)).toBe(`[${"=".repeat(50)}>]     100B/100B`);
});

test("bytes are reported ten times a second, and their end always", () => {
  const said: string[] = [];
  const report = layerProgress("id", ({ status, progressDetail }) =>
    said.push(`${status} ${progressDetail?.current ?? ""}`),
  );
  for (let i = 0; i <= 1000; i++) report({ state: "downloading", current: i, total: 1000 });
  report({ state: "verifying" });
  report({ state: "downloaded" });
  report({ state: "downloaded" });
  report({ state: "done" });
  expect(said[0]).toBe("Downloading 0");
  expect(said).toContain("Downloading 1000");
  expect(said.length).toBeLessThan(10);
  expect(said.slice(-3)).toEqual(["Verifying Checksum ", "Download complete ", "Pull complete "]);
});
