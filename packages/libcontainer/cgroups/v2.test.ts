import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { LinuxResources } from "@gantry/spec";
import { applyV2 } from "./settings-v2.ts";
import { statsV2 } from "./stats-v2.ts";
import { enableControllers } from "./subtree.ts";
import { CgroupsV2 } from "./v2.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/gantry-test-cgroup2-`);
});
afterEach(() => rmSync(root, { recursive: true }));

const put = (file: string, text = "") => writeFileSync(`${root}/${file}`, text);
const get = (file: string) => readFileSync(`${root}/${file}`, "utf8");
const CONTROLLERS = new Set(["cpu", "cpuset", "io", "memory", "pids"]);

/** Sets resources in a fake cgroup that has these files and returns what was written to each. */
function apply(resources: LinuxResources, files: Record<string, string>): Record<string, string> {
  for (const [name, text] of Object.entries(files)) put(name, text);
  applyV2(root, resources, CONTROLLERS);
  return Object.fromEntries(Object.keys(files).map((name) => [name, get(name)]));
}

describe("limits", () => {
  test("memory", () => {
    const files = { "memory.max": "", "memory.swap.max": "", "memory.low": "" };
    const memory = { limit: 100, swap: 300, reservation: 50 };
    expect(apply({ memory }, files)).toEqual({ "memory.max": "100", "memory.swap.max": "200", "memory.low": "50" });
    expect(apply({ memory: { limit: -1 } }, files)).toMatchObject({ "memory.max": "max", "memory.swap.max": "max" });
    expect(apply({ memory: { limit: 70, swap: 70 } }, files)).toMatchObject({ "memory.swap.max": "0" });
    expect(apply({ memory: { swappiness: 3, kernel: 5, disableOOMKiller: true } }, files)).toEqual(files);
  });

  test("without swap in the kernel only a limit of it is an error", () => {
    put("memory.max");
    applyV2(root, { memory: { limit: 100, swap: 100 } }, CONTROLLERS);
    expect(() => applyV2(root, { memory: { limit: 100, swap: 200 } }, CONTROLLERS)).toThrow(/memory\.swap\.max/);
  });

  test("a limit below what is used, where that is to be checked", () => {
    put("memory.max");
    put("memory.current", "500\n");
    const memory = { limit: 400, checkBeforeUpdate: true };
    expect(() => applyV2(root, { memory }, CONTROLLERS)).toThrow("new memory limit is below the current memory usage");
    applyV2(root, { memory: { ...memory, limit: 600 } }, CONTROLLERS);
    expect(get("memory.max")).toBe("600");
  });

  test("cpu", () => {
    const files = { "cpu.weight": "", "cpu.max": "", "cpu.max.burst": "", "cpu.idle": "" };
    expect(apply({ cpu: { shares: 1024, quota: 50000, period: 200000, burst: 7 } }, files)).toEqual({
      "cpu.weight": "100",
      "cpu.max": "50000 200000",
      "cpu.max.burst": "7",
      "cpu.idle": "",
    });
    expect(apply({ cpu: { quota: 50000 } }, files)).toMatchObject({ "cpu.max": "50000 100000" });
    expect(apply({ cpu: { quota: -1 } }, files)).toMatchObject({ "cpu.max": "max 100000" });
    // A period by itself leaves the quota.
    expect(apply({ cpu: { period: 250000 } }, { ...files, "cpu.max": "70 100000" })).toMatchObject({
      "cpu.max": "70 250000",
    });
    expect(apply({ cpu: { idle: 1, shares: 5 } }, files)).toMatchObject({ "cpu.idle": "1", "cpu.weight": "" });
  });

  test("cpuset, pids, huge pages", () => {
    const files = {
      "cpuset.cpus": "",
      "cpuset.mems": "",
      "pids.max": "",
      "hugetlb.2MB.max": "",
      "hugetlb.2MB.rsvd.max": "",
    };
    const resources = {
      cpu: { cpus: "0-1", mems: "0" },
      pids: { limit: 20 },
      hugepageLimits: [{ pageSize: "2MB", limit: 4 }],
    };
    expect(apply(resources, files)).toEqual({
      "cpuset.cpus": "0-1",
      "cpuset.mems": "0",
      "pids.max": "20",
      "hugetlb.2MB.max": "4",
      "hugetlb.2MB.rsvd.max": "4",
    });
    expect(apply({ pids: { limit: -1 } }, { "pids.max": "" })).toEqual({ "pids.max": "max" });
    expect(() => apply({ hugepageLimits: [{ pageSize: "../x", limit: 1 }] }, {})).toThrow("invalid huge page size");
  });

  test("io", () => {
    const device = { major: 8, minor: 16 };
    const blockIO = { weight: 500, throttleWriteIOPSDevice: [{ ...device, rate: 0 }] };
    expect(apply({ blockIO }, { "io.weight": "", "io.max": "" })).toEqual({
      "io.weight": "4950",
      "io.max": "8:16 wiops=max",
    });
    put("io.max");
    expect(apply({ blockIO: { weight: 500 } }, { "io.bfq.weight": "default 100\n" })["io.bfq.weight"]).toStartWith(
      "500",
    );
    expect(apply({ blockIO: { throttleReadBpsDevice: [{ ...device, rate: 9 }] } }, { "io.max": "" })).toEqual({
      "io.max": "8:16 rbps=9",
    });
  });

  test("unified files verbatim, and no others", () => {
    expect(apply({ unified: { "memory.high": "5" } }, { "memory.high": "" })).toEqual({ "memory.high": "5" });
    for (const name of ["../escape.max", "a/b.max", "nodot"])
      expect(() => apply({ unified: { [name]: "1" } }, {})).toThrow("must be a file name (no slashes)");
    expect(() => apply({ unified: { "hugetlb.2MB.max": "1" } }, {})).toThrow('controller "hugetlb" not available');
    expect(() => apply({ unified: { "memory.nothing": "1" } }, {})).toThrow(/failed to write "1" to .*memory\.nothing/);
    expect(existsSync(`${root}/memory.nothing`)).toBeFalse();
  });
});

