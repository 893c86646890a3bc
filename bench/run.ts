/** Figures of Gantry beside Docker's, in one run: see README.md. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import { busyboxTar } from "../scripts/busybox.ts";
import { sweepBridge } from "../scripts/sweep.ts";

const peer = process.env.GANTRY_PEER_DOCKER;
if (!peer) {
  console.error(
    "bench: GANTRY_PEER_DOCKER must name the socket of a Docker Engine, such as unix:///var/run/docker.sock",
  );
  process.exit(2);
}
const only = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "gantry-bench-"));
const socket = `unix://${folder}/gantry.sock`;
const gantry = join(process.cwd(), "dist", "gantry");

interface Figure {
  name: string;
  /** Shell commands: the same for both engines but for the socket, or one each. */
  docker: string;
  gantry?: string;
  cleanup?: { docker: string; gantry: string };
  runs: number;
  budget: string;
}

const D = (host: string) => `docker -H ${host}`;
const both = (command: string) => ({ docker: `${D(peer)} ${command}`, gantry: `${D(socket)} ${command}` });

const figures: Figure[] = [
  { name: "start-bridge", ...both("run --rm bench-busybox true"), runs: 20, budget: "1/6" },
  { name: "start-none", ...both("run --rm --network none bench-busybox true"), runs: 20, budget: "1/6" },
  { name: "start-host", ...both("run --rm --network host bench-busybox true"), runs: 20, budget: "1/6" },
  {
    name: "start-bridge-own-cli",
    docker: `${D(peer)} run --rm bench-busybox true`,
    gantry: `${gantry} -H ${socket} run --rm bench-busybox true`,
    runs: 20,
    budget: "1/10",
  },
  { name: "exec", ...both("exec bench-sleeper true"), runs: 20, budget: "1/4" },
  { name: "ps", ...both("ps"), runs: 20, budget: "" },
  {
    name: "ports-206",
    ...both("run -d --name bench-ports -p 30000-30205:30000-30205 bench-busybox sleep 1000"),
    cleanup: both("rm -f bench-ports"),
    runs: 2,
    budget: "1/50",
  },
  {
    // 100-byte lines from the lightest producer there is.
    name: "attached-100MB",
    ...both(`run --rm bench-busybox sh -c "yes ${"x".repeat(99)} | head -c 100000000" | tail -c 1`),
    runs: 3,
    budget: "1/3",
  },
  {
    // The pipeline itself takes a second of both cores: the engine can only win the rest.
    name: "attached-100MB-fold",
    ...both(`run --rm bench-busybox sh -c "head -c 100000000 /dev/zero | tr '\\\\0' x | fold -w 100" | tail -c 1`),
    runs: 3,
    budget: "",
  },
  {
    name: "exec-own-cli",
    docker: `${D(peer)} exec bench-sleeper true`,
    gantry: `${gantry} -H ${socket} exec bench-sleeper true`,
    runs: 20,
    budget: "1/4",
  },
];

async function median(command: string, runs: number, prepare?: string): Promise<number> {
  const file = join(folder, "hyperfine.json");
  const args = ["--style", "none", "--warmup", runs > 5 ? "3" : "0", "--runs", String(runs), "--export-json", file];
  if (prepare) args.push("--prepare", `${prepare} || true`);
  const done = await $`hyperfine ${args} ${command}`.quiet().nothrow();
  if (done.exitCode !== 0) throw new Error(`${command}\n${done.stderr}`);
  return (JSON.parse(readFileSync(file, "utf8")) as { results: { median: number }[] }).results[0]!.median * 1000;
}

function resident(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

async function main(): Promise<void> {
  await $`bun scripts/build.ts`.quiet();
  writeFileSync(join(folder, "daemon.json"), "{}");
  const daemon = Bun.spawn(
    [gantry, "daemon", "-H", socket, "--data-root", `${folder}/data`, "--exec-root", `${folder}/run`]
      .concat(["--pidfile", `${folder}/pid`, "--config-file", `${folder}/daemon.json`])
      .concat(["--bridge", "gantry-bench", "--bip", "10.232.0.1/16"]),
    { stdin: "ignore", stdout: Bun.file(join(folder, "log")), stderr: Bun.file(join(folder, "log")) },
  );
  const hosts = [peer!, socket];
  try {
    for (let i = 0; !existsSync(join(folder, "gantry.sock")); i++) {
      if (i > 100) throw new Error(readFileSync(join(folder, "log"), "utf8"));
      await Bun.sleep(50);
    }
    const tar = busyboxTar(join(folder, "busybox.tar"));
    for (const host of hosts) {
      await $`docker -H ${host} import -c ${'CMD ["sh"]'} ${tar} bench-busybox`.quiet();
      await $`docker -H ${host} run -d --name bench-sleeper bench-busybox sleep 100000`.quiet();
    }
    console.log(`| figure | Docker ms | Gantry ms | ratio | budget |\n| --- | ---: | ---: | ---: | ---: |`);
    for (const figure of figures) {
      if (only.length > 0 && !only.some((name) => figure.name.startsWith(name))) continue;
      const theirs = await median(figure.docker, figure.runs, figure.cleanup?.docker);
      // Both publish the same ports of this host.
      if (figure.cleanup) await $`sh -c ${figure.cleanup.docker}`.quiet().nothrow();
      const ours = await median(figure.gantry ?? figure.docker, figure.runs, figure.cleanup?.gantry);
      if (figure.cleanup) await $`sh -c ${figure.cleanup.gantry}`.quiet().nothrow();
      const ratio = `1/${(theirs / ours).toFixed(1)}`;
      console.log(`| ${figure.name} | ${theirs.toFixed(1)} | ${ours.toFixed(1)} | ${ratio} | ${figure.budget} |`);
    }
    console.log(`daemon resident: ${resident(daemon.pid).toFixed(0)} MB`);
  } finally {
    for (const host of hosts) {
      await $`docker -H ${host} rm -f bench-sleeper bench-ports`.quiet().nothrow();
      await $`docker -H ${host} rmi -f bench-busybox`.quiet().nothrow();
    }
    daemon.kill("SIGTERM");
    await daemon.exited;
    sweepBridge("gantry-bench");
  }
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
