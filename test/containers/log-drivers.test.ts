import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";
import { DatagramTarget, LogTarget, unpackAll } from "./log-targets.ts";

setDefaultTimeout(60_000);

const logOpts = (driver: string, ...options: string[]) => [
  "--log-driver",
  driver,
  ...options.flatMap((option) => ["--log-opt", option]),
];
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
/** The numbers that lines of syslog end in. */
const numbers = (text: string) =>
  text.split("\n").flatMap((line) => {
    const match = /^<\d+>.*\]: (\d+)$/.exec(line);
    return match === null ? [] : [Number(match[1])];
  });
const distinct = (list: number[]) => [...new Set(list)].sort((a, b) => a - b);
const OUTPUT = 'echo out; sleep 0.1; echo err >&2; sleep 0.1; echo; printf "no newline"';

describe.skipIf(!canRunContainers)("log drivers that send lines elsewhere", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  test("syslog over TCP, UDP and a unix socket; logs are read from the cache", async () => {
    const tcp = await new LogTarget().start();
    const udp = await new DatagramTarget().start();
    const path = `${engine.dir}/syslog.sock`;
    const unix = await new LogTarget().start(path);
    for (const [i, address] of [
      `tcp://127.0.0.1:${tcp.port}`,
      `udp://127.0.0.1:${udp.port}`,
      `unix://${path}`,
    ].entries()) {
      const opts = logOpts("syslog", `syslog-address=${address}`, "tag={{.Name}}/{{.ImageName}}");
      const run = await engine.docker("run", "--name", `sys${i}`, ...opts, "busybox", "sh", "-c", OUTPUT);
      expect([run.code, run.stdout, run.stderr]).toEqual([0, "out\n\nno newline", "err\n"]);
      const logs = await engine.docker("logs", `sys${i}`);
      expect([logs.code, logs.stdout, logs.stderr]).toEqual([0, "out\n\nno newline", "err\n"]);
      const inspect = (await engine.api("GET", `/containers/sys${i}/json`)).body;
      expect([inspect.LogPath, inspect.HostConfig.LogConfig.Type]).toEqual(["", "syslog"]);
    }
    const expected = (i: number) => [
      [30, `sys${i}/busybox`, "out"],
      [27, `sys${i}/busybox`, "err"],
      [30, `sys${i}/busybox`, "no newline"],
    ];
    const parsed = (text: string) =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => {
          const match = /^<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+)\[\d+\]: (.*)$/.exec(line);
          return [Number(match?.[1]), match?.[2], match?.[3]];
        });
    await eventually(
      () => parsed(tcp.text).length === 3 && udp.datagrams.length === 3 && parsed(unix.text).length === 3,
    );
    expect(parsed(tcp.text)).toEqual(expected(0));
    expect(parsed(Buffer.concat(udp.datagrams).toString())).toEqual(expected(1));
    expect(parsed(unix.text)).toEqual(expected(2));
    for (const target of [tcp, udp, unix]) target.stop();
    await engine.docker("rm", "sys0", "sys1", "sys2");
  });

  test("fluentd and gelf: every field, and the last lines of a container that removes itself", async () => {
    const fluentd = await new LogTarget().start();
    const gelf = await new DatagramTarget().start();
    const opts = logOpts(
      "fluentd",
      `fluentd-address=127.0.0.1:${fluentd.port}`,
      "fluentd-sub-second-precision=true",
      "env=A",
      "tag=t.{{.Name}}",
    );
    const long = "head -c 40000 /dev/zero | tr '\\0' a; echo; printf end";
    expect(
      (await engine.docker("run", "--rm", "--name", "flu", "-e", "A=b", ...opts, "busybox", "sh", "-c", long)).code,
    ).toBe(0);
    const messages = () => unpackAll(fluentd.bytes) as [string, number[], Record<string, string>, object][];
    await eventually(() => fluentd.text.includes("end"));
    const id = messages()[0]?.[2]["container_id"] as string;
    const common = { container_id: id, container_name: "/flu", source: "stdout", A: "b" };
    const part = (ordinal: number, last: boolean, log: string, partial_id = "none") => ({
      ...common,
      log,
      partial_message: "true",
      partial_id,
      partial_ordinal: String(ordinal),
      partial_last: String(last),
    });
    const ids = messages().map(([, , record]) => record["partial_id"] ?? "none");
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(messages().map(([tag, , record, option]) => ({ tag, record, option }))).toEqual(
      [
        part(1, false, "a".repeat(16384), ids[0]),
        part(2, false, "a".repeat(16384), ids[0]),
        part(3, true, "a".repeat(7232), ids[0]),
        part(1, false, "end", ids[3]),
      ].map((record) => ({ tag: "t.flu", record, option: {} })),
    );
    expect(ids[3]).not.toBe(ids[0]);
    const seconds = messages()[0]?.[1][0] ?? 0;
    expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(60);

    const graylog = logOpts("gelf", `gelf-address=udp://127.0.0.1:${gelf.port}`, "labels=l");
    await engine.docker("run", "--rm", "--name", "gel", "--label", "l=v", ...graylog, "busybox", "sh", "-c", OUTPUT);
    await eventually(() => gelf.datagrams.length === 3);
    const fields = gelf.datagrams.map((datagram) => JSON.parse(gunzipSync(datagram).toString()));
    expect(fields.map((one) => [one.short_message, one.level, one._container_name, one._l, one._image_name])).toEqual([
      ["out", 6, "gel", "v", "busybox"],
      ["err", 3, "gel", "v", "busybox"],
      ["no newline", 6, "gel", "v", "busybox"],
    ]);
    for (const target of [fluentd, gelf]) target.stop();
  });

  test("a start fails where the target cannot be reached, as Docker's; UDP and fluentd-async do not", async () => {
    const target = await new LogTarget().start();
    const port = target.port;
    target.stop();
    const failure = async (...opts: string[]) =>
      (await engine.docker("run", "--rm", ...opts, "busybox", "true")).stderr.split("\n")[0]?.replace(/^docker: /, "");
    const init =
      "Error response from daemon: failed to create task for container: failed to initialize logging driver: ";
    const refused = `dial tcp 127.0.0.1:${port}: connect: connection refused`;
    expect(await failure(...logOpts("syslog", `syslog-address=tcp://127.0.0.1:${port}`))).toBe(init + refused);
    expect(await failure(...logOpts("fluentd", `fluentd-address=127.0.0.1:${port}`))).toBe(init + refused);
    expect(await failure(...logOpts("gelf", `gelf-address=tcp://127.0.0.1:${port}`))).toBe(
      `${init}gelf: cannot connect to GELF endpoint: 127.0.0.1:${port} ${refused}`,
    );
    if (!existsSync("/run/systemd/journal/socket"))
      expect(await failure(...logOpts("journald"))).toBe(`${init}journald is not enabled on this host`);
    expect(await failure(...logOpts("syslog", `syslog-address=udp://127.0.0.1:${port}`, "tag={{.Nope}}"))).toBe(
      `${init}template: log-tag:1:2: executing "log-tag" at <.Nope>: can't evaluate field Nope in type *logger.Info`,
    );
    expect(await failure(...logOpts("gelf"))).toBe("Error response from daemon: gelf-address is a required parameter");
    for (const opts of [
      logOpts("syslog", `syslog-address=udp://127.0.0.1:${port}`, "mode=non-blocking", "max-buffer-size=1m"),
      logOpts("fluentd", `fluentd-address=127.0.0.1:${port}`, "fluentd-async=true"),
    ])
      expect(await engine.docker("run", "--rm", ...opts, "busybox", "true")).toMatchObject({ code: 0, stderr: "" });
    // Nothing is left of those that failed.
    expect((await engine.api("GET", "/containers/json?all=1")).body).toEqual([]);
  });

  test("without a cache there is nothing to read; what there is can be told", async () => {
    const target = await new LogTarget().start();
    const opts = logOpts("syslog", `syslog-address=tcp://127.0.0.1:${target.port}`, "cache-disabled=true");
    await engine.docker("run", "--name", "uncached", ...opts, "busybox", "echo", "hello");
    const logs = await engine.docker("logs", "uncached");
    expect([logs.code, logs.stderr]).toEqual([
      1,
      "Error response from daemon: configured logging driver does not support reading\n",
    ]);
    await eventually(() => target.text.endsWith("]: hello\n"));
    await engine.docker("rm", "uncached");
    target.stop();
    expect((await engine.api("GET", "/info")).body.Plugins.Log).toEqual([
      "fluentd",
      "gelf",
      "journald",
      "json-file",
      "local",
      "syslog",
    ]);
  });

  test("a target that goes away and comes back gets every line, and holds no container up", async () => {
    const target = await new LogTarget().start();
    const opts = logOpts("syslog", `syslog-address=tcp://127.0.0.1:${target.port}`);
    const script = "for i in $(seq 1 300); do echo $i; [ $i = 100 ] && sleep 1; [ $i = 200 ] && sleep 0.5; done; true";
    await engine.docker("run", "-d", "--name", "away", ...opts, "busybox", "sh", "-c", script);
    await eventually(() => numbers(target.text).includes(100));
    target.stop();
    expect((await engine.docker("wait", "away")).stdout).toBe("0\n");
    expect((await engine.docker("logs", "away")).stdout.trim().split("\n").length).toBe(300);
    await eventually(() => engine.log().includes("connection refused; lines wait on disk"));
    // It cannot be started again meanwhile, and that changes nothing for what waits.
    expect((await engine.docker("start", "away")).stderr).toContain("connect: connection refused");
    await target.start();
    await eventually(() => distinct(numbers(target.text)).length === 300);
    expect(distinct(numbers(target.text))).toEqual(range(1, 300));
    await engine.docker("rm", "away");
    target.stop();
  });

  test("the daemon is killed again and again; every line arrives, through rotations and compressions", async () => {
    const target = await new LogTarget().start();
    const opts = logOpts(
      "syslog",
      `syslog-address=tcp://127.0.0.1:${target.port}`,
      "cache-max-size=200k",
      "cache-max-file=60",
    );
    const script = "for i in $(seq 1 40000); do echo $i; [ $((i % 500)) = 0 ] && sleep 0.05; done; sleep 1000";
    await engine.docker("run", "-d", "--name", "killed", ...opts, "busybox", "sh", "-c", script);
    for (let i = 0; i < 5; i++) {
      await Bun.sleep(100 + Math.random() * 500);
      await engine.crash();
      if (i === 2) target.stop();
      await Bun.sleep(200);
      await engine.restart();
      if (i === 2) {
        await Bun.sleep(300);
        await target.start();
      }
    }
    await eventually(() => numbers(target.text).includes(40_000));
    expect(distinct(numbers(target.text))).toEqual(range(1, 40_000));
    const logs = await engine.docker("logs", "killed");
    expect(logs.stdout.trim().split("\n").map(Number)).toEqual(range(1, 40_000));
    // Once all is sent and its place kept, another daemon sends nothing again.
    const { Id } = (await engine.api("GET", "/containers/killed/json")).body;
    const position = `${engine.dataRoot}/containers/${Id}/log-forward/position.json`;
    const bare = (time = "") => time.replace(/\.?0*Z$/, "Z");
    const last = bare((await engine.docker("logs", "-t", "--tail", "1", "killed")).stdout.split(" ")[0]);
    await eventually(() => existsSync(position) && bare(JSON.parse(readFileSync(position, "utf8")).time) === last);
    const before = target.bytes.length;
    await engine.crash();
    await engine.restart();
    await Bun.sleep(500);
    expect(target.bytes.length).toBe(before);
    expect(engine.log()).not.toContain("rotation took");
    expect((await engine.docker("rm", "-f", "killed")).code).toBe(0);
    target.stop();
  });

  test("what a container that has ended could not send is sent by the next daemon", async () => {
    const target = await new LogTarget().start();
    const opts = logOpts("syslog", `syslog-address=tcp://127.0.0.1:${target.port}`);
    await engine.docker("run", "-d", "--name", "later", ...opts, "busybox", "sh", "-c", "echo 1; sleep 0.7; seq 2 500");
    await eventually(() => numbers(target.text).includes(1));
    target.stop();
    await engine.docker("wait", "later");
    await engine.crash();
    await target.start();
    await engine.restart();
    await eventually(() => distinct(numbers(target.text)).length === 500);
    expect(distinct(numbers(target.text))).toEqual(range(1, 500));
    await engine.docker("rm", "later");
    target.stop();
  });

  test("the daemon's own default driver and options", async () => {
    const target = await new LogTarget().start();
    const own = await startEngine({
      config: {
        "log-driver": "syslog",
        "log-opts": { "syslog-address": `tcp://127.0.0.1:${target.port}`, tag: "d/{{.Name}}", "cache-max-file": "2" },
      },
    });
    try {
      await own.docker("run", "--rm", "--name", "one", "busybox", "echo", "hello");
      await eventually(() => /^<30>.* d\/one\[\d+\]: hello\n$/.test(target.text));
      const info = (await own.api("GET", "/info")).body;
      expect(info.LoggingDriver).toBe("syslog");
      await own.docker("create", "--name", "two", "--log-driver", "json-file", "busybox");
      expect((await own.api("GET", "/containers/two/json")).body.HostConfig.LogConfig).toEqual({
        Type: "json-file",
        Config: { "cache-max-file": "2" },
      });
    } finally {
      await own.close();
      target.stop();
    }
  });
});

