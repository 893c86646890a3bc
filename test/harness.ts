/**
 * A real daemon for tests: its own process, data root, exec root, socket, bridge, subnet and cgroup, so that any number
 * run side by side and beside a user's engine. Nothing of it is left after `close`.
 *
 *     const engine = await startEngine();
 *     const out = await engine.docker("run", "--rm", "busybox", "true");
 *     await engine.close();
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MNT, umount } from "@gantry/sys";
import { busyboxTar } from "../scripts/busybox.ts";

export interface EngineOptions {
  /** More dockerd flags. */
  args?: string[];
  /** daemon.json. */
  config?: Record<string, unknown>;
  /** Where images come from: archives for `docker import`, by name. Default: busybox. */
  images?: "busybox" | "none";
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
type Answer = any;

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface TestEngine {
  /** `unix://…` for DOCKER_HOST. */
  readonly host: string;
  readonly socket: string;
  readonly dir: string;
  readonly dataRoot: string;
  readonly bridge: string;
  /** /16 of the default bridge: "10.N". */
  readonly net: string;
  readonly pid: number;
  /** What starts the daemon. */
  readonly command: string[];
  /** Runs the real docker CLI against it. */
  docker(...args: string[]): Promise<Output>;
  /** The same with bytes for standard input. */
  dockerWith(stdin: string | Uint8Array, ...args: string[]): Promise<Output>;
  /** One API request; the answer's JSON where it is JSON, else its text. */
  api(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; headers: Record<string, unknown>; body: Answer; text: string }>;
  /** Kills the daemon with SIGKILL; containers live on. */
  crash(): Promise<void>;
  /** Ends the daemon with SIGTERM and waits. */
  stop(): Promise<number>;
  /** Starts it again after `crash` or `stop`. */
  restart(args?: string[]): Promise<void>;
  /** What the daemon wrote so far. */
  log(): string;
  /** Removes every container, ends the daemon, deletes all. */
  close(): Promise<void>;
}

/** The archive of a busybox root, made once a checkout. */
const BUSYBOX = join(import.meta.dir, "../.cache/busybox.tar");

/** Whether this machine can run real containers: root, and a docker CLI to drive them. */
export const canRunContainers = process.getuid?.() === 0 && Bun.which("docker") !== null;

/** Numbers for bridge and subnet that no other running test has: a lock file each, held by pid. */
function takeNumber(): { number: number; release: () => void } {
  for (let attempt = 0; attempt < 200; attempt++) {
    const number = 100 + Math.floor(Math.random() * 120);
    if (existsSync(`/sys/class/net/gt${number}`)) continue;
    const lock = join(tmpdir(), `gantry-test-net-${number}`);
    try {
      const holder = existsSync(lock) ? Number(readFileSync(lock, "utf8")) : 0;
      if (holder > 0 && existsSync(`/proc/${holder}`)) continue;
      if (holder > 0) rmSync(lock, { force: true });
      writeFileSync(lock, String(process.pid), { flag: "wx" });
      return { number, release: () => rmSync(lock, { force: true }) };
    } catch {
      // Someone else was quicker.
    }
  }
  throw new Error("no free test network");
}

