import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("compressed log rotation", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const logOpts = (...options: string[]) => options.flatMap((option) => ["--log-opt", option]);
  const directory = async (name: string) =>
    `${engine.dataRoot}/containers/${(await engine.api("GET", `/containers/${name}/json`)).body.Id}`;
  const logs = (path: string) => readdirSync(path).filter((name) => name.includes("-json.log."));
  const numbers = (text: string) => text.trim().split("\n").map(Number);
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test("json-file: names as Docker's, read whole, by tail and while following", async () => {
    const opts = logOpts("max-size=20k", "max-file=40", "compress=true");
    const script = "for i in $(seq 1 5000); do echo $i; [ $((i % 100)) = 0 ] && sleep 0.08; done; true";
    await engine.docker("run", "-d", "--name", "packed", ...opts, "busybox", "sh", "-c", script);
    const followed = engine.docker("logs", "-f", "packed");
    // A few rotations and compressions later.
    await Bun.sleep(2500);
    const late = engine.docker("logs", "-f", "packed");
    expect(numbers((await followed).stdout)).toEqual(range(1, 5000));
    expect(numbers((await late).stdout)).toEqual(range(1, 5000));
    const path = await directory("packed");
    await eventually(() => logs(path).every((name) => name.endsWith(".gz")));
    expect(logs(path).length).toBeGreaterThan(10);
    const id = path.slice(path.lastIndexOf("/") + 1);
    const first = gunzipSync(readFileSync(`${path}/${id}-json.log.${logs(path).length}.gz`)).toString();
    expect(first).toStartWith('{"log":"1\\n","stream":"stdout","time":"');
    expect(numbers((await engine.docker("logs", "packed")).stdout)).toEqual(range(1, 5000));
    for (const tail of [1, 500, 2345])
      expect(numbers((await engine.docker("logs", "--tail", String(tail), "packed")).stdout)).toEqual(
        range(5001 - tail, 5000),
      );
    await engine.docker("rm", "packed");
  });

  test("the daemon is killed again and again; no line is lost or there twice", async () => {
    const opts = logOpts("max-size=100k", "max-file=200", "compress=true");
    const script = "for i in $(seq 1 60000); do echo $i; [ $((i % 500)) = 0 ] && sleep 0.05; done; sleep 1000";
    await engine.docker("run", "-d", "--name", "killed", ...opts, "busybox", "sh", "-c", script);
    const path = await directory("killed");
    for (let i = 0; i < 5; i++) {
      await Bun.sleep(100 + Math.random() * 400);
      await engine.crash();
      await Bun.sleep(200);
      await engine.restart();
    }
    await eventually(async () => (await engine.docker("logs", "--tail", "1", "killed")).stdout === "60000\n");
    expect(numbers((await engine.docker("logs", "killed")).stdout)).toEqual(range(1, 60_000));
    await eventually(() => logs(path).every((name) => name.endsWith(".gz")));
    expect(logs(path).length).toBeGreaterThan(30);
    expect(numbers((await engine.docker("logs", "killed")).stdout)).toEqual(range(1, 60_000));
    expect((await engine.docker("rm", "-f", "killed")).code).toBe(0);
  });

  test("local compresses by default, json-file not", async () => {
    const script = "seq 1 2000";
    const few = logOpts("max-size=20k", "max-file=3");
    await engine.docker("create", "--name", "local", "--log-driver", "local", ...few, "busybox", "sh", "-c", script);
    // Seen by the daemon before its start, and over before it is seen again.
    await Bun.sleep(2500);
    await engine.docker("start", "-a", "local");
    await engine.docker("run", "--name", "plain", ...few, "busybox", "sh", "-c", script);
    const local = await directory("local");
    await eventually(() => logs(local).length === 2 && logs(local).every((name) => name.endsWith(".gz")));
    const plain = logs(await directory("plain"));
    expect([plain.length, plain.some((name) => name.endsWith(".gz"))]).toEqual([2, false]);
    expect((await engine.docker("logs", "local")).stdout).toEndWith("\n1999\n2000\n");
    await engine.docker("rm", "local", "plain");
  });

  test("options that do not go together are refused at start", async () => {
    const created = await engine.docker("create", "--name", "bad", ...logOpts("compress=true"), "busybox", "true");
    expect(created.code).toBe(0);
    expect((await engine.docker("start", "bad")).stderr).toContain(
      "Error response from daemon: failed to create task for container: failed to initialize logging driver: compress cannot be true when max-file is less than 2 or max-size is not set",
    );
    expect((await engine.docker("rm", "bad")).code).toBe(0);
  });
});
