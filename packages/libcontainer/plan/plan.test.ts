import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import type { RuntimeSpec } from "@gantry/spec";
import { close, memfd, writeAll } from "@gantry/sys";
import { dockerSpec, shimPath } from "../testing.ts";
import { compilePlan } from "./compile.ts";
import { allDevices, deviceMode } from "./devices.ts";
import { PLAN_MAGIC, PlanWriter, Rec, Step } from "./format.ts";
import { planNamespaces } from "./namespaces.ts";
import { Propagation, parseMountOptions } from "./options.ts";
import { cpuMask, unknownCapabilities, writeProcess } from "./process.ts";
import { propagationFlags } from "./rootfs.ts";
import { sysctlPath, sysctlSettings } from "./sysctl.ts";

interface Found {
  kind: number;
  body: Uint8Array;
}

/** Takes records apart again, as the shim does. */
function records(bytes: Uint8Array): Found[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Found[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    found.push({ kind: view.getUint16(at, true), body: bytes.subarray(at + 8, at + 8 + length) });
    at += 8 + length;
  }
  return found;
}

function compile(spec: RuntimeSpec, change: Partial<Parameters<typeof compilePlan>[0]> = {}): Uint8Array {
  return compilePlan({
    id: "one",
    spec,
    rootfs: { type: "overlay", lower: ["/lower/b", "/lower/a"], upper: "/upper", work: "/work" },
    mountPoint: "/state/rootfs",
    bundle: "/state",
    exitFile: "/exit",
    terminal: false,
    openStdin: false,
    stdinOnce: false,
    log: null,
    cgroup: null,
    makeCwd: true,
    ...change,
  }).slice();
}

const steps = (plan: Uint8Array) => records(records(plan.subarray(4)).find((one) => one.kind === Rec.rootfs)!.body);

describe("the plan's format", () => {
  test("numbers, strings, lists and nested records", () => {
    const bytes = new PlanWriter(4)
      .record(7, (body) =>
        body
          .u16(1)
          .u32(-1)
          .string("ä")
          .list(["x", ""])
          .record(8, (inner) => inner.u64(2n ** 63n)),
      )
      .bytes();
    const [outer] = records(bytes);
    expect(outer!.kind).toBe(7);
    expect([...outer!.body.subarray(0, 13)]).toEqual([1, 0, 255, 255, 255, 255, 2, 0, 0, 0, 0xc3, 0xa4, 0]);
    const [inner] = records(outer!.body.subarray(28));
    expect([inner!.kind, inner!.body[7]]).toEqual([8, 128]);
  });

  test("a NUL inside a string is refused", () => {
    expect(() => new PlanWriter().string("a\0b")).toThrow("NUL");
  });

  test("begins with its magic; the steps come in the order in which they must be done", () => {
    const plan = compile(
      dockerSpec(["true"], (spec) => {
        spec.root = { path: "", readonly: true };
        spec.linux!.sysctl = { "net.ipv4.ip_forward": "1" };
        spec.hooks = { createRuntime: [{ path: "/hook" }] };
      }),
      { terminal: true },
    );
    expect(new DataView(plan.buffer, plan.byteOffset).getUint32(0, true)).toBe(PLAN_MAGIC);
    const order = steps(plan).map((one) => one.kind);
    const at = (kind: number) => order.indexOf(kind);
    expect(at(Step.propagation)).toBe(0);
    for (const [before, after] of [
      [Step.sysctl, Step.rootOverlay],
      [Step.rootOverlay, Step.mount],
      [Step.mount, Step.device],
      [Step.device, Step.console],
      [Step.console, Step.hooksRuntime],
      [Step.hooksRuntime, Step.readonly],
      [Step.readonly, Step.mask],
      [Step.mask, Step.rootReadonly],
      [Step.rootReadonly, Step.pivot],
      [Step.pivot, Step.hostname],
    ] as const)
      expect(at(before)).toBeLessThan(at(after));
  });

  test("pure: the same description gives the same bytes", () => {
    expect(compile(dockerSpec(["true"]))).toEqual(compile(dockerSpec(["true"])));
  });
});