const peer = process.env["GANTRY_PEER_DOCKER"];
describe.skipIf(!canRunContainers || peer === undefined)("side by side with Docker (GANTRY_PEER_DOCKER)", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  /** Runs the same on both; what differs by nature is put out of the way. */
  async function both<T>(
    opts: (port: number) => string[],
    script: string,
    read: () => Promise<{ port: number; stop(): Promise<T> }>,
  ) {
    const results: T[] = [];
    for (const host of [`unix://${peer?.replace(/^unix:\/\//, "")}`, engine.host]) {
      const target = await read();
      const name = "gantry-log-peer";
      const args = ["run", "--rm", "--name", name, "--label", "b=1", "--label", "a=<2>", "-e", "X=é&"];
      const child = Bun.spawn(["docker", ...args, ...opts(target.port), "busybox", "sh", "-c", script], {
        env: { ...process.env, DOCKER_HOST: host },
        stdout: "ignore",
        stderr: "ignore",
      });
      expect(await child.exited).toBe(0);
      await Bun.sleep(500);
      results.push(await target.stop());
    }
    return results;
  }
  const byNature = (text: string) =>
    text
      .replace(/[0-9a-f]{64}/g, "<id64>")
      .replace(/\b[0-9a-f]{12}\b/g, "<id12>")
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?/g, (time) => (time.includes(".") ? "<micros>" : "<time>"))
      .replace(/"_created":"[^"]*"/g, '"_created":"<time>"')
      .replace(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d/g, "<stamp>")
      .replace(/\[\d+\]:/g, "[<pid>]:")
      .replace(/ \d+ (\S+ - )/g, " <pid> $1")
      .replace(/"timestamp":\d+(\.\d{1,3})?,/g, '"timestamp":<time>,');
  const tcp = async () => {
    const target = await new LogTarget().start();
    return {
      port: target.port,
      async stop() {
        target.stop();
        return target.bytes;
      },
    };
  };
  const udp = async () => {
    const target = await new DatagramTarget().start();
    return {
      port: target.port,
      async stop() {
        target.stop();
        return target.datagrams;
      },
    };
  };
  const lines =
    "echo out; sleep 0.2; echo err >&2; sleep 0.2; echo; echo 'tab\t\"q\" <&> é \\\\ back'; printf 'no newline'";
  const extra = [
    "labels=a,b",
    "env=X",
    "tag={{.Name}}/{{.ID}}/{{.FullID}}/{{.ImageID}}/{{.ImageName}}/{{.DaemonName}}",
  ];

  test.each(["", "rfc3164", "rfc5424", "rfc5424micro"])("syslog %s", async (format) => {
    const form = format === "" ? [] : [`syslog-format=${format}`];
    const opts = (type: string) => (port: number) =>
      logOpts("syslog", `syslog-address=${type}://127.0.0.1:${port}`, "syslog-facility=local3", ...extra, ...form);
    // The images are not the same on both.
    const clean = (data: Buffer) => byNature(data.toString()).replace(/sha256:[0-9a-f]{5}\b/g, "<image>");
    const [docker, gantry] = (await both(opts("tcp"), lines, tcp)).map(clean);
    expect(gantry).toBe(docker as string);
    expect(gantry?.split("\n").length).toBe(5);
    const [first, second] = (await both(opts("udp"), lines, udp)).map((all) => all.map(clean));
    expect(second).toEqual(first as string[]);
  });

  test("gelf over UDP and TCP", async () => {
    const image = (text: string) => text.replace(/sha256:(<id64>|[0-9a-f]{5}\b)/g, "<image>");
    const opts =
      (type: string, ...more: string[]) =>
      (port: number) =>
        logOpts("gelf", `gelf-address=${type}://127.0.0.1:${port}`, ...extra, ...more);
    const [docker, gantry] = (await both(opts("tcp"), lines, tcp)).map((data) => image(byNature(data.toString())));
    expect(gantry).toBe(docker as string);
    for (const type of ["none", "gzip", "zlib"]) {
      const all = await both(opts("udp", `gelf-compression-type=${type}`), lines, udp);
      const heads = all.map((datagrams) =>
        datagrams.map((datagram) => datagram.toString("hex", 0, type === "none" ? 1 : 2)),
      );
      expect(heads[1]).toEqual(heads[0] as string[]);
    }
    const long = "head -c 9000 /dev/zero | tr '\\0' a; echo";
    const chunked = await both(opts("udp", "gelf-compression-type=none"), long, udp);
    const heads = chunked.map((all) =>
      all.map((chunk) => [chunk.length > 1000, ...chunk.subarray(0, 2), ...chunk.subarray(10, 12)]),
    );
    expect(heads[1]).toEqual(heads[0] as never);
    const bodies = chunked.map((all) =>
      image(byNature(Buffer.concat(all.map((chunk) => chunk.subarray(12))).toString())),
    );
    expect(bodies[1]).toBe(bodies[0] as string);
  });

  test("fluentd", async () => {
    const script = `${lines}; head -c 20000 /dev/zero | tr '\\0' b; echo`;
    for (const precise of ["true", "false"]) {
      const opts = (port: number) =>
        logOpts("fluentd", `fluentd-address=127.0.0.1:${port}`, ...extra, `fluentd-sub-second-precision=${precise}`);
      const [docker, gantry] = (await both(opts, script, tcp)).map((data) =>
        (unpackAll(data) as [string, unknown, Record<string, string>, object][]).map(([tag, time, record, option]) => ({
          tag: byNature(tag).replace(/sha256:[0-9a-f]{5}/, "<image>"),
          time: Array.isArray(time) ? time.length : typeof time,
          record: Object.fromEntries(Object.entries(record).map(([key, value]) => [key, byNature(value)])),
          option,
        })),
      );
      expect(gantry).toEqual(docker as never);
      expect(gantry?.length).toBeGreaterThan(5);
    }
  });
});
