/**
 * Times the network room alone, in namespaces of its own: publishing ports with none and with 20,000 present, and the first against
 * the 500th container of a network. Needs root. `bun bench/network.ts`
 */
import { Database } from "bun:sqlite";
import { openNetwork } from "@gantry/network";
import { request } from "../packages/network/testing/request.ts";
import { World } from "../packages/network/testing/world.ts";

const world = new World();
world.neighbour("eth0", 0);
const db = new Database(`${process.env["TMPDIR"] ?? "/tmp"}/gantry-bench-${process.pid}.db`);
db.run("PRAGMA journal_mode = WAL");
db.run("PRAGMA synchronous = NORMAL");
const net = await openNetwork({ db, execRoot: "/x", bridge: "gtbr0", bip: "10.200.0.1/20" });
await net.restore([]);

const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;
const show = (what: string, times: number[]) =>
  console.log(
    `${what.padEnd(52)} ${median(times).toFixed(2).padStart(8)} ms  (best ${Math.min(...times).toFixed(2)}, of ${times.length})`,
  );
const timed = async (work: () => Promise<unknown>) => {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
};
const ports = (first: number, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`${i + 1}/tcp`, [{ HostPort: String(first + i) }]]));

async function publishing(label: string) {
  const box = await world.container();
  await net.prepare(request("probe"));
  await net.plumb("probe", box.pid);
  const one: number[] = [];
  const many: number[] = [];
  const gone: number[] = [];
  for (let i = 0; i < 21; i++) {
    one.push(await timed(() => net.publish("probe", ports(40_000, 1), {})));
    await net.publish("probe", {}, { "1/tcp": [] });
    many.push(await timed(() => net.publish("probe", ports(40_000, 206), {})));
    const all = Object.fromEntries(Array.from({ length: 206 }, (_, k) => [`${k + 1}/tcp`, []]));
    gone.push(await timed(() => net.publish("probe", {}, all)));
  }
  show(`publish 1 port (both families), ${label}`, one);
  show(`publish 206 ports, ${label}`, many);
  show(`withdraw 206 ports, ${label}`, gone);
  await net.release("probe");
  await box.kill();
}

async function starting(label: string, count: number) {
  const prepare: number[] = [];
  const plumb: number[] = [];
  const release: number[] = [];
  for (let i = 0; i < count; i++) {
    const box = await world.container();
    prepare.push(await timed(() => net.prepare(request("start", { portBindings: ports(41_000, 1) }))));
    plumb.push(await timed(() => net.plumb("start", box.pid)));
    await box.kill();
    release.push(await timed(() => net.release("start")));
  }
  show(`prepare, ${label}`, prepare);
  show(`plumb with one port, ${label}`, plumb);
  show(`release, ${label}`, release);
}

await starting("alone (warming up)", 20);
await starting("alone", 41);
await publishing("none present");
const big = await world.container();
const begin = performance.now();
await net.prepare(request("big", { portBindings: ports(10_000, 20_000) }));
const allocated = performance.now();
await net.plumb("big", big.pid);
console.log(
  `20,000 ports at once: allocate ${(allocated - begin).toFixed(0)} ms, open ${(performance.now() - allocated).toFixed(0)} ms`,
);
await publishing("20,000 present");
await starting("20,000 ports present", 21);
await net.release("big");
await big.kill();
for (let i = 0; i < 500; i++) {
  const box = await world.container();
  await net.prepare(request(`box${i}`));
  await net.plumb(`box${i}`, box.pid);
}
await starting("500 containers on the network", 21);
for (let i = 0; i < 500; i++) await net.release(`box${i}`);
await net.shutdown();
db.close();
await world.leave();
for (const suffix of ["", "-wal", "-shm"]) {
  await Bun.file(`${db.filename}${suffix}`)
    .delete()
    .catch(() => {});
}