describe("mount options", () => {
  test("sorted into attributes, propagation and what the file system is told", () => {
    expect(
      parseMountOptions(["ro", "nosuid", "rbind", "rslave", "rro", "size=1m", "relatime", "tmpcopyup"]),
    ).toMatchObject({
      set: 3,
      clear: 0x70,
      allSet: 1,
      bind: true,
      recursive: true,
      propagation: Propagation.slave,
      propagationRecursive: true,
      copyUp: true,
      data: ["size=1m"],
    });
  });

  test("the last of two contradicting options wins", () => {
    expect(parseMountOptions(["ro", "rw"])).toMatchObject({ set: 0, clear: 1 });
    expect(parseMountOptions(["rw", "ro"])).toMatchObject({ set: 1, clear: 0 });
    expect(parseMountOptions(["noatime", "strictatime"])).toMatchObject({ set: 0x20, clear: 0x70 });
  });

  test("propagation by name", () => {
    expect(propagationFlags("rshared")).toBe(Propagation.shared | Propagation.recursive);
    expect(() => propagationFlags("recursive")).toThrow("invalid rootfs propagation");
  });
});

describe("what is refused", () => {
  const linux = { namespaces: [{ type: "mount" }, { type: "network" }] } as RuntimeSpec["linux"];

  test("sysctls of the host", () => {
    expect(sysctlPath("net.ipv4.conf.eth0/100.forwarding")).toBe("net/ipv4/conf/eth0.100/forwarding");
    expect(sysctlPath("net/ipv4/conf/eth0.100/forwarding")).toBe("net/ipv4/conf/eth0.100/forwarding");
    expect(() => sysctlPath("net/../kernel/core_pattern")).toThrow("invalid sysctl");
    expect(sysctlSettings({ ...linux, sysctl: { "net.core.somaxconn": "5" } })).toEqual([["net/core/somaxconn", "5"]]);
    expect(() => sysctlSettings({ ...linux, sysctl: { "kernel.core_pattern": "|x" } })).toThrow("not in a separate");
    expect(() => sysctlSettings({ ...linux, sysctl: { "kernel.shmmax": "1" } })).toThrow("host's ipc namespace");
    expect(() => sysctlSettings({ ...linux, sysctl: { "kernel.hostname": "x" } })).toThrow("hostname");
  });

  test("namespaces that contradict themselves", () => {
    const plan = (change: Partial<NonNullable<RuntimeSpec["linux"]>>) =>
      planNamespaces({ ociVersion: "1.2.0", linux: { ...linux, ...change } });
    expect(() => plan({ namespaces: [{ type: "pid" }] })).toThrow("mount namespace");
    expect(() => plan({ namespaces: [{ type: "mount" }, { type: "mount" }] })).toThrow("duplicated ns mount");
    expect(() => plan({ namespaces: [{ type: "mount" }, { type: "user" }] })).toThrow("no user mappings");
    expect(() => plan({ uidMappings: [{ containerID: 0, hostID: 1, size: 1 }] })).toThrow("isn't enabled");
    expect(() => plan({ namespaces: [{ type: "moon" as never }] })).toThrow("does not exist");
    const joined = plan({
      namespaces: [{ type: "mount" }, { type: "user", path: "/u" }, { type: "network", path: "/n" }],
    });
    expect(joined.joins.map((one) => one.type)).toEqual(["network", "user"]);
  });

  test("processes without sense", () => {
    const write = (change: object) =>
      writeProcess(new PlanWriter(), { args: ["x"], cwd: "/", user: { uid: 0, gid: 0 }, ...change });
    expect(() => write({ args: [] })).toThrow("no command");
    expect(() => write({ cwd: "tmp" })).toThrow("absolute");
    expect(() => write({ user: { uid: -1, gid: 0 } })).toThrow("invalid uid");
    expect(() => write({ rlimits: [{ type: "RLIMIT_MOON", soft: 1, hard: 1 }] })).toThrow("RLIMIT_MOON");
    expect(() => write({ rlimits: [{ type: "RLIMIT_CORE", soft: 2, hard: 1 }] })).toThrow("soft limit");
    expect(() => write({ args: ["a\0b"] })).toThrow("NUL");
  });

  test("capabilities that nobody knows are told of, and left out", () => {
    const process = { args: ["x"], cwd: "/", user: { uid: 0, gid: 0 } };
    const bytes = (bounding: string[]) => {
      const plan = new PlanWriter();
      writeProcess(plan, { ...process, capabilities: { bounding } });
      return plan.bytes();
    };
    expect(bytes(["CAP_MOON", "CAP_CHOWN"])).toEqual(bytes(["CAP_CHOWN"]));
    const capabilities = { bounding: ["CAP_MOON", "CAP_CHOWN"], permitted: ["CAP_MOON"] };
    expect(unknownCapabilities({ ...process, capabilities })).toEqual(["CAP_MOON"]);
  });

  test("mounts without sense", () => {
    const withMount = (mount: object) => () =>
      compile(dockerSpec(["true"], (spec) => spec.mounts!.push({ destination: "/x", ...mount })));
    expect(withMount({ type: "bind", source: "relative" })).toThrow("mount path must be absolute");
    expect(withMount({})).toThrow("has no type");
    expect(withMount({ type: "bind", source: "/a", options: ["bind", "idmap"] })).toThrow("uidMappings");
  });
});

