import { expect, test } from "bun:test";
import { DEFAULT_CAPABILITIES } from "../capabilities/index.ts";
import { parseKernelVersion } from "./kernel.ts";

const arch = process.arch as "x64" | "arm64";

/** Runs in a process of its own, since a filter cannot be taken off again: sets it and prints results as -errno. */
const child = `
  import { address, errno, libc } from "@gantry/sys";
  import { compileSeccomp, defaultSeccomp, seccompFlags } from "${import.meta.dir}/index.ts";
  import { syscallTable } from "${import.meta.dir}/syscalls.ts";
  const { profile, calls } = JSON.parse(process.argv.at(-1));
  const table = syscallTable("${arch}" === "x64" ? "X86_64" : "AARCH64");
  const policy = Array.isArray(profile) ? defaultSeccomp(profile, "${arch}") : profile;
  const program = compileSeccomp(policy, "${arch}");
  const fprog = new BigUint64Array([BigInt(program.length / 8), BigInt(address(program))]);
  const call = (nr, args) => {
    const result = Number(libc.syscall(nr, ...[...args, 0, 0, 0, 0, 0, 0].slice(0, 6)));
    return result < 0 ? -errno() : Math.min(result, 1);
  };
  const set = call(table.get("seccomp"), [1, seccompFlags(policy), address(fprog)]);
  const results = {};
  for (const [name, args] of calls) results[name + "(" + args.join() + ")"] = call(/^\\d+$/.test(name) ? Number(name) : table.get(name), args);
  process.stdout.write(JSON.stringify({ set, results }) + "\\n", () => process.exit(0));
`;

function inChild(profile: unknown, calls: [string, number[]][]): { set: number; results: Record<string, number> } {
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", child, JSON.stringify({ profile, calls })], {
    cwd: import.meta.dir,
  });
  const text = stdout.toString();
  if (!text) throw new Error(stderr.toString());
  return JSON.parse(text);
}

const EPERM = -1;
const ENOSYS = -38;
const EFAULT = -14;
const EINVAL = -22;
const AF_VSOCK = 40;

test("the kernel takes the default policy and keeps to it", () => {
  const { set, results } = inChild(DEFAULT_CAPABILITIES, [
    ["getpid", []],
    ["mount", []],
    ["unshare", [0]],
    ["keyctl", [0]],
    ["clone3", []],
    ["socket", [AF_VSOCK, 1, 0]],
    ["socket", [1, 1, 0]],
    ["personality", [0xffffffff]],
    ["personality", [0x40000]],
    ["chroot", [0]],
    ["bpf", [0, 0, 0]],
    ["1000", []],
  ]);
  expect(set).toBe(0);
  expect(results).toEqual({
    "getpid()": 1,
    "mount()": EPERM,
    "unshare(0)": EPERM,
    "keyctl(0)": EPERM,
    "clone3()": ENOSYS,
    "socket(40,1,0)": EPERM,
    "socket(1,1,0)": 1,
    "personality(4294967295)": 0,
    "personality(262144)": EPERM,
    "chroot(0)": EFAULT,
    "bpf(0,0,0)": EPERM,
    "1000()": ENOSYS,
  });
});

test("a capability opens its calls", () => {
  const { results } = inChild(
    [...DEFAULT_CAPABILITIES, "CAP_SYS_ADMIN"],
    [
      ["unshare", [0]],
      ["clone3", []],
      ["mount", []],
    ],
  );
  expect(results).toEqual({ "unshare(0)": 0, "clone3()": EINVAL, "mount()": EFAULT });
});

test("errno, log, flags, and comparisons of 64 bits", () => {
  const value = 0x1_0000_0001;
  const profile = {
    defaultAction: "SCMP_ACT_ALLOW",
    flags: ["SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
    syscalls: [
      { names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 77 },
      { names: ["gettid"], action: "SCMP_ACT_LOG" },
      { names: ["prlimit64"], action: "SCMP_ACT_ERRNO", errnoRet: 99, args: [{ index: 3, value, op: "SCMP_CMP_GT" }] },
    ],
  };
  const { set, results } = inChild(profile, [
    ["getpriority", [0, 0]],
    // Not getsid(2): that is 0 below a PID 1 that never made a session.
    ["gettid", []],
    ["prlimit64", [0, 99, 0, value]],
    ["prlimit64", [0, 99, 0, value + 1]],
  ]);
  expect(set).toBe(0);
  expect(results).toEqual({
    "getpriority(0,0)": -77,
    "gettid()": 1,
    [`prlimit64(0,99,0,${value})`]: EINVAL,
    [`prlimit64(0,99,0,${value + 1})`]: -99,
  });
});

test("a kernel's version is two numbers", () => {
  expect(parseKernelVersion("4.8")).toEqual({ kernel: 4, major: 8 });
  for (const bad of ["4", "4.8.1", "", "0.0", "a.b", "4.", 4.8, "256.1", null])
    expect(() => parseKernelVersion(bad)).toThrow(/invalid kernel version: .*, expected "<kernel>.<major>"/);
});
