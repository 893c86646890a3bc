import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Bench,
  bytesOf,
  canRun,
  demultiplex,
  dockerSpec,
  eventually,
  logLines,
  shimPath,
  testCgroup,
  testCgroupDirectory,
} from "../testing.ts";

const both = { stdin: false, stdout: true, stderr: true };
const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n").length;
const descriptors = (pid: number | string) => readdirSync(`/proc/${pid}/fd`).length;
const parentOf = (pid: number) => Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);

describe.skipIf(!canRun)("what outlives the daemon", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  test("kill -9 of the creating process: no line is lost, attach and exec work, the exit is told", async () => {
    const base = join(bench.root, "survivor");
    for (const name of ["upper", "work"]) mkdirSync(join(base, name), { recursive: true });
    const request = {
      id: "survivor",
      spec: dockerSpec([
        "sh",
        "-c",
        "i=0; while [ ! -e /done ]; do i=$((i+1)); echo line $i; usleep 2000; done; exit 5",
      ]),
      rootfs: { type: "overlay", lower: [bench.lower], upper: join(base, "upper"), work: join(base, "work") },
      stateDir: join(base, "state"),
      exitFile: join(base, "exit.json"),
      terminal: false,
      openStdin: false,
      stdinOnce: false,
      log: { path: join(base, "log"), maxSize: 0, maxFile: 1 },
    };
    request.spec.linux!.cgroupsPath = `${testCgroup}/survivor`;
    writeFileSync(join(base, "request.json"), JSON.stringify(request));
    const script = `
      import { openRuntime } from ${JSON.stringify(new URL("../index.ts", import.meta.url).pathname)};
      const task = await openRuntime({ shimPath: ${JSON.stringify(shimPath)} })
        .create(JSON.parse(require("node:fs").readFileSync(${JSON.stringify(join(base, "request.json"))}, "utf8")));
      await task.start();
      console.log("up");
      setInterval(() => {}, 1000);`;
    writeFileSync(join(base, "creator.ts"), script);
    const creator = Bun.spawn([process.execPath, join(base, "creator.ts")], { stdout: "pipe" });
    await creator.stdout.getReader().read();
    creator.kill(9);
    await creator.exited;

    const task = (await bench.runtime.find("survivor", request.stateDir))!;
    // So that it ends with the others where this fails on the way.
    bench.boxes.push({
      task,
      stateDir: request.stateDir,
      logPath: request.log.path,
      exitFile: request.exitFile,
      upper: join(base, "upper"),
    });
    expect(await task.status()).toBe("running");
    const stream = await task.attach(both);
    // Something comes through it before the container is told to end.
    const [begin, output] = stream.output.tee();
    await begin.getReader().read();
    const exec = await task.exec({
      id: "e",
      process: { args: ["touch", "/done"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
      openStdin: false,
    });
    await exec.start();
    expect((await exec.wait()).exitCode).toBe(0);
    const { stdout } = demultiplex(await bytesOf(output));
    expect((await task.wait()).exitCode).toBe(5);
    const lines = logLines(request.log.path).map((one) => one.log);
    expect(lines).toEqual(Array.from({ length: lines.length }, (_, i) => `line ${i + 1}\n`));
    expect(stdout.slice(stdout.lastIndexOf("line"))).toBe(lines.at(-1)!);
    await task.delete();
    expect(existsSync(request.stateDir)).toBe(false);
    expect(await bench.runtime.find("survivor", request.stateDir)).toBeNull();
  });

  test("an exit that came while nobody looked is found", async () => {
    const { task, stateDir } = await bench.create(dockerSpec(["sh", "-c", "exit 6"]));
    await task.start();
    await task.wait();
    const found = (await bench.runtime.find(task.id, stateDir))!;
    expect(await found.status()).toBe("stopped");
    expect((await found.wait()).exitCode).toBe(6);
  });

  test("a container whose shim was killed is stopped, with nothing left running", async () => {
    const { task, stateDir } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    process.kill(parentOf(task.pid), 9);
    expect((await task.wait()).exitCode).toBe(137);
    const found = (await bench.runtime.find(task.id, stateDir))!;
    expect(await found.status()).toBe("stopped");
    expect(await found.pids()).toEqual([]);
    await found.delete();
    expect(existsSync(stateDir)).toBe(false);
  });

  test("whose shim was killed has not ended as it did the time before", async () => {
    const { task, exitFile } = await bench.create(dockerSpec(["sh", "-c", "exit 3"]));
    await task.start();
    expect((await task.wait()).exitCode).toBe(3);
    await task.delete();
    expect(existsSync(exitFile)).toBe(true);
    const again = await bench.create(dockerSpec(["sleep", "100"]), { exitFile });
    await again.task.start();
    process.kill(parentOf(again.task.pid), 9);
    expect(await again.task.wait()).toMatchObject({ exitCode: 137, signal: 9 });
  });

  test("a shim that is stopped holds up nobody who knows the container", async () => {
    const { task, stateDir } = await bench.create(dockerSpec(["sh", "-c", "exit 4"]));
    const shim = parentOf(task.pid);
    process.kill(shim, "SIGSTOP");
    const began = performance.now();
    const found = (await bench.runtime.find(task.id, stateDir, task.pid))!;
    expect(await found.status()).toBe("running");
    expect(found.pid).toBe(task.pid);
    expect(performance.now() - began).toBeLessThan(30_000);
    const told = found.start().then(() => found.wait());
    await Bun.sleep(50);
    process.kill(shim, "SIGCONT");
    expect((await told).exitCode).toBe(4);
    expect(await found.status()).toBe("stopped");
    await found.delete();
  });

  test("a shim that is held up in the middle of its work loses no line", async () => {
    const { task, logPath } = await bench.create(dockerSpec(["seq", "1", "1000000"]));
    const shim = parentOf(task.pid);
    await task.start();
    const ended = task.wait();
    let over = false;
    void ended.then(() => {
      over = true;
    });
    // Longer than it keeps its buffers when it has nothing to do.
    for (let i = 0; i < 12 && !over; i++) {
      process.kill(shim, "SIGSTOP");
      await Bun.sleep(320);
      process.kill(shim, "SIGCONT");
      await Bun.sleep(Math.random() * 20);
    }
    await ended;
    const lines = readFileSync(logPath, "latin1").split("\n").length - 1;
    expect(lines).toBe(1_000_000);
    await task.delete();
  });

  test("debris is no task", async () => {
    const debris = join(bench.root, "debris");
    mkdirSync(debris);
    expect(await bench.runtime.find("debris", debris)).toBeNull();
    writeFileSync(join(debris, "task.json"), "{");
    expect(await bench.runtime.find("debris", debris)).toBeNull();
  });

  test("no descriptor, mount, process or cgroup is left; an idle shim is small", async () => {
    await bench.run(dockerSpec(["true"]));
    const before = [descriptors("self"), mounts()];
    for (let i = 0; i < 5; i++) await bench.run(dockerSpec(["sh", "-c", "echo hello"]));
    // What closed only now was there before: less is no leak.
    await eventually(() => descriptors("self") <= before[0]! && mounts() <= before[1]!);

    const { task } = await bench.create(dockerSpec(["sh", "-c", "seq 1 20000; sleep 100"]));
    await task.start();
    const shim = parentOf(task.pid);
    await Bun.sleep(800);
    for (let i = 0; i < 5; i++) {
      const exec = await task.exec({
        id: `e${i}`,
        process: { args: ["echo", "x"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
        openStdin: true,
      });
      const output = bytesOf((await exec.attach(both)).output);
      await exec.start();
      await exec.wait();
      await output;
    }
    const rss = () => Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${shim}/status`, "utf8"))![1]);
    await eventually(() => descriptors(shim) <= 12 && rss() < 1024);
    console.log(`idle shim: ${rss()} KiB resident`);
    await task.kill(9);
    await task.wait();
    await task.delete();
    expect(existsSync(`${testCgroupDirectory}/${task.id}`)).toBe(false);
    await eventually(() => !existsSync(`/proc/${shim}`));
  });

  test("a running task is not deleted", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    await expect(task.delete()).rejects.toThrow("cannot delete running task");
    await task.kill(9);
    await task.wait();
  });

  test("long state directories", async () => {
    const stateDir = join(bench.root, "x".repeat(120), "y".repeat(120), "state");
    const { exitCode } = await bench.run(dockerSpec(["true"]), { stateDir });
    expect(exitCode).toBe(0);
  });

  test("a created task can be killed and deleted without a start", async () => {
    const { task } = await bench.create(dockerSpec(["true"]));
    expect(await task.status()).toBe("created");
    await task.kill(9);
    expect((await task.wait()).exitCode).toBe(137);
    await task.delete();
  });
});