test("devices: defaults, overridden by path", () => {
  const devices = allDevices([{ type: "b", path: "/dev/null", major: 8, minor: 0, fileMode: 0o600 }]);
  expect(devices.length).toBe(6);
  expect(deviceMode(devices[0]!)).toBe(0o060600);
  expect(() => deviceMode({ type: "x", path: "/dev/x" })).toThrow("invalid device type");
});

test("CPU lists", () => {
  expect([...cpuMask("0-2,9").subarray(0, 3)]).toEqual([7, 2, 0]);
  for (const bad of ["", "a", "3-1", "5000"]) expect(() => cpuMask(bad)).toThrow("invalid CPU list");
});

describe.skipIf(!existsSync(shimPath))("the shim refuses what is no plan, and does nothing", () => {
  /** Exit code and words of a shim that is given these bytes. */
  function offer(bytes: Uint8Array): { code: number; text: string } {
    const fd = memfd("plan", 1);
    try {
      writeAll(fd, bytes);
      const result = Bun.spawnSync({ cmd: [shimPath], stdio: ["ignore", "ignore", "pipe", fd], timeout: 30_000 });
      return { code: result.exitCode, text: result.stderr!.toString() };
    } finally {
      close(fd);
    }
  }
  const refused = { code: 125, text: "gantry-shim: no valid plan; this program is started by gantry\n" };
  const plan = compile(dockerSpec(["true"]));
  const kinds = records(plan.subarray(4));
  // what comes before the command line is no whole plan
  const whole =
    4 +
    kinds
      .slice(
        0,
        kinds.findIndex((one) => one.kind === Rec.args),
      )
      .reduce((sum, one) => sum + 8 + one.body.length, 0);

  test("nothing, noise, another version", () => {
    expect(offer(new Uint8Array(0))).toEqual(refused);
    expect(offer(new Uint8Array(1000).fill(0xa5))).toEqual(refused);
    expect(offer(Uint8Array.from(plan, (byte, i) => (i === 3 ? byte + 1 : byte)))).toEqual(refused);
  });

  test("one that was cut anywhere", () => {
    for (let length = 1; length < whole; length += 97) expect(offer(plan.subarray(0, length))).toEqual(refused);
  });

  test("lengths and counts that lie", () => {
    let at = 4;
    for (const { kind, body } of kinds) {
      for (const lie of [0xffffffff, body.length + 1, plan.length]) {
        const forged = plan.slice();
        new DataView(forged.buffer).setUint32(at + 4, lie, true);
        expect(offer(forged)).toEqual(refused);
      }
      if (kind === Rec.args || kind === Rec.env) {
        const forged = plan.slice();
        new DataView(forged.buffer).setUint32(at + 8, 0x7fffffff, true);
        expect(offer(forged)).toEqual(refused);
      }
      at += 8 + body.length;
    }
  });

  test("an unknown record, a string with a NUL inside", () => {
    const strange = new PlanWriter()
      .u32(PLAN_MAGIC)
      .record(999, () => {})
      .bytes();
    expect(offer(strange)).toEqual(refused);
    const hidden = new PlanWriter()
      .u32(PLAN_MAGIC)
      .record(Rec.exitFile, (body) => body.u32(3).raw(Uint8Array.of(97, 0, 98, 0)));
    expect(offer(hidden.bytes())).toEqual(refused);
  });
});
