import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Bench, canRun, dockerSpec, eventually } from "../testing.ts";

const COUNT = "i=0; while :; do i=$((i+1)); echo $i; usleep 300; done";

describe.skipIf(!canRun)("a log for which there is no room", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  async function onDisk(
    options: string,
    log: { maxSize: number; maxFile: number },
    use: (path: string) => Promise<void>,
  ) {
    const directory = join(bench.root, `disk-${options}`);
    mkdirSync(directory);
    const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", options, "none", directory]);
    expect(mounted.exitCode).toBe(0);
    const path = join(directory, "log");
    try {
      const { task } = await bench.create(dockerSpec(["sh", "-c", COUNT]), { log: { path, ...log } });
      await task.start();
      await use(path);
      await task.kill(9);
      await task.wait();
      await task.delete();
    } finally {
      // Lazily: where the test failed its shim may have the log open still.
      Bun.spawnSync(["umount", "-l", directory]);
    }
  }

  const numbers = (...paths: string[]) =>
    paths.flatMap((path) =>
      readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1) // A reader may come in the middle of a write.
        .map((line) => Number(JSON.parse(line).log)),
    );

  test("a full disk costs whole lines, not the container nor what comes after", async () => {
    await onDisk("size=8m", { maxSize: 0, maxFile: 1 }, async (path) => {
      await eventually(() => readFileSync(path).length > 2000);
      for (const size of [1 << 16, 100]) {
        try {
          for (;;) writeFileSync(`${path}.filler`, Buffer.alloc(size), { flag: "a" });
        } catch {
          // Full.
        }
      }
      await Bun.sleep(300);
      const full = numbers(path).at(-1)!;
      rmSync(`${path}.filler`);
      await eventually(() => numbers(path).at(-1)! > full + 100);
      const all = numbers(path);
      expect(all.every((number, i) => i === 0 || number > all[i - 1]!)).toBe(true);
    });
  });

  test("where no new file can be made the old one goes on", async () => {
    // The directory, and two files.
    await onDisk("size=4m,nr_inodes=3", { maxSize: 4000, maxFile: 3 }, async (path) => {
      await eventually(() => readFileSync(path).length > 30_000);
      const all = numbers(path);
      expect(all).toEqual(Array.from(all, (_, i) => all[0]! + i));
    });
  });
});
