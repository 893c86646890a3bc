import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import type { LinuxDeviceCgroup, LinuxResources } from "@gantry/spec";
import { eventually } from "../testing.ts";
import { type CgroupManager, openCgroups } from "./index.ts";

const MEMORY = "/sys/fs/cgroup/memory";
const onV1 = existsSync(`${MEMORY}/cgroup.procs`) && existsSync("/sys/fs/cgroup/devices/cgroup.procs");

const parent = `gantry-test-v1-${process.pid}`;
let next = 0;
const fresh = () => `${parent}/c${++next}`;

const DEVICES: LinuxDeviceCgroup[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 8, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 9, access: "rwm" },
  { allow: true, type: "c", major: 136, access: "rwm" },
];

describe.skipIf(!onV1)("v1 on the kernel", () => {
  let cgroups: CgroupManager;
  const children: Bun.Subprocess[] = [];
  beforeAll(() => {
    cgroups = openCgroups();
  });
  afterAll(async () => {
    for (const child of children) child.kill(9);
    await cgroups.killAll(parent);
    await cgroups.remove(parent);
    expect([...new Bun.Glob(`*/${parent}`).scanSync({ cwd: "/sys/fs/cgroup", onlyFiles: false })]).toEqual([]);
  });

  const value = (controller: string, path: string, file: string) =>
    readFileSync(`/sys/fs/cgroup/${controller}/${path}/${file}`, "utf8").trim();

  /** A shell that puts itself into the cgroup as the runtime's init does, then runs the script. */
  function inside(path: string, script: string) {
    const joins = cgroups
      .find(path)
      .joinFiles.map((file) => `echo 0 > ${file}`)
      .join("; ");
    const child = Bun.spawn(["/bin/sh", "-c", `${joins}; ${script}`], { stdout: "pipe", stderr: "pipe" });
    children.push(child);
    return child;
  }

  test("limits are set, changed, and unknown to other cgroups", async () => {
    const path = fresh();
    const resources: LinuxResources = {
      memory: { limit: 64 << 20, swap: 96 << 20, reservation: 32 << 20, swappiness: 10 },
      cpu: { shares: 512, quota: 50_000, period: 100_000, burst: 10_000 },
      pids: { limit: 50 },
    };
    const prepared = cgroups.prepare(path, resources);
    expect(prepared.joinFiles).toContain(`${MEMORY}/${path}/tasks`);
    expect(prepared.procsFiles).toContain(`${MEMORY}/${path}/cgroup.procs`);
    expect(prepared.oom).toEqual({
      file: `${MEMORY}/${path}/memory.oom_control`,
      eventControl: `${MEMORY}/${path}/cgroup.event_control`,
    });
    expect(value("memory", path, "memory.limit_in_bytes")).toBe(String(64 << 20));
    expect(value("memory", path, "memory.memsw.limit_in_bytes")).toBe(String(96 << 20));
    expect(value("memory", path, "memory.soft_limit_in_bytes")).toBe(String(32 << 20));
    expect(value("memory", path, "memory.swappiness")).toBe("10");
    expect(value("cpu", path, "cpu.shares")).toBe("512");
    expect(value("cpu", path, "cpu.cfs_quota_us")).toBe("50000");
    expect(value("cpu", path, "cpu.cfs_burst_us")).toBe("10000");
    expect(value("pids", path, "pids.max")).toBe("50");
    // Not asked for, but a member needs both.
    expect(value("cpuset", path, "cpuset.cpus")).not.toBe("");
    expect(value("cpuset", path, "cpuset.mems")).not.toBe("");

    // Up and down again, past the other limit in each direction.
    cgroups.update(path, { memory: { limit: 200 << 20, swap: 300 << 20 } });
    expect(value("memory", path, "memory.limit_in_bytes")).toBe(String(200 << 20));
    cgroups.update(path, { memory: { limit: 16 << 20, swap: 20 << 20 }, pids: { limit: -1 } });
    expect(value("memory", path, "memory.memsw.limit_in_bytes")).toBe(String(20 << 20));
    expect(value("pids", path, "pids.max")).toBe("max");
    cgroups.update(path, { memory: { limit: -1 } });
    expect(Number(value("memory", path, "memory.memsw.limit_in_bytes"))).toBeGreaterThan(2 ** 60);
    cgroups.update(path, { cpu: { quota: 2_000, period: 5_000, burst: 0 } });
    expect(value("cpu", path, "cpu.cfs_period_us")).toBe("5000");
    cgroups.update(path, { cpu: { quota: -1 } });
    expect(value("cpu", path, "cpu.cfs_quota_us")).toBe("-1");
    await cgroups.remove(path);
    expect(cgroups.exists(path)).toBeFalse();
  });

  test("what the kernel refuses is said, and undone in all hierarchies", () => {
    const path = `${parent}/deep/er/c`;
    const refused: [LinuxResources, RegExp][] = [
      [{ cpu: { shares: 1 } }, /the minimum allowed cpu-shares is 2/],
      [{ memory: { swappiness: 101 } }, /invalid memory swappiness value: 101/],
      [{ memory: { limit: 1 << 30, swap: 1 << 20 } }, /failed to write "1048576" to .*memsw/],
      [{ cpu: { cpus: "0-4095" } }, /failed to write "0-4095" to .*cpuset\.cpus/],
      [{ pids: { limit: 2 ** 60 } }, /pids\.max: .*/],
      [{ unified: { "memory.high": "1" } }, /cannot use unified on cgroup v1/],
      [{ devices: [{ allow: true, type: "z" }] }, /invalid device cgroup rule/],
    ];
    if (!cgroups.controllers.has("hugetlb"))
      refused.push([{ hugepageLimits: [{ pageSize: "2MB", limit: 0 }] }, /cannot set hugetlb limit/]);
    for (const [resources, message] of refused) {
      expect(() => cgroups.prepare(path, resources)).toThrow(message);
      expect(cgroups.exists(path)).toBeFalse();
      expect(existsSync(`/sys/fs/cgroup/cpu/${parent}/deep`)).toBeFalse();
      expect(existsSync(`/sys/fs/cgroup/cpuset/${parent}/deep`)).toBeFalse();
    }
    expect(() => cgroups.prepare("../../etc", {})).toThrow("invalid cgroup path");
  });

  test("a leftover is made anew; one with processes is refused", async () => {
    const path = fresh();
    cgroups.prepare(path, { pids: { limit: 7 } });
    cgroups.prepare(path, {});
    expect(value("pids", path, "pids.max")).toBe("max");
    inside(path, "sleep 60");
    await eventually(() => cgroups.pids(path).length > 0);
    expect(() => cgroups.prepare(path, {})).toThrow(/cgroup is not empty: \d process/);
    expect(cgroups.pids(path)).not.toEqual([]);
    await cgroups.killAll(path);
    await cgroups.remove(path);
  });

  test("devices: as few entries as say it, enforced, and changed without a gap", async () => {
    const path = fresh();
    cgroups.prepare(path, { devices: [...DEVICES, { allow: true, type: "c", major: 1, minor: 5, access: "r" }] });
    expect(value("devices", path, "devices.list").split("\n").sort()).toEqual([
      "b *:* m",
      "c *:* m",
      "c 136:* rwm",
      "c 1:3 rwm",
      "c 1:5 rwm",
      "c 1:8 rwm",
      "c 1:9 rwm",
    ]);
    const open = "for f in zero full null; do (: < /dev/$f) 2>/dev/null && echo $f; done";
    expect(await new Response(inside(path, open).stdout).text()).toBe("zero\nnull\n");
    cgroups.update(path, {
      devices: [...DEVICES.slice(0, 4), { allow: true, type: "c", major: 1, minor: 7, access: "r" }],
    });
    expect(value("devices", path, "devices.list").split("\n").sort()).toEqual([
      "b *:* m",
      "c *:* m",
      "c 1:3 rwm",
      "c 1:7 r",
    ]);
    cgroups.update(path, { devices: [{ allow: true }] });
    expect(value("devices", path, "devices.list")).toBe("a *:* rwm");
    cgroups.update(path, { devices: DEVICES });
    expect(value("devices", path, "devices.list")).not.toContain("a *:*");
    await cgroups.remove(path);
  });

  test("every hierarchy is joined, and a cpuset can be given to running processes", async () => {
    const path = fresh();
    cgroups.prepare(path, {});
    const child = inside(path, "exec sleep 60");
    await eventually(() => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "sleep\n");
    const own = readFileSync(`/proc/${child.pid}/cgroup`, "utf8");
    for (const line of own.trim().split("\n")) if (!line.startsWith("0::")) expect(line).toEndWith(`:/${path}`);
    cgroups.update(path, { cpu: { cpus: "0" } });
    expect(value("cpuset", path, "cpuset.cpus")).toBe("0");
    expect(value("cpuset", path, "cgroup.procs").split("\n").map(Number)).toEqual(cgroups.pids(path));
    // The next one does not take after it.
    const other = fresh();
    cgroups.prepare(other, {});
    expect(value("cpuset", other, "cpuset.cpus")).toBe(value("cpuset", parent, "cpuset.cpus"));
    await cgroups.killAll(path);
    await cgroups.remove(path);
    await cgroups.remove(other);
    expect(existsSync(`/sys/fs/cgroup/cpuset/${path}`)).toBeFalse();
  });

  test("a parent that was removed behind our back", async () => {
    const nested = `${parent}/nested`;
    for (const round of [1, 2]) {
      cgroups.prepare(`${nested}/c${round}`, {});
      expect(value("cpuset", `${nested}/c${round}`, "cpuset.mems")).not.toBe("");
      await openCgroups().remove(nested);
    }
  });

  test("statistics of work done", async () => {
    const path = fresh();
    cgroups.prepare(path, { pids: { limit: 20 }, memory: { limit: 64 << 20 } });
    const child = inside(path, "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 60 & wait");
    // memory.stat is brought up to date by the kernel some time later.
    await eventually(() => {
      const { pids, memory } = cgroups.stats(path);
      return pids.current === 2 && (memory.stats.rss ?? 0) > 0;
    });
    const stats = cgroups.stats(path);
    expect(stats.cpu.usageNs).toBeGreaterThan(1_000_000);
    expect(stats.cpu.userNs + stats.cpu.systemNs).toBeGreaterThan(0);
    expect(stats.cpu.perCpuNs.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(1_000_000);
    expect(stats.memory.usage).toBeGreaterThan(0);
    expect(stats.memory.maxUsage).toBeGreaterThanOrEqual(stats.memory.usage);
    expect(stats.memory.limit).toBe(64 << 20);
    expect(stats.memory.stats.rss).toBeGreaterThan(0);
    expect(stats.memory.oomKills).toBe(0);
    expect(stats.pids.limit).toBe(20);
    expect(cgroups.pids(path)).toContain(child.pid);
    await cgroups.killAll(path);
    await cgroups.remove(path);
  });

  test("the OOM killer's work is counted where the watch points", async () => {
    const path = fresh();
    const { oom } = cgroups.prepare(path, { memory: { limit: 8 << 20, swap: 8 << 20 } });
    const child = inside(path, "exec head -c 64m /dev/zero | tail -c 64m > /dev/null");
    await child.exited;
    expect(cgroups.stats(path).memory.oomKills).toBeGreaterThan(0);
    expect(readFileSync(oom!.file, "utf8")).toMatch(/^oom_kill [1-9]/m);
    await cgroups.remove(path);
  });

  test("freezing stops, thawing lets go on", async () => {
    const path = fresh();
    cgroups.prepare(path, {});
    inside(path, "while :; do :; done");
    await eventually(() => cgroups.pids(path).length > 0);
    await cgroups.freeze(path);
    expect(cgroups.isFrozen(path)).toBeTrue();
    const before = cgroups.stats(path).cpu.usageNs;
    await Bun.sleep(30);
    expect(cgroups.stats(path).cpu.usageNs).toBe(before);
    await cgroups.thaw(path);
    expect(cgroups.isFrozen(path)).toBeFalse();
    await eventually(() => cgroups.stats(path).cpu.usageNs > before);
    await cgroups.freeze(path);
    await cgroups.killAll(path);
    expect(cgroups.pids(path)).toEqual([]);
    await cgroups.remove(path);
  });

  test("killAll outruns forks, remove takes cgroups below along", async () => {
    const path = fresh();
    cgroups.prepare(path, { pids: { limit: 40 } });
    inside(path, "f() { while :; do (sleep 0.01 &) ; done; }; f & f & wait");
    await eventually(() => cgroups.pids(path).length > 3);
    const below = `${MEMORY}/${path}/a/b`;
    mkdirSync(below, { recursive: true });
    writeFileSync(`${below}/cgroup.procs`, String(cgroups.pids(path)[0]));
    await cgroups.killAll(path);
    expect(cgroups.pids(path)).toEqual([]);
    await cgroups.remove(path);
    expect(existsSync(`${MEMORY}/${path}`)).toBeFalse();
  });

  test("signals reach every process", async () => {
    const path = fresh();
    cgroups.prepare(path, {});
    const child = inside(path, "trap 'echo term; exit 3' TERM; sleep 60 & wait");
    // A fork that is not sleep yet still has the shell's handler, and forgets what it caught.
    const sleeps = (pid: number) => readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n";
    await eventually(() => cgroups.pids(path).some(sleeps));
    cgroups.signalAll(path, 15);
    expect(await child.exited).toBe(3);
    await eventually(() => cgroups.pids(path).length === 0);
    await cgroups.remove(path);
  });

  test("another's directory below the parent survives an undo", () => {
    const shared = `${parent}/shared`;
    cgroups.prepare(`${shared}/one`, {});
    expect(() => cgroups.prepare(`${shared}/two`, { cpu: { shares: 1 } })).toThrow();
    expect(cgroups.exists(`${shared}/one`)).toBeTrue();
    expect(cgroups.exists(`${shared}/two`)).toBeFalse();
    rmdirSync(`/sys/fs/cgroup/pids/${shared}/one`);
  });
});
