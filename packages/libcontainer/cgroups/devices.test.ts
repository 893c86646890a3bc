import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import type { LinuxDeviceCgroup } from "@gantry/spec";
import { close, O, open } from "@gantry/sys";
import { devicePrograms, setDeviceProgram } from "./bpf.ts";
import { devicePolicy, describe as line } from "./devices.ts";
import { compileDevicePolicy } from "./devices-ebpf.ts";

const denyAll = { allow: false, access: "rwm" };
const allow = (type: string, major?: number, minor?: number, access = "rwm"): LinuxDeviceCgroup => ({
  allow: true,
  type,
  access,
  ...(major === undefined ? {} : { major }),
  ...(minor === undefined ? {} : { minor }),
});
const deny = (...args: Parameters<typeof allow>) => ({ ...allow(...args), allow: false });
const lines = (rules: LinuxDeviceCgroup[]) => {
  const policy = devicePolicy(rules);
  return [policy.allowByDefault ? "allow" : "deny", ...policy.exceptions.map(line)];
};

describe("what rules come to", () => {
  test.each<[LinuxDeviceCgroup[], string[]]>([
    [[denyAll], ["deny"]],
    [[denyAll, { allow: true }], ["allow"]],
    [[{ allow: true, type: "a", access: "mwr" }], ["allow"]],
    [[allow("c", 1, 3)], ["deny", "c 1:3 rwm"]],
    [
      [denyAll, allow("c", 1, 3, "r"), allow("c", 1, 3, "wm")],
      ["deny", "c 1:3 rwm"],
    ],
    [
      [denyAll, allow("c", 1, 3, "m"), allow("c", undefined, undefined, "m")],
      ["deny", "c *:* m"],
    ],
    [
      [denyAll, allow("c", undefined, undefined, "m"), allow("c", 1, 3, "rwm")],
      ["deny", "c *:* m", "c 1:3 rwm"],
    ],
    [
      [denyAll, allow("c", 1), allow("c", 1, 3)],
      ["deny", "c 1:* rwm"],
    ],
    [
      [denyAll, allow("a", -1, -1, "m")],
      ["deny", "b *:* m", "c *:* m"],
    ],
    [
      [denyAll, allow("c", 1, 3), deny("c", 1, 3, "w")],
      ["deny", "c 1:3 rm"],
    ],
    [[denyAll, allow("c", 1, 3), allow("c", 1, 5), deny("c", 1)], ["deny"]],
    [[denyAll, deny("c", 10, 229)], ["deny"]],
    [
      [{ allow: true }, deny("b", 8), deny("c", 1, 1, "w")],
      ["allow", "b 8:* rwm", "c 1:1 w"],
    ],
    [
      [{ allow: true }, deny("b", 8, 1), allow("b", 8, 1, "r")],
      ["allow", "b 8:1 wm"],
    ],
  ])("%j", (rules, expected) => {
    expect(lines(rules)).toEqual(expected);
  });

  test("nonsense is refused, and what the kernel cannot hold", () => {
    expect(() => lines([{ allow: true, type: "x" }])).toThrow('type "x"');
    expect(() => lines([{ allow: true, type: "c", access: "rx" }])).toThrow('access "rx"');
    expect(() => lines([{ allow: true, type: "c", major: 1.5 }])).toThrow("major 1.5");
    expect(() => lines([{ allow: true, type: "c", major: -7 }])).toThrow("major -7");
    expect(() => lines([denyAll, allow("c", 1), deny("c", 1, 3)])).toThrow(
      "cannot be taken out of the wider c 1:* rwm",
    );
  });
});

const ROOT = existsSync("/sys/fs/cgroup/cgroup.procs") ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
const tree = `${ROOT}/gantry-test-devices-${process.pid}`;
const hasUnified = existsSync(`${ROOT}/cgroup.procs`);

/** Opens device files in a process inside the cgroup; the errno name, or "ok", of each open. */
const opener = `
  const { openSync, closeSync, writeFileSync } = require("node:fs");
  writeFileSync(process.argv[1] + "/cgroup.procs", "0");
  const results = {};
  for (const one of process.argv.slice(2)) {
    const [file, mode] = one.split("=");
    try { closeSync(openSync(file, mode)); results[one] = "ok"; } catch (error) { results[one] = error.code; }
  }
  process.stdout.write(JSON.stringify(results) + "\\n", () => process.exit(0));
`;

function opens(...files: string[]): Record<string, string> {
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", opener, tree, ...files]);
  const text = stdout.toString();
  if (!text) throw new Error(stderr.toString());
  return JSON.parse(text);
}

const program = (rules: LinuxDeviceCgroup[]) => compileDevicePolicy(devicePolicy(rules));
const count = () => {
  const fd = open(tree, O.RDONLY | O.DIRECTORY);
  try {
    return devicePrograms(fd).length;
  } finally {
    close(fd);
  }
};

describe.skipIf(!hasUnified)("the eBPF program on the kernel", () => {
  beforeAll(() => mkdirSync(tree));
  afterAll(() => rmdirSync(tree));

  // What Bun itself opens at its start.
  const base = [denyAll, allow("c", 1, 9), allow("c", 1, 8), allow("c", 1, 3)];

  test("allows what the policy allows, and is replaced in one step", () => {
    setDeviceProgram(tree, program([...base, allow("c", 1, 5, "r")]));
    expect(count()).toBe(1);
    expect(opens("/dev/null=r+", "/dev/zero=r", "/dev/zero=r+", "/dev/full=r", "/dev/kmsg=r")).toEqual({
      "/dev/null=r+": "ok",
      "/dev/zero=r": "ok",
      "/dev/zero=r+": "EPERM",
      "/dev/full=r": "EPERM",
      "/dev/kmsg=r": "EPERM",
    });
    setDeviceProgram(tree, program([...base, allow("c", 1, 7)]));
    expect(count()).toBe(1);
    expect(opens("/dev/zero=r", "/dev/full=r")).toEqual({ "/dev/zero=r": "EPERM", "/dev/full=r": "ok" });
  });

  test("denies exceptions where everything else is allowed", () => {
    setDeviceProgram(tree, program([{ allow: true }, deny("c", 1, 7, "w"), deny("c", 1, 11)]));
    expect(opens("/dev/zero=r+", "/dev/full=r", "/dev/full=r+", "/dev/kmsg=r")).toEqual({
      "/dev/zero=r+": "ok",
      "/dev/full=r": "ok",
      "/dev/full=r+": "EPERM",
      "/dev/kmsg=r": "EPERM",
    });
  });

  test("wildcards, large numbers and many rules pass the verifier", () => {
    const many = Array.from({ length: 400 }, (_, minor) => allow("b", 4095, 0xfffff - minor, "rm"));
    setDeviceProgram(tree, program([...base, allow("c", 0xffffffff, 0x80000000), allow("c", 136), ...many]));
    expect(opens("/dev/null=r", "/dev/zero=r")).toEqual({ "/dev/null=r": "ok", "/dev/zero=r": "EPERM" });
  });

  test("null takes it away", () => {
    setDeviceProgram(tree, null);
    expect(count()).toBe(0);
    expect(opens("/dev/zero=r+")).toEqual({ "/dev/zero=r+": "ok" });
  });

  test("a program the verifier refuses says why", () => {
    const broken = new Uint8Array(8);
    broken[0] = 0x95;
    expect(() => setDeviceProgram(tree, broken)).toThrow(/R0 !read_ok/);
    expect(count()).toBe(0);
  });
});
