import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("kill -9 in the middle of work", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  test("whatever was cut off, what is left is true and nothing leaks", async () => {
    for (let round = 0; round < 4; round++) {
      const work = Array.from({ length: 10 }, (_, i) =>
        i % 3 === 0
          ? engine.docker("run", "--rm", "-p", "127.0.0.1::80", "busybox", "true")
          : i % 3 === 1
            ? engine.docker("run", "-d", "--name", `r${round}n${i}`, "busybox", "sleep", "1000")
            : engine.docker("run", "-d", "--rm", "busybox", "sh", "-c", "sleep 0.1; exit 3"),
      );
      await Bun.sleep(60 + Math.random() * 250);
      await engine.crash();
      await Promise.all(work);
      await engine.restart();
    }
    await Bun.sleep(1000);
    const all = (await engine.api("GET", "/containers/json?all=1")).body as {
      Id: string;
      State: string;
      Names: string[];
    }[];
    // Every container is what it says it is.
    for (const { Id, State } of all) {
      const { State: state } = (await engine.api("GET", `/containers/${Id}/json`)).body;
      expect(State).toBe(state.Status);
      if (state.Running) {
        expect(readFileSync(`/proc/${state.Pid}/cmdline`, "latin1")).toContain("sleep");
        expect((await engine.docker("exec", Id, "true")).code).toBe(0);
      } else expect(state.Pid).toBe(0);
    }
    // A stopped one can be started, a running one removed.
    for (const { Id, State } of all) if (State !== "running") await engine.docker("start", Id);
    if (all.length > 0) expect((await engine.docker("rm", "-f", ...all.map(({ Id }) => Id))).code).toBe(0);
    for (const left of [`${engine.dataRoot}/containers`, `${engine.dir}/exec/containers`])
      await eventually(() => readdirSync(left).length === 0);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(`${engine.dir}/`);
    const v2 = existsSync("/sys/fs/cgroup/cgroup.procs");
    const cgroup = `/sys/fs/cgroup${v2 ? "" : "/memory"}/gantry-test-${engine.net.slice(3)}`;
    await eventually(() => !existsSync(cgroup) || !readdirSync(cgroup).some((name) => /^[0-9a-f]{64}$/.test(name)));
    const { Containers } = (await engine.api("GET", "/networks/bridge")).body;
    expect(Containers).toEqual({});
    expect((await engine.docker("run", "--rm", "busybox", "echo", "fine")).stdout).toBe("fine\n");
  });
});
