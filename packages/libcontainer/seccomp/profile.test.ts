import { describe, expect, test } from "bun:test";
import { DEFAULT_CAPABILITIES } from "../capabilities/index.ts";
import { compileSeccomp, loadDockerProfile, seccompFlags } from "./index.ts";
import { AUDIT, run } from "./testing.ts";

const KERNEL = { kernel: 5, major: 10 };
const load = (
  profile: unknown,
  capabilities: readonly string[] = DEFAULT_CAPABILITIES,
  arch: "x64" | "arm64" = "x64",
) => loadDockerProfile(JSON.stringify(profile), capabilities, arch, KERNEL);
const names = (...args: Parameters<typeof load>) => load(...args)!.syscalls!.flatMap((rule) => rule.names);

const ALLOW = { action: "SCMP_ACT_ALLOW" };
const base = { defaultAction: "SCMP_ACT_ERRNO" };

describe("Docker's profile format", () => {
  test("archMap is for this machine's architecture", () => {
    const archMap = [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: null },
    ];
    expect(load({ ...base, archMap, syscalls: [] })!.architectures).toEqual([
      "SCMP_ARCH_X86_64",
      "SCMP_ARCH_X86",
      "SCMP_ARCH_X32",
    ]);
    expect(load({ ...base, archMap, syscalls: [] }, [], "arm64")!.architectures).toEqual(["SCMP_ARCH_AARCH64"]);
    expect(load({ ...base, architectures: ["SCMP_ARCH_X86"], syscalls: [] })!.architectures).toEqual(["SCMP_ARCH_X86"]);
  });

  test("includes need all of their capabilities, excludes any", () => {
    const includes = { caps: ["CAP_CHOWN", "CAP_BPF"] };
    const syscalls = [
      { names: ["a"], ...ALLOW, includes },
      { names: ["b"], ...ALLOW, excludes: includes },
      { names: ["c"], ...ALLOW, includes: { arches: ["amd64", "x32"] } },
      { names: ["d"], ...ALLOW, excludes: { arches: ["amd64"] } },
      { names: ["e"], ...ALLOW, includes: { minKernel: "5.10" } },
      { names: ["f"], ...ALLOW, includes: { minKernel: "5.11" } },
      { names: ["g"], ...ALLOW, excludes: { minKernel: "4.8" } },
      { name: "h", ...ALLOW, includes: {}, excludes: {} },
    ];
    expect(names({ ...base, syscalls })).toEqual(["c", "e", "h"]);
    expect(names({ ...base, syscalls }, ["CAP_CHOWN", "CAP_BPF"])).toEqual(["a", "c", "e", "h"]);
    expect(names({ ...base, syscalls }, [], "arm64")).toEqual(["b", "d", "e", "h"]);
  });

  test("arguments, errno and the listener are kept; names of fields in any case", () => {
    const args = [{ index: 0, value: 2114060288, valueTwo: 1, op: "SCMP_CMP_MASKED_EQ" }];
    const rule = { names: ["clone"], action: "SCMP_ACT_ERRNO", errnoRet: 38, args };
    const profile = load({ DefaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 5, listenerPath: "/s", Syscalls: [rule] });
    expect(profile).toEqual({
      defaultAction: "SCMP_ACT_ALLOW",
      defaultErrnoRet: 5,
      architectures: [],
      listenerPath: "/s",
      syscalls: [{ ...rule, action: "SCMP_ACT_ERRNO", args: [{ ...args[0]!, op: "SCMP_CMP_MASKED_EQ" }] }],
    });
  });

  test("an empty profile is none", () => {
    expect(load({})).toBeNull();
    expect(load({ syscalls: null })).toBeNull();
  });

  test.each([
    ["{", /^Decoding seccomp profile failed: /],
    ["[]", /^Decoding seccomp profile failed: profile is not an object/],
    ['{"defaultAction":3}', /^Decoding seccomp profile failed: defaultAction is not a string/],
    [
      '{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["a"],"args":[{"index":-1}]}]}',
      /index is not an unsigned/,
    ],
    ['{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["a"],"name":"b"}]}', /^both 'name' and 'names' are/],
    [
      '{"defaultAction":"SCMP_ACT_KILL","architectures":["a"],"archMap":[{"architecture":"b"}]}',
      /^both 'architectures' and 'archMap' are specified/,
    ],
    [
      '{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["a"],"includes":{"minKernel":"4"}}]}',
      /^invalid kernel version: "4", expected "<kernel>.<major>"/,
    ],
  ])("refuses %s", (json, message) => {
    expect(() => loadDockerProfile(json, [], "x64")).toThrow(message);
  });
});

