import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import type { CgroupManager, PreparedCgroup } from "../cgroups/index.ts";
import { Bench, canRun, collect, dockerSpec, shimPath } from "../testing.ts";
import { openRuntime } from "./runtime.ts";

const unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) => existsSync(`${path}/cgroup.controllers`));
const controller = unified && readFileSync(`${unified}/cgroup.controllers`, "utf8").trim().split(" ")[0];

/** A v2 tree of the kernel's, as far as starting processes in it goes. */
describe.skipIf(!canRun || !unified || !controller)("processes born in a cgroup of v2", () => {
  const top = `${unified}/gantry-test-v2-${process.pid}`;
  const made: string[] = [];
  const enabled = unified && readFileSync(`${unified}/cgroup.subtree_control`, "utf8").includes(controller!);
  let bench: Bench;

  function prepare(path: string): PreparedCgroup {
    const directory = `${top}/${path.split("/").at(-1)}`;
    mkdirSync(directory);
    made.unshift(directory);
    const procsFiles = [`${directory}/cgroup.procs`];
    return { directories: new Map([["", directory]]), joinFiles: [], procsFiles, directory, oom: null };
  }

  beforeAll(() => {
    mkdirSync(top);
    if (!enabled) writeFileSync(`${unified}/cgroup.subtree_control`, `+${controller}`);
    writeFileSync(`${top}/cgroup.subtree_control`, `+${controller}`);
    const manager = {
      mode: "v2",
      prepare,
      pids: () => [],
      isFrozen: () => false,
      killAll: async () => {},
      remove: async () => {},
    } as unknown as CgroupManager;
    bench = new Bench(openRuntime({ shimPath, cgroups: manager }));
  });

  afterAll(async () => {
    await bench.close();
    for (const directory of [...made, top]) rmdirSync(directory);
    if (!enabled) writeFileSync(`${unified}/cgroup.subtree_control`, `-${controller}`);
  });

  test("init, and execs, also when the container has handed its controllers down", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const own = `${top}/${task.id}`;
    const where = (pid: number) => /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))![1]!;
    const path = where(task.pid);
    expect(own.endsWith(path)).toBe(true);
    const execIn = async (id: string) => {
      const exec = await task.exec({
        id,
        process: { args: ["cat", "/proc/self/cgroup"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
        openStdin: false,
      });
      const output = collect(await exec.attach({ stdin: false, stdout: true, stderr: true }));
      await exec.start();
      expect((await exec.wait()).exitCode).toBe(0);
      return /^0::(.*)$/m.exec((await output).stdout)![1];
    };
    expect(await execIn("before")).toBe("/");
    mkdirSync(`${own}/inner`);
    made.unshift(`${own}/inner`);
    writeFileSync(`${own}/inner/cgroup.procs`, String(task.pid));
    writeFileSync(`${own}/cgroup.subtree_control`, `+${controller}`);
    expect(await execIn("after")).toBe("/inner");
    await task.kill(9);
    await task.wait();
  });
});
