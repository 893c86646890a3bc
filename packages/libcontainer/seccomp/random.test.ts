import { expect, test } from "bun:test";
import type { LinuxSeccomp, LinuxSeccompArg } from "@gantry/spec";
import { isPermissive, RET_ENOSYS, RET_KILL_THREAD, returnValue } from "./actions.ts";
import { compileSeccomp } from "./index.ts";
import { multiplexed, type SeccompArch, syscallTable } from "./syscalls.ts";
import { AUDIT, auditOf, run } from "./testing.ts";

/**
 * What a profile means, in the plainest words. libseccomp (2.5.4 and 2.6.1) is no judge here: with x32 among the
 * architectures it leaves out the load of the number where x86 has a rule more, and of two `less than` on one argument
 * it may forget the wider.
 */
function meaning(profile: LinuxSeccomp, arch: SeccompArch, nr: number, args: bigint[]): number {
  const table = syscallTable(arch);
  const otherwise = returnValue(profile.defaultAction, profile.defaultErrnoRet);
  const bits = arch === "X86" || arch === "X32" ? 32 : 64;
  const holds = ({ index, op, value, valueTwo }: LinuxSeccompArg): boolean => {
    const [a, b, c] = [args[index]!, BigInt(value), BigInt(valueTwo ?? 0)].map((one) => BigInt.asUintN(bits, one)) as [
      bigint,
      bigint,
      bigint,
    ];
    switch (op) {
      case "SCMP_CMP_NE":
        return a !== b;
      case "SCMP_CMP_LT":
        return a < b;
      case "SCMP_CMP_LE":
        return a <= b;
      case "SCMP_CMP_EQ":
        return a === b;
      case "SCMP_CMP_GE":
        return a >= b;
      case "SCMP_CMP_GT":
        return a > b;
      case "SCMP_CMP_MASKED_EQ":
        return (a & b) === (c & b);
    }
  };
  const matching: { action: number; always: boolean; holds: boolean }[] = [];
  let highest = -1;
  for (const rule of profile.syscalls ?? []) {
    const action = returnValue(rule.action, rule.errnoRet);
    for (const name of rule.names) {
      const own = table.get(name);
      if (own !== undefined) highest = Math.max(highest, own);
      const outer = arch === "X86" ? multiplexed(name) : null;
      const through = outer !== null && table.get(outer.call) === nr;
      if ((own !== nr && !through) || action === otherwise) continue;
      const list = rule.args ?? [];
      const either = new Set(list.map((one) => one.index)).size < list.length;
      const inner = (one: LinuxSeccompArg) => (through && one.index === 0 ? true : holds(one));
      const chosen = !through || BigInt.asUintN(32, args[0]!) === BigInt(outer.index);
      matching.push({
        action,
        always: list.length === 0 && !through,
        holds: chosen && (either ? list.some(inner) : list.every(inner)),
      });
    }
  }
  if (highest >= 0 && nr > highest && !isPermissive(profile.defaultAction)) return RET_ENOSYS;
  const always = matching.find((one) => one.always);
  return always?.action ?? matching.find((one) => one.holds)?.action ?? otherwise;
}

/** A small generator of numbers, so that a failure can be had again by its seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
}

const NAMES = `read write open close ioctl socket bind connect mmap mprotect futex clone clone3 prctl ptrace semget
  shmat kill getpid personality openat2 statx mount chown32 _llseek waitpid time rt_sigaction preadv accept4`.split(
  /\s+/,
);
const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] as const;
const ACTIONS = ["ALLOW", "ERRNO", "TRAP", "LOG", "KILL_PROCESS", "TRACE"] as const;
const VALUES = [0n, 1n, 2n, 7n, 0xffn, 0x7fff_ffffn, 0xffff_ffffn, 0x1_0000_0000n, 0x8000_0000_0000_0000n];
const ARCHES: SeccompArch[] = ["X86_64", "X86", "X32"];

function profileOf(pick: (below: number) => number): LinuxSeccomp {
  const of = <T>(list: readonly T[]) => list[pick(list.length)]!;
  const rule = () => ({
    names: Array.from({ length: 1 + pick(3) }, () => of(NAMES)),
    action: `SCMP_ACT_${of(ACTIONS)}` as const,
    errnoRet: pick(5),
    args: Array.from({ length: pick(4) }, () => ({
      index: pick(3),
      op: `SCMP_CMP_${of(OPERATORS)}` as const,
      value: of(VALUES),
      valueTwo: of(VALUES),
    })),
  });
  return {
    defaultAction: `SCMP_ACT_${of(ACTIONS)}`,
    defaultErrnoRet: pick(5),
    architectures: ARCHES.map((arch) => `SCMP_ARCH_${arch}`),
    syscalls: Array.from({ length: 1 + pick(20) }, rule),
  };
}

test("profiles made up at random mean what they say", () => {
  const points = VALUES.flatMap((value) => [value, BigInt.asUintN(64, value - 1n), value + 1n]);
  for (let seed = 1; seed <= 60; seed++) {
    const pick = random(seed);
    const profile = profileOf(pick);
    const program = compileSeccomp(profile, "x64");
    for (const arch of ARCHES) {
      const numbers = new Set([...NAMES, "socketcall", "ipc"].flatMap((name) => syscallTable(arch).get(name) ?? []));
      for (const number of [...numbers]) numbers.add(number + 1);
      for (const nr of numbers) {
        for (let round = 0; round < 12; round++) {
          const args = Array.from({ length: 6 }, () => points[pick(points.length)]!);
          const { verdict } = run(program, { arch: auditOf(arch), nr, args });
          const expected = meaning(profile, arch, nr, args);
          if (verdict !== expected)
            expect({ seed, arch, nr, args, verdict, profile }).toEqual({ verdict: expected } as never);
        }
      }
    }
    expect(run(program, { arch: AUDIT.AARCH64, nr: 0 }).verdict).toBe(RET_KILL_THREAD);
  }
});
