/**
 * TCP throughput by iperf3, Gantry (at DOCKER_HOST) beside Docker (at GANTRY_PEER_DOCKER): between two containers of a network, and from
 * the host through a published port by each of its addresses. Rounds alternate between the engines; medians in Gbit/s.
 * Usage: bun bench/throughput.ts [rounds] [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";

const peer = process.env["GANTRY_PEER_DOCKER"];
const own = process.env["DOCKER_HOST"];
if (!peer || !own) throw new Error("bench: GANTRY_PEER_DOCKER and DOCKER_HOST must name the two engines");
const rounds = Number(process.argv[2] ?? 5);
const seconds = process.argv[3] ?? "2";
const engines = [
  { name: "Docker", host: peer, port: 45201 },
  { name: "Gantry", host: own, port: 45202 },
];
const address = Object.entries(networkInterfaces())
  .filter(([name]) => /^(eth|en)/.test(name))
  .flatMap(([, list]) => list ?? [])
  .find(({ family }) => family === "IPv4")?.address;

/** A tar of iperf3, the loader and the libraries it is linked to. */
async function image(folder: string): Promise<string> {
  const program = Bun.which("iperf3");
  if (program === null) throw new Error("bench: iperf3 is needed");
  const libraries = (await $`ldd ${program}`.text()).match(/\/\S+/g) ?? [];
  const tar = join(folder, "iperf3.tar");
  // With /tmp, where iperf3 keeps what it sends.
  await $`tar chf ${tar} --no-recursion -C / tmp ${[program, ...libraries].map((path) => path.slice(1))}`.quiet();
  return tar;
}

const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0;

async function throughput(command: string[]): Promise<number> {
  const out = (await $`${command} -J -t ${seconds}`.quiet().nothrow().json()) as {
    error?: string;
    end?: { sum_received?: { bits_per_second: number } };
  };
  const bits = out.end?.sum_received?.bits_per_second ?? 0;
  if (bits === 0) throw new Error(`${command.join(" ")}: ${out.error ?? "nothing was received"}`);
  return bits / 1e9;
}

const folder = mkdtempSync(join(tmpdir(), "gantry-throughput-"));
const figures = new Map<string, Map<string, number[]>>();
try {
  const tar = await image(folder);
  for (const { host, port } of engines) {
    await $`docker -H ${host} import ${tar} bench-iperf3`.quiet();
    await $`docker -H ${host} network create bench-net`.quiet();
    await $`docker -H ${host} run -d --name bench-server --network bench-net -p ${port}:5201 bench-iperf3 /usr/bin/iperf3 -s`.quiet();
  }
  await Bun.sleep(500);
  for (let round = 0; round < rounds; round++) {
    for (const { name, host, port } of round % 2 === 0 ? engines : engines.toReversed()) {
      const inside = ["docker", "-H", host, "run", "--rm", "--network", "bench-net", "bench-iperf3", "/usr/bin/iperf3"];
      const ways: [string, string[]][] = [
        ["container to container", [...inside, "-c", "bench-server"]],
        ["published, 127.0.0.1", ["iperf3", "-c", "127.0.0.1", "-p", String(port)]],
        ["published, ::1", ["iperf3", "-c", "::1", "-p", String(port)]],
      ];
      if (address !== undefined) ways.push(["published, host address", ["iperf3", "-c", address, "-p", String(port)]]);
      for (const [way, command] of ways) {
        const row = figures.get(way) ?? new Map<string, number[]>();
        figures.set(way, row.set(name, [...(row.get(name) ?? []), await throughput(command)]));
      }
    }
  }
  console.log("| way | Docker Gbit/s | Gantry Gbit/s | Gantry / Docker |\n| --- | ---: | ---: | ---: |");
  for (const [way, row] of figures) {
    const [theirs, ours] = [median(row.get("Docker") ?? []), median(row.get("Gantry") ?? [])];
    console.log(`| ${way} | ${theirs.toFixed(1)} | ${ours.toFixed(1)} | ${(ours / theirs).toFixed(2)} |`);
  }
} finally {
  for (const { host } of engines) {
    await $`docker -H ${host} rm -f bench-server`.quiet().nothrow();
    await $`docker -H ${host} network rm bench-net`.quiet().nothrow();
    await $`docker -H ${host} rmi bench-iperf3`.quiet().nothrow();
  }
  rmSync(folder, { recursive: true, force: true });
}
