import { describe, expect, test } from "bun:test";
import type { LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator } from "@gantry/spec";
import { ALL_CAPABILITIES, DEFAULT_CAPABILITIES } from "../capabilities/index.ts";
import { compileSeccomp, defaultSeccomp } from "./index.ts";
import { archRules } from "./rules.ts";
import { multiplexed, type SeccompArch } from "./syscalls.ts";
import { AUDIT, auditOf, Libseccomp, run } from "./testing.ts";

const lib = Libseccomp.open();

const numbers: number[] = [];
for (let nr = 0; nr < 640; nr++) numbers.push(nr);
for (let nr = 0x40000000 - 2; nr < 0x40000000 + 640; nr++) numbers.push(nr);
numbers.push(0xffffffff, 0x80000000, 0x7fffffff, 0x3fffffff, 0xf0001, 0xf0002, 0xf0005, 0xf0006, 100_000);

/** Values at which the rules of one call may change their mind, per argument. */
function turningPoints(args: LinuxSeccompArg[]): bigint[] {
  const points = new Set([0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_ffff_ffffn]);
  for (const { value, valueTwo } of args)
    for (const one of [BigInt(value), BigInt(valueTwo ?? 0)])
      for (const near of [one - 1n, one, one + 1n, one + 0x1_0000_0000n, one | 0xffff_ffff_0000_0000n, ~one])
        points.add(BigInt.asUintN(64, near));
  return [...points];
}

/** Compares every decision over all numbers of all architectures; for calls with conditions, at all turning points. */
function compare(profile: LinuxSeccomp, arch: "x64" | "arm64"): number {
  const known = lib!.known(profile);
  const theirs = lib!.compile(known, arch);
  const ours = compileSeccomp(known, arch);
  const args = (known.syscalls ?? []).flatMap((rule) => rule.args ?? []);
  const indices = [...new Set([0, ...args.map((one) => one.index)])].slice(0, 2);
  const points = turningPoints(args).slice(0, 48);
  let compared = 0;
  for (const one of ["X86_64", "X86", "AARCH64", "ARM"] as const) {
    const conditional = new Set<number>();
    for (const set of one === "X86_64" ? (["X86_64", "X32"] as const) : [one])
      for (const [number, rules] of archRules(known, set as SeccompArch).rules)
        if (rules.some((rule) => rule.conditions.length)) conditional.add(number);
    for (const nr of numbers) {
      const combinations: bigint[][] = [];
      if (!conditional.has(nr)) combinations.push([], [7n, 8n, 9n, 10n, 11n, 12n]);
      else
        for (const first of points)
          for (const second of indices.length > 1 ? points : [0n]) {
            const list = [0n, 0n, 0n, 0n, 0n, 0n];
            list[indices[0]!] = first;
            if (indices.length > 1) list[indices[1]!] = second;
            combinations.push(list);
          }
      for (const list of combinations) {
        const call = { arch: auditOf(one), nr, args: list };
        const expected = lib!.verdict(known, arch, theirs, call);
        const got = run(ours, call).verdict;
        if (got !== expected)
          throw new Error(`${one} ${nr} (${list}): ${got.toString(16)}, libseccomp ${expected.toString(16)}`);
        compared++;
      }
    }
  }
  return compared;
}

/** Names that older versions of libseccomp know on some architectures only. */
const AFTER_2_5 = new Set(["map_shadow_stack", "memfd_secret", "uretprobe"]);

/** Named along, since libseccomp does not count i386's own numbers of the multiplexed calls as known. */
const HIGH = "pidfd_send_signal";

const X64 = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

