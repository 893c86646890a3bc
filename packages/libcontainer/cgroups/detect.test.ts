import { expect, test } from "bun:test";
import { cgroupLayout } from "./detect.ts";

const tmpfs = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755";
const v1 = (id: number, at: string, options: string) =>
  `${id} 31 0:${id} / ${at} rw,relatime shared:9 - cgroup cgroup rw,${options}`;
const unified = (at: string) => `41 31 0:38 / ${at} rw,relatime - cgroup2 cgroup2 rw,nsdelegate`;

test("v2 alone", () => {
  const layout = cgroupLayout(`1 0 8:1 / / rw - ext4 /dev/sda rw\n${unified("/sys/fs/cgroup")}\n`, "/sys/fs/cgroup");
  expect(layout).toEqual({ mode: "v2", hierarchies: [], unified: "/sys/fs/cgroup" });
});

test("v1, each alone, together, and by name", () => {
  const text = [
    tmpfs,
    v1(32, "/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
    v1(33, "/sys/fs/cgroup/memory", "memory,clone_children"),
    v1(34, "/sys/fs/cgroup/systemd", "xattr,release_agent=/lib/agent,name=systemd"),
    v1(35, "/mnt/elsewhere", "pids"),
    v1(36, "/sys/fs/cgroup/with\\040space", "pids"),
    v1(37, "/sys/fs/cgroup/again", "memory"),
  ].join("\n");
  const layout = cgroupLayout(text, "/sys/fs/cgroup");
  expect(layout.mode).toBe("v1");
  expect(layout.hierarchies).toEqual([
    { mountPoint: "/sys/fs/cgroup/cpu,cpuacct", controllers: ["cpu", "cpuacct"] },
    { mountPoint: "/sys/fs/cgroup/memory", controllers: ["memory"] },
    { mountPoint: "/sys/fs/cgroup/systemd", controllers: ["name=systemd"] },
    { mountPoint: "/sys/fs/cgroup/with space", controllers: ["pids"] },
  ]);
});

test("hybrid", () => {
  const text = [tmpfs, v1(32, "/sys/fs/cgroup/pids", "pids"), unified("/sys/fs/cgroup/unified")].join("\n");
  const layout = cgroupLayout(text, "/sys/fs/cgroup");
  expect([layout.mode, layout.unified]).toEqual(["hybrid", "/sys/fs/cgroup/unified"]);
});
