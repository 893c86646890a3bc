import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

/** What others ask for while a container is being started, restarted or stopped. */
describe.skipIf(!canRunContainers)("in the meantime", () => {
  let engine: TestEngine;
  const dir = mkdtempSync(join(tmpdir(), "gantry-gate-"));
  const [gate, reached] = [`${dir}/gate`, `${dir}/reached`];
  beforeAll(async () => {
    // An OCI runtime that starts a container only once the gate is open.
    const gated = `${dir}/gated`;
    const runtime = join(import.meta.dir, "../../packages/libcontainer/cli/main.ts");
    writeFileSync(
      gated,
      `#!/bin/sh
for word; do
  [ "$word" = start ] || continue
  : > ${reached}
  while [ -e ${gate} ]; do sleep 0.02; done
done
exec ${process.execPath} ${runtime} "$@"
`,
    );
    chmodSync(gated, 0o755);
    engine = await startEngine({ config: { runtimes: { gated: { path: gated } } } });
  });
  afterAll(async () => {
    rmSync(gate, { force: true });
    await engine?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const inspect = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body;
  const post = (path: string, body?: unknown) => engine.api("POST", `/containers/${path}`, body);
  const remove = async (name: string) =>
    expect((await engine.api("DELETE", `/containers/${name}?force=1`)).status).toBe(204);
  const open = () => rmSync(gate, { force: true });
  const create = async (name: string, command: string[], host: object = {}) =>
    expect(
      (await post(`create?name=${name}`, { Image: "busybox", Cmd: command, StopTimeout: 1, HostConfig: host })).status,
    ).toBe(201);

  /** A container whose start is under way until `open`. */
  async function starting(name: string, ...command: string[]) {
    writeFileSync(gate, "");
    rmSync(reached, { force: true });
    await create(name, command, { Runtime: "gated" });
    const started = post(`${name}/start`);
    await eventually(() => existsSync(reached));
    return { started };
  }
  /** Time for requests to reach the daemon; where it is too short, they are answered as at any other time. */
  const arrive = async () => {
    for (let i = 0; i < 5; i++) expect((await engine.api("GET", "/containers/json?all=1")).status).toBe(200);
  };
  /** A container in a pause between two of its restarts, of a second and more. */
  async function restarting(name: string) {
    await create(name, ["false"], { RestartPolicy: { Name: "always" } });
    await post(`${name}/start`);
    await eventually(async () => {
      const { RestartCount, State } = await inspect(name);
      return RestartCount >= 4 && State.Restarting;
    });
  }

  test("a start under way: who asks about the container, or acts on it, meets one that runs", async () => {
    const { started } = await starting("begun", "sleep", "1000");
    const answers = Promise.all([
      inspect("begun"),
      post("begun/exec", { Cmd: ["true"] }),
      engine.api("GET", "/containers/begun/top"),
      engine.api("DELETE", "/containers/begun"),
    ]);
    const waited = post("begun/wait");
    await arrive();
    expect((await engine.api("GET", "/containers/json?all=1")).body[0].State).toBe("created");
    open();
    expect((await started).status).toBe(204);
    const [{ State }, exec, top, removal] = await answers;
    expect(State).toMatchObject({ Status: "running", Running: true });
    expect([exec.status, top.status, removal.status]).toEqual([201, 200, 409]);
    expect(removal.body.message).toContain("container is running");
    expect((await post("begun/kill")).status).toBe(204);
    expect((await waited).body).toEqual({ StatusCode: 137 });
    await remove("begun");
  });

  test("a start under way: neither a stop nor a kill is lost, and who attaches is attached", async () => {
    for (const how of ["stop?t=0", "kill"]) {
      const { started } = await starting("caught", "sleep", "1000");
      const answer = post(`caught/${how}`);
      await arrive();
      open();
      expect([(await started).status, (await answer).status]).toEqual([204, 204]);
      expect((await inspect("caught")).State).toMatchObject({ Status: "exited", ExitCode: 137 });
      await remove("caught");
    }
    const { started } = await starting("heard", "sh", "-c", "while :; do echo here; sleep 0.1; done");
    const output = post("heard/attach?stream=1&stdout=1");
    await arrive();
    open();
    expect((await started).status).toBe(204);
    const lines = async () => (await engine.docker("logs", "heard")).stdout.split("here").length;
    const before = await lines();
    await eventually(async () => (await lines()) > before + 5);
    await post("heard/kill");
    expect((await output).text).toContain("here\n");
    await remove("heard");
  });

  test("a start under way: a forced removal, and the daemon's end, leave nothing running", async () => {
    const { started } = await starting("goes", "sleep", "1000");
    const removal = engine.api("DELETE", "/containers/goes?force=1");
    await arrive();
    open();
    expect([(await started).status, (await removal).status]).toEqual([204, 204]);
    expect((await engine.api("GET", "/containers/goes/json")).status).toBe(404);

    const late = await starting("late", "sleep", "1000");
    const gone = late.started.catch(() => null);
    const ended = engine.stop();
    await eventually(async () => !(await engine.api("GET", "/_ping").catch(() => null)));
    open();
    expect(await ended).toBe(0);
    await gone;
    await engine.restart();
    expect((await inspect("late")).State).toMatchObject({ Status: "exited", Pid: 0, ExitCode: 137 });
    await remove("late");
  });

  test("who waits for a container that waits for its restart is told when that does not come", async () => {
    for (const how of ["stop", "kill", "kill?signal=TERM"]) {
      await restarting("again");
      const waits = ["not-running", "next-exit"].map((condition) => post(`again/wait?condition=${condition}`));
      await arrive();
      expect((await post(`again/${how}`)).status).toBe(204);
      for (const wait of waits) expect((await wait).body).toEqual({ StatusCode: 1 });
      expect((await inspect("again")).State).toMatchObject({ Status: "exited", Running: false, Restarting: false });
      await remove("again");
    }
  });

  test("a container that waits for its restart is not started by hand, and says so where it must run", async () => {
    await restarting("again");
    const words = "is restarting, wait until the container is running";
    for (const [method, what] of [
      ["POST", "pause"],
      ["GET", "top"],
    ] as const) {
      await eventually(async () => {
        const { status, body } = await engine.api(method, `/containers/again/${what}`);
        // It ran just then.
        if (status === 204) await post("again/unpause");
        return status === 409 && body.message.includes(words);
      });
    }
    expect((await post("again/start")).status).toBe(304);
    expect((await post("again/kill?signal=HUP")).status).toBe(204);
    expect((await inspect("again")).RestartCount).toBeGreaterThanOrEqual(4);
    await remove("again");
  });

  /** Runs on when it is told to end, and says that it was. */
  const stubborn = ["sh", "-c", "trap 'echo told' TERM; echo up; while :; do sleep 0.1; done"];
  const said = (name: string, text: string) =>
    eventually(async () => (await engine.docker("logs", name)).stdout.includes(text));

  test("a stop with patience holds up nothing else, and not one with less", async () => {
    await create("slow", stubborn);
    await post("slow/start");
    await said("slow", "up");
    const patient = post("slow/stop?t=3600");
    await said("slow", "told");
    const statuses = [];
    for (const what of ["start", "rename?name=slower"]) statuses.push((await post(`slow/${what}`)).status);
    for (const what of ["pause", "unpause", "pause", "stop?t=0"]) {
      statuses.push((await post(`slower/${what}`)).status);
    }
    expect(statuses).toEqual([304, 204, 204, 204, 204, 204]);
    expect((await patient).status).toBe(204);
    expect((await inspect("slower")).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    await remove("slower");
  });

  test("a signal that ends it wakes a paused container; any other waits", async () => {
    await create("asleep", ["sleep", "1000"], { Init: true });
    await post("asleep/start");
    await post("asleep/pause");
    expect((await post("asleep/kill?signal=WINCH")).status).toBe(204);
    expect((await inspect("asleep")).State.Status).toBe("paused");
    const waited = post("asleep/wait");
    expect((await post("asleep/kill?signal=TERM")).status).toBe(204);
    expect((await waited).body).toEqual({ StatusCode: 143 });
    await remove("asleep");
  });

  test("a stop that the daemon's death cut off is one for its policy too", async () => {
    await create("told", stubborn, { RestartPolicy: { Name: "unless-stopped" } });
    await post("told/start");
    await said("told", "up");
    const cut = post("told/stop?t=3600").catch(() => null);
    await said("told", "told");
    const { Pid } = (await inspect("told")).State;
    await engine.crash();
    await cut;
    process.kill(Pid, "SIGKILL");
    await eventually(() => !existsSync(`/proc/${Pid}`));
    await engine.restart();
    expect((await inspect("told")).State).toMatchObject({ Status: "exited", Restarting: false });
    // Policies have their say after the first answers.
    await engine.stop();
    await engine.restart();
    expect((await inspect("told")).State).toMatchObject({ Status: "exited", ExitCode: 137 });
    await remove("told");
  });

  test("a container that has ended, which its daemon does not know yet, is connected like one that does not run", async () => {
    expect((await engine.api("POST", "/networks/create", { Name: "late" })).status).toBe(201);
    await create("ending", ["sleep", "1000"]);
    await post("ending/start");
    const { Pid } = (await inspect("ending")).State;
    const shim = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${Pid}/status`, "utf8"))![1]);
    process.kill(shim, "SIGSTOP");
    let connected: ReturnType<TestEngine["api"]>;
    try {
      process.kill(Pid, "SIGKILL");
      await eventually(() => !existsSync(`/proc/${Pid}/ns/net`));
      connected = engine.api("POST", "/networks/late/connect", { Container: "ending" });
      await arrive();
    } finally {
      process.kill(shim, "SIGCONT");
    }
    expect((await connected).status).toBe(200);
    expect(Object.keys((await inspect("ending")).NetworkSettings.Networks)).toEqual(["bridge", "late"]);
    await remove("ending");
    expect((await engine.api("DELETE", "/networks/late")).status).toBe(204);
  });

  test("a restart by hand of one that is removed at its end: after its end it is removed", async () => {
    expect((await engine.api("POST", "/networks/create", { Name: "joined" })).status).toBe(201);
    await create("once", ["sleep", "1000"], { AutoRemove: true, NetworkMode: "joined" });
    await post("once/start");
    expect((await post("once/restart?t=0")).status).toBe(204);
    expect((await inspect("once")).HostConfig.AutoRemove).toBe(true);
    await engine.crash();
    await engine.restart();
    expect((await inspect("once")).State.Running).toBe(true);
    expect((await post("once/kill")).status).toBe(204);
    await eventually(async () => (await engine.api("GET", "/containers/once/json")).status === 404);
    expect((await engine.api("DELETE", "/networks/joined")).status).toBe(204);
  });
});
