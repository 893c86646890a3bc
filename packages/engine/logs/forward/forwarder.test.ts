import { afterAll, expect, setDefaultTimeout, setSystemTime, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { fluentdDriver } from "./fluentd.ts";
import { Forwarder, type LogSource } from "./forwarder.ts";
import type { LogInfo } from "./info.ts";
import { syslogDriver } from "./syslog.ts";
import { until } from "./testing.ts";

setDefaultTimeout(60_000);

const root = mkdtempSync(`${tmpdir()}/gantry-forward-`);
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A syslog server on a port of its own that can go and come back. */
class Target {
  text = "";
  sockets = new Set<Socket>();
  port = 0;
  paused = false;
  private server: Server | null = null;
  async start(): Promise<this> {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("data", (chunk) => {
        this.text += chunk;
      });
      if (this.paused) socket.pause();
    });
    await new Promise<void>((resolve) => this.server?.listen(this.port, "127.0.0.1", resolve));
    this.port = (this.server.address() as { port: number }).port;
    return this;
  }
  stop(reset = false): void {
    this.server?.close();
    for (const socket of this.sockets) reset ? socket.resetAndDestroy() : socket.destroy();
  }
  get numbers(): number[] {
    return this.text.split("\n").flatMap((line) => {
      const match = /^<\d+>.*\]: (\d+)$/.exec(line);
      return match === null ? [] : [Number(match[1])];
    });
  }
}

const info = (config: Record<string, string>): LogInfo => ({
  config,
  containerId: "ab".repeat(32),
  containerName: "/x",
  command: "true",
  imageId: "",
  imageName: "busybox",
  created: "",
  labels: {},
  env: [],
});

/** Only an endless wait reaches it. */
const BOUND = 40_000;

let count = 0;
/** A log, and how to write to it as the shim does. */
function log() {
  const dir = `${root}/${++count}`;
  mkdirSync(dir);
  const path = `${dir}/c-json.log`;
  const said: string[] = [];
  const state = { ended: false };
  const source: LogSource = {
    path,
    positionPath: `${dir}/forward/position.json`,
    ended: () => state.ended,
    log: (_, message) => said.push(message),
  };
  const line = (n: number) => `{"log":"${n}\\n","stream":"stdout","time":"${new Date(1.7e12 + n).toISOString()}"}\n`;
  const write = (from: number, to: number) =>
    appendFileSync(path, Array.from({ length: to - from + 1 }, (_, i) => line(from + i)).join(""));
  const rotate = () => {
    try {
      renameSync(`${path}.1`, `${path}.2`);
    } catch {
      // None yet.
    }
    renameSync(path, `${path}.1`);
    writeFileSync(path, "");
  };
  return { path, source, state, said, write, rotate, dir };
}
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const syslog = (target: Target) => syslogDriver(info({ "syslog-address": `tcp://127.0.0.1:${target.port}` }));
/** Whether it is over long before what it would wait for otherwise; how fast the machine is does not count. */
const soon = (what: Promise<unknown>) => Promise.race([what.then(() => true), Bun.sleep(30_000).then(() => false)]);
const distinct = (numbers: number[]) => [...new Set(numbers)].sort((a, b) => a - b);

test("sends what is there and what comes, ends when its container has; goes on from there later", async () => {
  const target = await new Target().start();
  const { source, state, write, dir } = log();
  write(1, 2000);
  const forwarder = new Forwarder(source, syslog(target));
  await forwarder.open(syslog(target));
  let done = false;
  forwarder.run(() => {
    done = true;
  });
  await until(() => target.numbers.length === 2000);
  write(2001, 2010);
  await until(() => target.numbers.length === 2010);
  write(2011, 2020);
  state.ended = true;
  forwarder.wake();
  await until(() => done);
  await until(() => target.numbers.length === 2020);
  expect(target.numbers).toEqual(range(1, 2020));
  expect(JSON.parse(readFileSync(`${dir}/forward/position.json`, "utf8"))).toMatchObject({ losses: 0, lostBytes: 0 });
  write(2021, 2025);
  const again = new Forwarder(source, syslog(target));
  again.run(() => {});
  await until(() => target.numbers.length === 2025);
  expect(target.numbers).toEqual(range(1, 2025));
  expect(await again.finish(BOUND)).toBe(true);
  target.stop();
});

