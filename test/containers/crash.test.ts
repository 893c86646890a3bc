import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("kill -9 of the daemon", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  test("twenty containers run on, no line is lost, exits are known, attach works again", async () => {
    const names = Array.from({ length: 19 }, (_, i) => `sleeper${i}`);
    await Promise.all(names.map((name) => engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000")));
    const writer = await engine.docker(
      "run",
      "-d",
      "--name",
      "writer",
      "busybox",
      "sh",
      "-c",
      "i=0; while :; do i=$((i+1)); echo $i; usleep 1000; done",
    );
    expect(writer.code).toBe(0);
    await engine.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 1.5; exit 37");
    await engine.docker("run", "-d", "--rm", "--name", "vanishes", "busybox", "sleep", "1.5");
    await engine.docker("run", "-d", "--name", "talks", "-i", "busybox", "cat");
    const ends = (await engine.api("GET", "/containers/json?all=1")).body
      .filter(({ Names }: { Names: string[] }) => ["/ends", "/vanishes"].includes(Names[0] as string))
      .map(({ Id }: { Id: string }) => `${engine.dataRoot}/containers/${Id}/exit.json`);
    await Bun.sleep(300);
    await engine.crash();
    await eventually(() => ends.every((path: string) => existsSync(path)));
    await engine.restart();

    const running = (await engine.docker("ps", "--format", "{{.Names}}")).stdout.trim().split("\n");
    expect(running.sort()).toEqual([...names, "talks", "writer"].sort());
    expect((await engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "ends")).stdout.trim()).toBe(
      "exited 37",
    );
    expect((await engine.docker("inspect", "vanishes")).code).toBe(1);
    expect((await engine.docker("exec", "sleeper3", "echo", "alive")).stdout).toBe("alive\n");

    // Attach works again, in both directions.
    const attached = Bun.spawn(["docker", "attach", "--sig-proxy=false", "talks"], {
      env: { ...process.env, DOCKER_HOST: engine.host },
      stdin: "pipe",
      stdout: "pipe",
    });
    attached.stdin.write("hello again\n");
    attached.stdin.flush();
    const echoed = await (attached.stdout as ReadableStream<Uint8Array>).getReader().read();
    expect(Buffer.from(echoed.value ?? []).toString()).toBe("hello again\n");
    attached.kill(9);
    await attached.exited;
    expect((await engine.docker("logs", "talks")).stdout).toContain("hello again");

    await eventually(async () => (await engine.docker("logs", "writer")).stdout.split("\n").length > 500);
    await engine.docker("stop", "-t", "0", "writer");
    const lines = (await engine.docker("logs", "writer")).stdout.trim().split("\n").map(Number);
    expect(lines.length).toBeGreaterThan(500);
    expect(lines.every((line, index) => line === index + 1)).toBe(true);

    // A container that was adopted can be stopped, started and removed like any other.
    expect((await engine.docker("restart", "-t", "0", "sleeper0")).code).toBe(0);
    expect((await engine.docker("run", "--rm", "busybox", "echo", "new")).stdout).toBe("new\n");
  }, 60_000);

  test("SIGTERM stops containers as dockerd does; policies bring theirs back", async () => {
    await engine.docker("rm", "-f", ...(await engine.docker("ps", "-aq")).stdout.trim().split("\n"));
    await engine.docker(
      "run",
      "-d",
      "--name",
      "plain",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 7' TERM; while :; do sleep 0.1; done",
    );
    await engine.docker(
      "run",
      "-d",
      "--name",
      "always",
      "--restart",
      "always",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 7' TERM; while :; do sleep 0.1; done",
    );
    expect(await engine.stop()).toBe(0);
    await engine.restart();
    const state = async (name: string) =>
      (await engine.docker("inspect", "-f", "{{.State.Status}}", name)).stdout.trim();
    await eventually(async () => (await state("always")) === "running");
    expect((await engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "plain")).stdout.trim()).toBe(
      "exited 7",
    );
    await engine.docker("rm", "-f", "plain", "always");
  }, 60_000);

  test("a layer of nobody is gone after the next start: it would keep its image's layers", async () => {
    await engine.crash();
    const cut = "c".repeat(64); // between a container's layer and its row
    const bare = "d".repeat(64); // its directory is gone already
    mkdirSync(`${engine.dataRoot}/containers/${cut}/diff`, { recursive: true });
    const database = new Database(`${engine.dataRoot}/gantry.db`);
    for (const id of [cut, bare]) database.run("INSERT INTO storage_containers VALUES (?, '[]', 'overlay2')", [id]);
    database.close();
    await engine.restart();
    await eventually(() => !existsSync(`${engine.dataRoot}/containers/${cut}`));
    // Nobody else can read a running daemon's database, and the sweep of the second may still be under way.
    let left: unknown[] = [null];
    for (let tries = 0; tries < 20 && left.length > 0; tries++) {
      await Bun.sleep(tries * 50);
      await engine.crash();
      const after = new Database(`${engine.dataRoot}/gantry.db`);
      left = after.query("SELECT id FROM storage_containers WHERE id IN (?, ?)").all(cut, bare);
      after.close();
      await engine.restart();
    }
    expect(left).toEqual([]);
  });

  test("a shim that is stopped does not hold up the next start", async () => {
    const trapped = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    await engine.docker("run", "-d", "--name", "held", "busybox", "sh", "-c", trapped);
    await eventually(async () => (await engine.docker("logs", "held")).stdout === "ready\n");
    const init = (await engine.api("GET", "/containers/held/json")).body.State.Pid;
    const shim = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${init}/status`, "utf8"))![1]);
    process.kill(shim, "SIGSTOP");
    try {
      process.kill(init, "SIGTERM");
      await engine.crash();
      await engine.restart();
      const { State } = (await engine.api("GET", "/containers/held/json")).body;
      expect(State).toMatchObject({ Status: "running", Pid: init });
    } finally {
      process.kill(shim, "SIGCONT");
    }
    expect((await engine.docker("wait", "held")).stdout).toBe("9\n");
    await engine.docker("rm", "-f", "held");
  });

  test("what a start left that was cut off before its record is swept away", async () => {
    const id = (await engine.docker("create", "busybox", "true")).stdout.trim();
    await engine.crash();
    const stateDir = `${engine.dir}/exec/containers/${id}`;
    mkdirSync(`${stateDir}/rootfs`, { recursive: true });
    await engine.restart();
    expect(existsSync(stateDir)).toBe(false);
    expect((await engine.docker("start", "-a", id)).code).toBe(0);
    await engine.docker("rm", id);
  });

  test("mounts on the host that a start left which was cut off are undone", async () => {
    const tmpfs = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=1m"];
    await engine.docker("volume", "create", ...tmpfs, "lost");
    await engine.docker("volume", "create", ...tmpfs, "used");
    await engine.docker(
      "run",
      "-d",
      "--name",
      "uses",
      "--ipc",
      "shareable",
      "-v",
      "used:/v",
      "busybox",
      "sleep",
      "1000",
    );
    const never = (
      await engine.docker("create", "--ipc", "shareable", "-v", "lost:/v", "busybox", "true")
    ).stdout.trim();
    const removed = "e".repeat(64);
    await engine.crash();
    const left = [
      `${engine.dir}/exec/shm/${never}`,
      `${engine.dir}/exec/shm/${removed}`,
      `${engine.dir}/exec/images/${removed}/0`,
      `${engine.dataRoot}/volumes/lost/_data`,
    ];
    for (const path of left) {
      mkdirSync(path, { recursive: true });
      expect(Bun.spawnSync(["mount", "-t", "tmpfs", "none", path]).exitCode).toBe(0);
    }
    const mounted = () =>
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .map((line) => line.split(" ")[4]);
    await engine.restart();
    expect(mounted().filter((path) => left.includes(path as string))).toEqual([]);
    expect(left.filter((path) => !path.includes("/volumes/") && existsSync(path))).toEqual([]);
    // What is in use stays.
    expect(mounted()).toContain(`${engine.dataRoot}/volumes/used/_data`);
    expect((await engine.docker("exec", "uses", "sh", "-c", "echo x > /v/x && echo x > /dev/shm/x")).code).toBe(0);
    await engine.docker("rm", "-f", "uses", never);
    expect(mounted().filter((path) => path?.startsWith(`${engine.dir}/`))).toEqual([]);
    await engine.docker("volume", "rm", "lost", "used");
  });

  test("a removal with volumes that was cut off is gone on with; nothing of one that was not is remembered", async () => {
    const volumes = async () => (await engine.docker("volume", "ls", "-q")).stdout.split("\n").filter((name) => name);
    const before = await volumes();
    const make = async (...more: string[]) =>
      (await engine.docker("run", "-d", "-v", "/anonymous", ...more, "busybox", "sleep", "1000")).stdout.trim();
    const [cut, whole, kept] = [await make(), await make(), await make()];
    await engine.docker("rm", "-fv", whole);
    const [left] = (await engine.api("GET", `/containers/${kept}/json`)).body.Mounts;
    await engine.docker("rm", "-f", kept);
    expect((await volumes()).length).toBe(before.length + 2);
    await engine.crash();
    const database = new Database(`${engine.dataRoot}/gantry.db`);
    const rows = () => database.query("SELECT id FROM containers WHERE id IN (?, ?, ?)").all(cut, whole, kept);
    expect(rows()).toEqual([{ id: cut }]);
    database.run("UPDATE containers SET state = json_set(state, '$.status', 'removing') WHERE id = ?", [cut]);
    database.close();
    await engine.restart();
    expect((await engine.docker("inspect", cut)).code).toBe(1);
    await eventually(async () => (await volumes()).length === before.length + 1);
    // Without -v, a volume stays.
    expect((await volumes()).sort()).toEqual([...before, left.Name].sort());
    expect(existsSync(`${engine.dataRoot}/containers/${cut}`)).toBe(false);
    expect(existsSync(`${engine.dir}/exec/containers/${cut}`)).toBe(false);
    await engine.docker("volume", "rm", left.Name);
  });
});