describe("enabling controllers", () => {
  const level = (path: string, controllers: string, enabled = "") => {
    mkdirSync(`${root}/${path}`, { recursive: true });
    put(`${path}/cgroup.controllers`, controllers);
    put(`${path}/cgroup.subtree_control`, enabled);
    put(`${path}/cgroup.procs`);
  };

  test("in each cgroup from the root down, as far as they are to be had", () => {
    level(".", "cpu io memory");
    level("docker", "cpu memory");
    level("docker/a", "");
    enableControllers(root, "docker/a", new Set(["cpu", "io", "memory"]));
    expect(get("cgroup.subtree_control")).toBe("+cpu +io +memory");
    expect(get("docker/cgroup.subtree_control")).toBe("+cpu +memory");
    expect(get("docker/a/cgroup.subtree_control")).toBe("");
  });

  test("nothing is written where the parent has them", () => {
    level(".", "cpu memory");
    level("docker", "cpu memory", "cpu memory\n");
    enableControllers(root, "docker/a", new Set(["cpu", "memory"]));
    expect(get("cgroup.subtree_control")).toBe("");
  });
});

describe("the manager", () => {
  const programs: [string, boolean][] = [];
  const manager = () => {
    programs.length = 0;
    put("cgroup.controllers", "cpu memory pids\n");
    put("cgroup.subtree_control", "cpu memory pids\n");
    return new CgroupsV2(root, (directory, program) => programs.push([directory, program !== null]));
  };

  test("prepares a cgroup and tells how to join it", () => {
    const cgroups = manager();
    const prepared = cgroups.prepare("/x", { devices: [{ allow: false, access: "rwm" }] });
    expect(prepared).toEqual({
      directories: new Map([["", `${root}/x`]]),
      joinFiles: [],
      procsFiles: [`${root}/x/cgroup.procs`],
      directory: `${root}/x`,
      oom: { file: `${root}/x/memory.events`, eventControl: null },
    });
    expect(programs).toEqual([[`${root}/x`, true]]);
    cgroups.update("x", { devices: [{ allow: true }] });
    expect(programs[1]).toEqual([`${root}/x`, false]);
    expect(cgroups.exists("x")).toBeTrue();
  });

  test("a limit that cannot be set leaves nothing behind", () => {
    const cgroups = manager();
    expect(() => cgroups.prepare("a/b/c", { pids: { limit: 5 } })).toThrow(/pids\.max/);
    expect(existsSync(`${root}/a`)).toBeFalse();
  });

  test("what is not there", async () => {
    const cgroups = manager();
    expect(() => cgroups.find("gone")).toThrow("cgroup gone does not exist");
    expect(() => cgroups.update("gone", {})).toThrow("cgroup gone does not exist");
    expect(cgroups.pids("gone")).toEqual([]);
    await cgroups.killAll("gone");
    await cgroups.remove("gone");
  });

  test("pids of the cgroups below too", () => {
    const cgroups = manager();
    mkdirSync(`${root}/x/y/z`, { recursive: true });
    put("x/cgroup.procs", "1\n0\n");
    put("x/y/cgroup.procs", "22\n");
    put("x/y/z/cgroup.procs", "333\n4444\n");
    expect(cgroups.pids("x")).toEqual([1, 22, 333, 4444]);
  });

  test("freezing waits for the kernel's word", async () => {
    const cgroups = manager();
    mkdirSync(`${root}/x`);
    put("x/cgroup.freeze", "0");
    put("x/cgroup.events", "populated 1\nfrozen 0\n");
    let frozen = false;
    const done = cgroups.freeze("x").then(() => {
      frozen = true;
    });
    await Bun.sleep(10);
    expect([get("x/cgroup.freeze"), frozen]).toEqual(["1", false]);
    put("x/cgroup.events", "populated 1\nfrozen 1\n");
    await done;
    expect(cgroups.isFrozen("x")).toBeTrue();
  });

  test("killing is the kernel's where it can", async () => {
    const cgroups = manager();
    mkdirSync(`${root}/x`);
    put("x/cgroup.procs");
    put("x/cgroup.kill");
    await cgroups.killAll("x");
    expect(get("x/cgroup.kill")).toBe("1");
  });
});