test("a clock that is set back holds nothing up", async () => {
  const target = await new Target().start();
  const { source, state, write } = log();
  const forwarder = new Forwarder(source, syslog(target));
  await forwarder.open(syslog(target));
  forwarder.run(() => {});
  write(1, 10);
  await until(() => target.numbers.length === 10);
  target.stop();
  write(11, 20);
  state.ended = true;
  const finished = forwarder.finish(1000);
  try {
    setSystemTime(Date.now() - 86_400_000);
    // Whether the last lines went into a connection that had not broken yet is chance.
    expect(await Promise.race([finished, Bun.sleep(BOUND).then(() => "held up")])).not.toBe("held up");
  } finally {
    setSystemTime();
  }
});

test("lines that are nothing to the target need none", async () => {
  const target = await new Target().start();
  target.stop();
  const { source, state, path, dir } = log();
  const time = '"stream":"stdout","time":"2026-11-21T11:11:12.1Z"}';
  writeFileSync(path, `{"log":"\\n",${time}\n`.repeat(100));
  state.ended = true;
  const forwarder = new Forwarder(source, syslog(target));
  forwarder.run(() => {});
  expect(await forwarder.finish(BOUND)).toBe(true);
  expect(JSON.parse(readFileSync(`${dir}/forward/position.json`, "utf8")).offset).toBe(
    100 * `{"log":"\\n",${time}\n`.length,
  );
});

test("a target that ends every connection at once is not asked without pauses", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const { source, write } = log();
  write(1, 1000);
  const forwarder = new Forwarder(source, fluentdDriver(info({ "fluentd-address": `127.0.0.1:${port}` })));
  forwarder.run(() => {});
  const began = performance.now();
  await Bun.sleep(1800);
  await until(() => connections > 1);
  expect(connections).toBeLessThan(4 + (performance.now() - began) / 400);
  await forwarder.stop();
  server.close();
});

test("run anew while it ends, it goes on", async () => {
  const target = await new Target().start();
  const { source, state, write } = log();
  const forwarder = new Forwarder(source, syslog(target));
  for (let i = 0; i < 20; i++) {
    state.ended = false;
    await forwarder.open(syslog(target));
    forwarder.run(() => {});
    write(i * 10 + 1, i * 10 + 10);
    if (i % 3 === 0) await Bun.sleep(5);
    state.ended = true;
    forwarder.wake();
    if (i % 2 === 0) await Bun.sleep(1);
  }
  await until(() => !forwarder.active);
  await until(() => target.numbers.length >= 200);
  expect(target.numbers).toEqual(range(1, 200));
  target.stop();
});

test("a target that goes away and comes back, cleanly or not, misses nothing", async () => {
  const target = await new Target().start();
  const { source, state, write, said, rotate } = log();
  const forwarder = new Forwarder(source, syslog(target));
  forwarder.run(() => {});
  let next = 1;
  for (const reset of [false, true, true, false]) {
    write(next, next + 999);
    next += 1000;
    if (reset) {
      // Taken by its kernel, read by nobody.
      await until(() => target.sockets.size === 1);
      for (const socket of target.sockets) socket.pause();
      target.paused = true;
      write(next, next + 499);
      next += 500;
      await Bun.sleep(300);
    }
    target.stop(reset);
    write(next, next + 99);
    next += 100;
    await Bun.sleep(400);
    rotate();
    write(next, next + 99);
    next += 100;
    target.paused = false;
    await target.start();
    await until(() => distinct(target.numbers).length === next - 1);
  }
  expect(distinct(target.numbers)).toEqual(range(1, next - 1));
  expect(said.filter((line) => line.includes("connection refused; lines wait on disk")).length).toBeGreaterThan(0);
  expect(said.filter((line) => line.includes("its target is back")).length).toBeGreaterThan(0);
  expect(said.some((line) => line.includes("rotation"))).toBe(false);
  state.ended = true;
  expect(await forwarder.finish(BOUND)).toBe(true);
  target.stop();
});

test("its end in the middle costs nothing: another goes on from the place that was kept", async () => {
  const target = await new Target().start();
  const { source, state, write } = log();
  let next = 1;
  for (let i = 0; i < 5; i++) {
    const forwarder = new Forwarder(source, syslog(target));
    forwarder.run(() => {});
    write(next, next + 4999);
    next += 5000;
    await Bun.sleep(i * 10);
    await forwarder.stop();
  }
  state.ended = true;
  const last = new Forwarder(source, syslog(target));
  last.run(() => {});
  expect(await last.finish(BOUND)).toBe(true);
  await until(() => distinct(target.numbers).length === next - 1);
  expect(distinct(target.numbers)).toEqual(range(1, next - 1));
  target.stop();
});

