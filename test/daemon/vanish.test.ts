import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

let engine: TestEngine;

/** Sends a request and is gone: before the answer, or in the middle of it. */
const ask = (text: string, patience: number) =>
  new Promise<void>((resolve, reject) => {
    const socket = connect(engine.socket, () => {
      socket.write(text);
      if (patience === 0) socket.destroySoon();
      else setTimeout(() => socket.destroy(), patience);
    });
    socket.on("error", reject).on("close", () => resolve());
  });

const descriptors = () => readdirSync(`/proc/${engine.pid}/fd`).length;

describe.skipIf(!canRunContainers)("clients that vanish", () => {
  beforeAll(async () => {
    engine = await startEngine();
    await engine.docker("run", "-d", "--name", "one", "busybox", "sleep", "900");
  });
  afterAll(() => engine?.close());

  const upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  test.each([
    ["attach", "POST", "/containers/one/attach?stream=1&stdout=1&stdin=1", upgrade],
    ["logs", "GET", "/containers/one/logs?follow=1&stdout=1", ""],
    ["events", "GET", `/events?until=${Math.floor(Date.now() / 1000) + 86_400}`, ""],
    ["stats", "GET", "/containers/one/stats", ""],
    ["wait", "POST", "/containers/one/wait", ""],
  ])("%s leaves nothing open", async (_name, method, path, headers) => {
    await ask(`GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n`, 50);
    const before = descriptors();
    for (const patience of [0, 30]) {
      const text = `${method} ${path} HTTP/1.1\r\nHost: d\r\n${headers}\r\n`;
      await Promise.all(Array.from({ length: 20 }, () => ask(text, patience)));
    }
    // An idle thread may come with one or two of its own.
    await eventually(() => descriptors() <= before + 5);
  });

  test("a listener that does not read costs no more than a thousand events", async () => {
    const memory = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${engine.pid}/status`, "utf8"))?.[1]);
    const sockets = Array.from({ length: 40 }, () => {
      const socket = connect(engine.socket, () => socket.write("GET /events HTTP/1.1\r\nHost: d\r\n\r\n"));
      return socket.pause().on("error", () => {});
    });
    const Labels = { long: "x".repeat(4000) };
    const { body } = await engine.api("POST", "/containers/create?name=a0", {
      Image: "busybox",
      Cmd: ["true"],
      Labels,
    });
    const rename = (i: number) => engine.api("POST", `/containers/${body.Id}/rename?name=a${i}`);
    for (let i = 1; i <= 1200; i++) await rename(i);
    const before = memory();
    for (let i = 1201; i <= 2400; i++) await rename(i);
    // Each of these would be 4 KB for each of the 40.
    expect(memory() - before).toBeLessThan(100_000);
    for (const socket of sockets) socket.destroy();
  });
});