test("statistics", () => {
  put("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\nnr_throttled 6\nthrottled_usec 4\n");
  put("memory.current", "1000\n");
  put("memory.peak", "2000\n");
  put("memory.max", "max\n");
  put("memory.stat", "anon 11\nfile 22\n");
  put("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n");
  put("pids.current", "4\n");
  put("pids.max", "max\n");
  put("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n");
  const stats = statsV2(root);
  expect(stats).toEqual({
    readAt: stats.readAt,
    cpu: {
      usageNs: 5000,
      userNs: 3000,
      systemNs: 2000,
      perCpuNs: [],
      periods: 7,
      throttledPeriods: 6,
      throttledNs: 4000,
    },
    memory: {
      usage: 1000,
      maxUsage: 2000,
      limit: 0x7ffffffffffff000,
      failcnt: 2,
      stats: { anon: 11, file: 22 },
      oomKills: 1,
    },
    pids: { current: 4, limit: 0 },
    blkio: {
      serviceBytes: [
        { major: 8, minor: 0, op: "read", value: 1 },
        { major: 8, minor: 0, op: "write", value: 2 },
      ],
      serviced: [
        { major: 8, minor: 0, op: "read", value: 3 },
        { major: 8, minor: 0, op: "write", value: 4 },
      ],
    },
  });
});

test("a cgroup without controllers counts zero", () => {
  const stats = statsV2(`${root}/none`);
  expect([stats.cpu.usageNs, stats.memory.usage, stats.pids.current]).toEqual([0, 0, 0]);
});