describe.skipIf(!lib)("against libseccomp", () => {
  test("system call numbers", () => {
    for (const arch of ["X86_64", "X86", "X32", "AARCH64", "ARM"] as const) {
      const profile = {
        defaultAction: "SCMP_ACT_ALLOW" as const,
        syscalls: [] as NonNullable<LinuxSeccomp["syscalls"]>,
      };
      const names = new Set(defaultSeccomp(ALL_CAPABILITIES, "x64").syscalls!.flatMap((rule) => rule.names));
      for (const rule of defaultSeccomp([], "arm64").syscalls!) for (const name of rule.names) names.add(name);
      for (const name of names) {
        if (!lib!.knows(name)) continue;
        profile.syscalls = [{ names: [name], action: "SCMP_ACT_LOG" }];
        const theirs = lib!.number(name, arch);
        const ours = archRules(profile, arch).highest;
        if (arch === "X86" && multiplexed(name) && theirs < 0) continue;
        if (theirs < 0 && AFTER_2_5.has(name)) continue;
        expect([name, arch, ours]).toEqual([name, arch, theirs < 0 ? null : theirs]);
      }
    }
  });

  test("the default policy, for each capability that changes it", () => {
    expect(compare(defaultSeccomp(DEFAULT_CAPABILITIES, "x64"), "x64")).toBeGreaterThan(5000);
    compare(defaultSeccomp(DEFAULT_CAPABILITIES, "arm64"), "arm64");
    compare(defaultSeccomp([], "x64", { kernel: 4, major: 4 }), "x64");
    compare(defaultSeccomp(ALL_CAPABILITIES, "x64"), "x64");
    for (const name of ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME", "CAP_SYSLOG"])
      compare(defaultSeccomp([...DEFAULT_CAPABILITIES, name], "x64"), "x64");
  });

  test("subsets of architectures", () => {
    const profile = defaultSeccomp(DEFAULT_CAPABILITIES, "x64");
    for (const architectures of [[], X64.slice(0, 1), X64.slice(0, 2), [X64[0]!, X64[2]!], X64.slice(1)])
      compare({ ...profile, architectures }, "x64");
    compare({ ...defaultSeccomp([], "arm64"), architectures: [] }, "arm64");
  });

  const operators: LinuxSeccompOperator[] = [
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
  ];
  const values = [0n, 1n, 5n, 0xffff_ffffn, 0x1_0000_0000n, 0x5_0000_0005n, 0xffff_ffff_ffff_ffffn];

  test.each(operators)("%s on 64-bit arguments", (op) => {
    for (const value of values) {
      for (const valueTwo of op === "SCMP_CMP_MASKED_EQ" ? [0n, value, 0x4_0000_0001n] : [undefined]) {
        const arg: LinuxSeccompArg = { index: 2, value, op, ...(valueTwo === undefined ? {} : { valueTwo }) };
        // Two words that are never compared make libseccomp's a rule without conditions; it is the same to us.
        compare(
          {
            defaultAction: "SCMP_ACT_ALLOW",
            architectures: X64.slice(0, 1),
            syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 7, args: [arg] }],
          },
          "x64",
        );
      }
    }
  });

  test("conditions together, on one argument, and several rules of a call", () => {
    const arg = (index: number, op: LinuxSeccompOperator, value: bigint): LinuxSeccompArg => ({ index, op, value });
    const rule = (...args: LinuxSeccompArg[]) => ({ names: ["ioctl"], action: "SCMP_ACT_ALLOW" as const, args });
    const eq = "SCMP_CMP_EQ";
    const lists = [
      [rule(arg(0, eq, 3n), arg(1, "SCMP_CMP_GT", 0x1_0000_0007n))],
      [rule(arg(1, eq, 3n), arg(1, eq, 0x7_0000_0000n))],
      [rule(arg(0, "SCMP_CMP_LE", 9n)), rule(arg(1, "SCMP_CMP_NE", 4n), arg(0, eq, 0xffff_ffff_ffffn))],
      [rule(arg(0, eq, 3n)), rule()],
      [rule(), rule(arg(0, eq, 3n))],
    ];
    for (const syscalls of lists)
      compare({ defaultAction: "SCMP_ACT_KILL_PROCESS", architectures: X64.slice(0, 1), syscalls }, "x64");
  });

  test("every action, and calls that i386 multiplexes", () => {
    const names = ["read", "write", "open", "socket", "shmget", "accept4", "semop", "personality"];
    names.push(HIGH);
    const actions = ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "LOG", "ALLOW"] as const;
    for (const defaultAction of actions) {
      const syscalls = names.map((name, index) => ({
        names: [name],
        action: `SCMP_ACT_${actions[(index + 3) % actions.length]!}` as const,
        errnoRet: 40 + index,
      }));
      compare({ defaultAction: `SCMP_ACT_${defaultAction}`, defaultErrnoRet: 99, architectures: X64, syscalls }, "x64");
    }
    const conditional = [
      {
        names: ["socket"],
        action: "SCMP_ACT_ERRNO" as const,
        args: [{ index: 0, value: 16, op: "SCMP_CMP_EQ" as const }],
      },
    ];
    compare({ defaultAction: "SCMP_ACT_ALLOW", architectures: X64, syscalls: conditional }, "x64");
  });
});

test("the default policy decides in few steps", () => {
  const program = compileSeccomp(defaultSeccomp(DEFAULT_CAPABILITIES, "x64"), "x64");
  let most = 0;
  for (let nr = 0; nr < 470; nr++) most = Math.max(most, run(program, { arch: AUDIT.X86_64, nr }).steps);
  // Arch, number, at most 7 levels of the tree over both tables, then up to five values of personality.
  expect(most).toBeLessThan(24);
  expect(program.length / 8).toBeLessThan(450);
});