test("what rotation takes from under a target that is away is counted and told", async () => {
  const target = await new Target().start();
  target.stop();
  const { source, state, write, rotate, said, dir } = log();
  const forwarder = new Forwarder(source, syslog(target));
  write(1, 10);
  forwarder.run(() => {});
  await until(() => said.some((line) => line.includes("lines wait on disk")));
  for (let i = 1; i <= 6; i++) {
    await Bun.sleep(300);
    rotate();
    write(i * 10 + 1, i * 10 + 10);
  }
  await Bun.sleep(300);
  await target.start();
  await until(() => target.numbers.includes(70));
  expect(target.numbers).toEqual([...range(1, 10), ...range(41, 70)]);
  const told = said.filter((line) => line.includes("rotation took at least"));
  expect(told.length).toBeGreaterThan(0);
  state.ended = true;
  await forwarder.finish(2000);
  const bytes = 30 * '{"log":"11\\n","stream":"stdout","time":"2023-11-14T22:13:20.011Z"}\n'.length;
  expect(JSON.parse(readFileSync(`${dir}/forward/position.json`, "utf8")).lostBytes).toBe(bytes);
  target.stop();
});

test("a target that does not read holds nothing up, and memory stays", async () => {
  const target = new Target();
  target.paused = true;
  await target.start();
  const { source, state, path } = log();
  const filler = "y".repeat(200);
  const block = Array.from(
    { length: 5000 },
    (_, i) => `{"log":"${filler}${i}\\n","stream":"stdout","time":"${new Date(1.7e12 + i).toISOString()}"}\n`,
  ).join("");
  for (let i = 0; i < 60; i++) appendFileSync(path, block);
  const forwarder = new Forwarder(source, syslog(target));
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  forwarder.run(() => {});
  await Bun.sleep(700);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  expect(await soon(forwarder.stop())).toBeTrue();
  state.ended = true;
  target.stop();
});

test("fluentd with acknowledgements: none counts as sent before", async () => {
  const chunks: string[] = [];
  let answer = true;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    let rest: Buffer = Buffer.alloc(0);
    socket.on("data", (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      for (let at = rest.indexOf("chunk"); at >= 0 && rest.length >= at + 30; at = rest.indexOf("chunk")) {
        const id = rest.toString("latin1", at + 6, at + 6 + 24);
        chunks.push(/log.(\d+)/.exec(rest.toString("latin1", 0, at))?.[1] ?? "");
        rest = rest.subarray(at + 5 + 1 + 24);
        if (answer) socket.write(Buffer.from(`\x81\xa3ack\xb8${id}`, "latin1"));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const driver = fluentdDriver(info({ "fluentd-address": `127.0.0.1:${port}`, "fluentd-request-ack": "true" }));
  const { source, state, write, dir } = log();
  const place = () => JSON.parse(readFileSync(`${dir}/forward/position.json`, "utf8")).time as string;
  write(1, 5);
  const first = new Forwarder(source, driver);
  first.run(() => {});
  await until(() => chunks.length === 5);
  await until(() => existsSync(`${dir}/forward/position.json`) && place() === new Date(1.7e12 + 5).toISOString());
  answer = false;
  write(6, 10);
  await until(() => chunks.length === 10);
  await first.stop();
  expect(place()).toBe(new Date(1.7e12 + 5).toISOString());
  answer = true;
  state.ended = true;
  const second = new Forwarder(source, driver);
  second.run(() => {});
  expect(await second.finish(BOUND)).toBe(true);
  expect(chunks).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "6", "7", "8", "9", "10"]);
  expect(place()).toBe(new Date(1.7e12 + 10).toISOString());
  server.close();
});

test("who waits for what was written is told when it has arrived, and not kept long by a target that is away", async () => {
  const target = await new Target().start();
  const { source, state, write, said } = log();
  const forwarder = new Forwarder(source, syslog(target));
  await forwarder.open(syslog(target));
  forwarder.run(() => {});
  for (let i = 0; i < 30; i++) {
    write(i * 100 + 1, i * 100 + 100);
    await forwarder.caughtUp(BOUND);
    // What is left to do is our own reading of it.
    for (let turns = 0; turns < 50 && target.numbers.length < i * 100 + 100; turns++) await Bun.sleep(1);
    expect(target.numbers.length).toBe(i * 100 + 100);
  }
  target.stop();
  write(3001, 3001);
  expect(await soon(forwarder.caughtUp(200))).toBeTrue();
  await until(() => said.some((line) => line.includes("lines wait on disk")));
  expect(await soon(forwarder.caughtUp(600_000))).toBeTrue();
  state.ended = true;
  await forwarder.stop();
});
