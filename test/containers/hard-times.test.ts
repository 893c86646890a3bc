import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("hard times", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const inspect = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body;
  const parentOf = (pid: number) => Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  test("a daemon that is stopped for a while loses no line, no exit and no client", async () => {
    const count = "i=0; while :; do i=$((i+1)); echo $i; usleep 1000; done";
    await engine.docker("run", "-d", "--name", "counts", "busybox", "sh", "-c", count);
    await engine.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 0.5; exit 7");
    await engine.docker("run", "-d", "--rm", "--name", "goes", "busybox", "sleep", "0.5");
    await engine.docker(
      "run",
      "-d",
      "--restart",
      "always",
      "--name",
      "again",
      "busybox",
      "sh",
      "-c",
      "sleep 1; exit 3",
    );
    const follower = Bun.spawn(["docker", "logs", "-f", "counts"], {
      env: { ...process.env, DOCKER_HOST: engine.host },
      stdout: "pipe",
    });
    const followed = new Response(follower.stdout).text();
    const waiting = engine.docker("wait", "ends");
    await Bun.sleep(200);
    process.kill(engine.pid, "SIGSTOP");
    await Bun.sleep(3000);
    process.kill(engine.pid, "SIGCONT");
    expect((await waiting).stdout).toBe("7\n");
    await eventually(async () => (await engine.docker("inspect", "goes")).code === 1);
    await eventually(async () => (await inspect("again")).RestartCount > 0);
    await eventually(async () => (await engine.docker("logs", "counts")).stdout.split("\n").length > 500);
    await engine.docker("stop", "-t", "0", "counts");
    const lines = (await followed).trim().split("\n").map(Number);
    expect(lines.length).toBeGreaterThan(500);
    expect(lines).toEqual(Array.from(lines, (_, i) => i + 1));
    await engine.docker("rm", "-f", "counts", "ends", "again");
  });

  test("an exit is known after the machine went down, whatever its clock said", async () => {
    const ends = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    await engine.docker("run", "-d", "--name", "down", "busybox", "sh", "-c", ends);
    await eventually(async () => (await engine.docker("logs", "down")).stdout === "ready\n");
    const { Id, State } = await inspect("down");
    const shim = parentOf(State.Pid);
    await engine.crash();
    process.kill(State.Pid, "SIGTERM");
    const stateDir = `${engine.dir}/exec/containers/${Id}`;
    const exitFile = `${engine.dataRoot}/containers/${Id}/exit.json`;
    await eventually(() => existsSync(exitFile));
    // What lasts until the next boot is gone; and the clock had been set back before the end.
    const exit = JSON.parse(readFileSync(exitFile, "utf8"));
    expect(exit.exitCode).toBe(9);
    writeFileSync(exitFile, JSON.stringify({ ...exit, exitedAt: new Date(Date.now() - 3_600_000).toISOString() }));
    process.kill(shim, "SIGKILL");
    rmSync(stateDir, { recursive: true });
    for (const path of new Bun.Glob(`**/gantry-test-*/${Id}/`).scanSync({ cwd: "/sys/fs/cgroup", onlyFiles: false }))
      rmdirSync(`/sys/fs/cgroup/${path}`);
    await engine.restart();
    expect((await inspect("down")).State).toMatchObject({ Status: "exited", ExitCode: 9 });
    await engine.docker("rm", "-f", "down");
  });

  test("a health check that cannot even begin is late, and goes on afterwards", async () => {
    const check = ["--health-cmd", "true", "--health-interval", "200ms", "--health-timeout", "400ms"];
    await engine.docker("run", "-d", "--name", "sick", ...check, "--health-retries", "2", "busybox", "sleep", "1000");
    const health = async () => (await inspect("sick")).State.Health.Status;
    await eventually(async () => (await health()) === "healthy");
    const shim = parentOf((await inspect("sick")).State.Pid);
    process.kill(shim, "SIGSTOP");
    try {
      await eventually(async () => (await health()) === "unhealthy");
      expect((await inspect("sick")).State.Health.Log.at(-1).Output).toContain("Health check exceeded timeout (");
    } finally {
      process.kill(shim, "SIGCONT");
    }
    await eventually(async () => (await health()) === "healthy");
    await engine.docker("rm", "-f", "sick");
  });
});