async function run(command: string[], env: Record<string, string>, stdin?: string | Uint8Array): Promise<Output> {
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdin: stdin === undefined ? "ignore" : new Blob([stdin as never]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Starts a daemon and gives it the busybox image. */
export async function startEngine(options: EngineOptions = {}): Promise<TestEngine> {
  const dir = mkdtempSync(join(tmpdir(), "gantry-test-"));
  const { number, release } = takeNumber();
  const socket = `${dir}/gantry.sock`;
  const host = `unix://${socket}`;
  const bridge = `gt${number}`;
  const cgroup = `gantry-test-${number}`;
  const config = `${dir}/daemon.json`;
  await Bun.write(
    config,
    JSON.stringify({ "default-address-pools": [{ base: `10.${number}.128.0/17`, size: 24 }], ...options.config }),
  );
  const flags = [
    "-H",
    host,
    "--config-file",
    config,
    "--data-root",
    `${dir}/data`,
    "--exec-root",
    `${dir}/exec`,
    "--pidfile",
    `${dir}/gantry.pid`,
    "--bridge",
    bridge,
    "--bip",
    `10.${number}.0.1/17`,
    "--cgroup-parent",
    cgroup,
  ];
  let output = "";
  const command = [process.execPath, join(import.meta.dir, "daemon/main.ts"), "daemon", ...flags];
  let child: ReturnType<typeof spawn> | null = null;

  function spawn(args: string[]) {
    return Bun.spawn([...command, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env },
    });
  }

  async function start(args: string[]): Promise<void> {
    const process_ = spawn(args);
    child = process_;
    const drain = async (stream: ReadableStream<Uint8Array>) => {
      for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) output += Buffer.from(chunk).toString();
    };
    void drain(process_.stdout as ReadableStream<Uint8Array>);
    void drain(process_.stderr as ReadableStream<Uint8Array>);
    const deadline = Date.now() + 60_000;
    for (;;) {
      if (process_.exitCode !== null || process_.signalCode !== null)
        throw new Error(`daemon did not start:\n${output}`);
      try {
        if ((await api("GET", "/_ping")).status === 200) return;
      } catch {
        // Not yet.
      }
      if (Date.now() > deadline) throw new Error(`daemon does not answer:\n${output}`);
      await Bun.sleep(10);
    }
  }

  function api(method: string, path: string, body?: unknown): ReturnType<TestEngine["api"]> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const request = httpRequest(
        {
          socketPath: socket,
          method,
          path,
          headers: {
            Host: "gantry",
            Connection: "close",
            ...(text === undefined
              ? {}
              : { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }),
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (chunk: Buffer) => parts.push(chunk));
          response.on("end", () => {
            const answer = Buffer.concat(parts).toString();
            let parsed: unknown = answer;
            try {
              parsed = JSON.parse(answer);
            } catch {
              // Text.
            }
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed, text: answer });
          });
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      request.end(text);
    });
  }

  async function end(signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    const process_ = child;
    child = null;
    if (process_ === null) return 0;
    process_.kill(signal);
    return process_.exited;
  }

  const engine: TestEngine = {
    host,
    socket,
    dir,
    dataRoot: `${dir}/data`,
    bridge,
    net: `10.${number}`,
    command,
    get pid() {
      return child?.pid ?? 0;
    },
    docker: (...args) => run(["docker", ...args], { DOCKER_HOST: host, DOCKER_CONFIG: `${dir}/docker-config` }),
    dockerWith: (stdin, ...args) =>
      run(["docker", ...args], { DOCKER_HOST: host, DOCKER_CONFIG: `${dir}/docker-config` }, stdin),
    api,
    crash: async () => {
      await end("SIGKILL");
    },
    stop: () => end("SIGTERM"),
    restart: (args = []) => start([...(options.args ?? []), ...args]),
    log: () => output,
    close: async () => {
      try {
        if (child === null) await start(options.args ?? []);
        const all = await engine.docker("ps", "-aq");
        const ids = all.stdout.split("\n").filter((id) => id !== "");
        if (ids.length > 0) await engine.docker("rm", "-f", "-v", ...ids);
        for (const network of (await api("GET", "/networks")).body as { Name: string; Id: string }[]) {
          if (!["bridge", "host", "none"].includes(network.Name)) await api("DELETE", `/networks/${network.Id}`);
        }
      } finally {
        await end("SIGTERM");
        sweep(dir, cgroup, bridge);
        release();
      }
    },
  };

  try {
    await start(options.args ?? []);
    if (options.images !== "none") await importBusybox(engine);
  } catch (error) {
    await end("SIGKILL");
    sweep(dir, cgroup, bridge);
    release();
    throw error;
  }
  return engine;
}

async function importBusybox(engine: TestEngine): Promise<void> {
  const result = await engine.docker(
    "import",
    "-c",
    'CMD ["sh"]',
    "-c",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    busyboxTar(BUSYBOX),
    "busybox:latest",
  );
  if (result.code !== 0) throw new Error(`import failed: ${result.stderr}\n${engine.log()}`);
}

/** Takes away what a killed daemon leaves on the machine. */
function sweep(dir: string, cgroup: string, bridge: string): void {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => path.startsWith(`${dir}/`));
  for (const path of mounts.reverse()) {
    try {
      umount(path, MNT.DETACH);
    } catch {
      // Gone with another.
    }
  }
  rmSync(dir, { recursive: true, force: true });
  for (const hierarchy of readdirSync("/sys/fs/cgroup")) {
    for (const path of [`/sys/fs/cgroup/${hierarchy}/${cgroup}`, `/sys/fs/cgroup/${cgroup}`]) {
      try {
        rmdirSync(path);
      } catch {
        // Not there, or not empty: then a container still runs, which the test sees.
      }
    }
  }
  if (existsSync(`/sys/class/net/${bridge}`)) Bun.spawnSync(["ip", "link", "del", bridge]);
  Bun.spawnSync(["nft", "delete", "table", "inet", `gantry-${bridge}`], { stderr: "ignore" });
}
