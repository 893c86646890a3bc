import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { eventually } from "../testing.ts";
import { type CgroupManager, openCgroups } from "./index.ts";

/** The whole of cgroups on a v2 machine; else the tree beside v1, which has all of v2 but limits. */
const ROOT = existsSync("/sys/fs/cgroup/cgroup.procs") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
const hasV2 = existsSync(`${ROOT}/cgroup.controllers`);
const HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB";
const parent = `gantry-test-v2-${process.pid}`;
let next = 0;
const fresh = () => `${parent}/c${++next}`;

describe.skipIf(!hasV2)("v2 on the kernel", () => {
  let cgroups: CgroupManager;
  const children: Bun.Subprocess[] = [];
  const enabled = hasV2 ? readFileSync(`${ROOT}/cgroup.subtree_control`, "utf8").trim().split(" ") : [];
  beforeAll(() => {
    cgroups = openCgroups({ root: ROOT });
  });
  afterAll(async () => {
    for (const child of children) child.kill(9);
    await cgroups.killAll(parent);
    await cgroups.remove(parent);
    expect(existsSync(`${ROOT}/${parent}`)).toBeFalse();
    for (const name of cgroups.controllers)
      if (!enabled.includes(name)) writeFileSync(`${ROOT}/cgroup.subtree_control`, `-${name}`);
  });

  function inside(path: string, script: string) {
    const [procs] = cgroups.find(path).procsFiles;
    const child = Bun.spawn(["/bin/sh", "-c", `echo 0 > ${procs}; ${script}`], { stdout: "pipe" });
    children.push(child);
    return child;
  }

  test("is taken for v2, and says how to be born in it", () => {
    const path = fresh();
    const prepared = cgroups.prepare(path, {});
    expect(cgroups.mode).toBe("v2");
    expect(prepared.directory).toBe(`${ROOT}/${path}`);
    expect(prepared.joinFiles).toEqual([]);
    expect(cgroups.exists(path)).toBeTrue();
  });

  test("devices are refused by the program, until it is replaced", async () => {
    const path = fresh();
    const only = (minor: number) => [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
      { allow: true, type: "c", major: 1, minor, access: "r" },
    ];
    const script = "for f in zero full null; do (: < /dev/$f) 2>/dev/null && echo $f; done";
    cgroups.prepare(path, { devices: only(5) });
    expect(await new Response(inside(path, script).stdout).text()).toBe("zero\nnull\n");
    cgroups.update(path, { devices: only(7) });
    expect(await new Response(inside(path, script).stdout).text()).toBe("full\nnull\n");
    cgroups.update(path, { devices: [{ allow: true }] });
    expect(await new Response(inside(path, script).stdout).text()).toBe("zero\nfull\nnull\n");
  });

  test("freezes, thaws, counts", async () => {
    const path = fresh();
    cgroups.prepare(path, {});
    const child = inside(path, "while :; do :; done");
    await eventually(() => cgroups.pids(path).includes(child.pid));
    await cgroups.freeze(path);
    expect(cgroups.isFrozen(path)).toBeTrue();
    const before = cgroups.stats(path).cpu.usageNs;
    await Bun.sleep(30);
    expect(cgroups.stats(path).cpu.usageNs).toBe(before);
    await cgroups.thaw(path);
    await eventually(() => cgroups.stats(path).cpu.usageNs > before);
  });

  test("a frozen one is killed, and the ones below with it", async () => {
    const path = fresh();
    cgroups.prepare(path, {});
    inside(path, "while :; do sleep 60; done");
    await eventually(() => cgroups.pids(path).length === 2);
    mkdirSync(`${ROOT}/${path}/below`);
    writeFileSync(`${ROOT}/${path}/below/cgroup.procs`, String(cgroups.pids(path)[1]));
    await cgroups.freeze(path);
    await cgroups.killAll(path);
    expect(cgroups.pids(path)).toEqual([]);
    await cgroups.remove(path);
    expect(cgroups.exists(path)).toBeFalse();
  });

  test("one with processes is not prepared again, a leftover is", async () => {
    const path = fresh();
    cgroups.prepare(path, { devices: [{ allow: false, access: "rwm" }] });
    cgroups.prepare(path, {});
    const child = inside(path, "cat /dev/zero | head -c 3 | wc -c; exec sleep 60");
    await eventually(() => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "sleep\n");
    expect(() => cgroups.prepare(path, {})).toThrow("cgroup is not empty: 1 process(es) found");
    cgroups.signalAll(path, 15);
    await child.exited;
    expect(await new Response(child.stdout).text()).toBe("3\n");
  });

  const limit = 4 << 20;
  const hugepages = { hugepageLimits: [{ pageSize: "2MB", limit }] };
  const hasHugetlb =
    hasV2 && readFileSync(`${ROOT}/cgroup.controllers`, "utf8").includes("hugetlb") && existsSync(HUGE_PAGES);

  test.skipIf(!hasHugetlb)("controllers are enabled all the way down", async () => {
    const path = `${parent}/deep/er/c`;
    cgroups.prepare(path, hugepages);
    expect(readFileSync(`${ROOT}/${path}/hugetlb.2MB.max`, "utf8")).toBe(`${limit}\n`);
    expect(readFileSync(`${ROOT}/${path}/hugetlb.2MB.rsvd.max`, "utf8")).toBe(`${limit}\n`);
    expect(() => cgroups.prepare(`${parent}/deep/er/d`, { unified: { "memory.nothing": "1" } })).toThrow();
    expect(cgroups.exists(`${parent}/deep/er/d`)).toBeFalse();
    await cgroups.remove(`${parent}/deep`);
  });

  test.skipIf(!hasHugetlb)("processes in an inner cgroup make way", async () => {
    const inner = `${parent}/inner`;
    mkdirSync(`${ROOT}/${inner}`);
    const child = inside(inner, "exec sleep 60");
    await eventually(() => cgroups.pids(inner).includes(child.pid));
    cgroups.prepare(`${inner}/c`, hugepages);
    expect(readFileSync(`${ROOT}/${inner}/c/hugetlb.2MB.max`, "utf8")).toBe(`${limit}\n`);
    expect(readFileSync(`/proc/${child.pid}/cgroup`, "utf8")).toMatch(/^0::.*\/inner\/gantry-init$/m);
    await cgroups.killAll(inner);
    await cgroups.remove(inner);
  });
});
