import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsyncRingReader, createRing } from "./ring.ts";
import { Workers } from "./workers.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-workers-"));
mkdirSync(join(root, "tree"));
// More than a ring holds: without a reader its packing stands still.
writeFileSync(join(root, "tree", "big"), Buffer.alloc(5 << 20, 7));
// With its header and the end of the archive.
const SIZE = (5 << 20) + 512 + 1024;
const rootFd = openSync(join(root, "tree"), "r");
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function read(sink: ReturnType<typeof createRing>): Promise<number> {
  const reader = new AsyncRingReader(sink);
  let size = 0;
  for (let chunk = await reader.read(); chunk !== null; chunk = await reader.read()) size += chunk.length;
  return size;
}

test("a stream that nobody reads gives way to one that waits, and holds up no work of the house's own", async () => {
  const workers = new Workers({ streams: 1, patience: 200 });
  const pack = (sink: ReturnType<typeof createRing>) =>
    workers.run("pack", { rootFd, sink, options: {} }, { streams: true });
  const stuck = pack(createRing()).catch((error) => error);
  // Neither a stream from a client nor for one.
  mkdirSync(join(root, "rubbish"));
  await workers.run("remove", { parent: root, name: "rubbish" }, { streams: true });
  await workers.run("sync", { path: root }, { streams: true });
  const sink = createRing();
  const job = pack(sink);
  expect(await read(sink)).toBe(SIZE);
  await job;
  const words = "the archive stream stood still while others waited for its place";
  expect(await stuck).toMatchObject({ kind: "unavailable", message: words });
  workers.close();
});

test("while nobody waits, a stream may take its time", async () => {
  const workers = new Workers({ streams: 1, patience: 1 });
  const sink = createRing();
  const job = workers.run("pack", { rootFd, sink, options: {} }, { streams: true });
  await Bun.sleep(50);
  expect(await read(sink)).toBe(SIZE);
  await job;
  workers.close();
});