describe("compileSeccomp refuses", () => {
  const rule = { names: ["read"], action: "SCMP_ACT_ERRNO" };
  const arg = { index: 0, value: 0, op: "SCMP_CMP_EQ" };
  test.each([
    [{ defaultAction: "ALLOW" }, "string ALLOW is not a valid action for seccomp"],
    [{ ...base, syscalls: [{ names: ["read"], action: "" }] }, "string  is not a valid action for seccomp"],
    [{ ...base, architectures: ["SCMP_ARCH_Z80"] }, "string SCMP_ARCH_Z80 is not a valid arch for seccomp"],
    [{ ...base, architectures: ["X86_64"] }, "string X86_64 is not a valid arch for seccomp"],
    [
      { ...base, syscalls: [{ ...rule, args: [{ ...arg, op: "EQ" }] }] },
      "string EQ is not a valid operator for seccomp",
    ],
    [
      { ...base, syscalls: [{ ...rule, args: [{ ...arg, index: 6 }] }] },
      "seccomp argument index 6 is not between 0 and 5",
    ],
    [{ ...base, syscalls: [{ ...rule, args: [{ ...arg, value: -1 }] }] }, /-1 is not an unsigned 64-bit integer/],
    [{ ...base, syscalls: [{ ...rule, names: [""] }] }, "empty string is not a valid syscall"],
    [{ defaultAction: "SCMP_ACT_NOTIFY" }, "SCMP_ACT_NOTIFY cannot be used as default action"],
    [{ ...base, syscalls: [{ names: ["write"], action: "SCMP_ACT_NOTIFY" }] }, /cannot be used for the write syscall/],
  ])("%j", (profile, message) => {
    expect(() => compileSeccomp(profile as never, "x64")).toThrow(message);
  });

  test("more than the kernel takes", () => {
    const values = Array.from({ length: 1100 }, (_, value) => ({ index: 0, value: value * 7, op: "SCMP_CMP_EQ" }));
    expect(() =>
      compileSeccomp({ ...base, syscalls: [{ ...rule, action: "SCMP_ACT_TRAP", args: values }] } as never, "x64"),
    ).toThrow(/needs more than 4096 instructions, which the kernel takes/);
  });
});

test("long jumps arrive: hundreds of conditions, each found again", () => {
  const args = Array.from({ length: 700 }, (_, value) => ({ index: 1, value: value * 3, op: "SCMP_CMP_EQ" }));
  const profile = { defaultAction: "SCMP_ACT_ALLOW", syscalls: [{ names: ["ioctl"], action: "SCMP_ACT_TRAP", args }] };
  const program = compileSeccomp(profile as never, "x64");
  expect(program.length / 8).toBeGreaterThan(2000);
  for (let value = 0n; value < 2110n; value++) {
    const { verdict } = run(program, { arch: AUDIT.X86_64, nr: 16, args: [0n, value] });
    expect(verdict).toBe(value % 3n === 0n && value < 2100n ? 0x30000 : 0x7fff0000);
  }
});

test("unknown names are passed over, and where rules overlap the profile's order decides", () => {
  const eq = (value: number) => [{ index: 0, value, op: "SCMP_CMP_LE" }];
  const syscalls = [
    { names: ["no_such_call", "read"], action: "SCMP_ACT_ERRNO", errnoRet: 1, args: eq(5) },
    { names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 2, args: eq(9) },
  ];
  const program = compileSeccomp({ defaultAction: "SCMP_ACT_ALLOW", syscalls } as never, "x64");
  const verdict = (value: bigint) => run(program, { arch: AUDIT.X86_64, nr: 0, args: [value] }).verdict;
  expect([verdict(3n), verdict(7n), verdict(10n)]).toEqual([0x50001, 0x50002, 0x7fff0000]);
});

test("flags of seccomp(2)", () => {
  const notify = [{ names: ["mkdir"], action: "SCMP_ACT_NOTIFY" as const }];
  expect(seccompFlags({ defaultAction: "SCMP_ACT_ALLOW" })).toBe(0);
  expect(seccompFlags({ defaultAction: "SCMP_ACT_ALLOW", syscalls: notify })).toBe(8);
  const flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"];
  expect(seccompFlags({ defaultAction: "SCMP_ACT_ALLOW", flags })).toBe(6);
  expect(() => seccompFlags({ defaultAction: "SCMP_ACT_ALLOW", flags: ["X"] })).toThrow("seccomp flag X is not known");
});
