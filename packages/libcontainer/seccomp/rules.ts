import { invalidParameter, type LinuxSeccomp, type LinuxSeccompArg, type LinuxSyscallRule } from "@gantry/spec";
import { returnValue } from "./actions.ts";
import { multiplexed, type SeccompArch, syscallTable } from "./syscalls.ts";

/** A condition on one argument; `mask` is all ones but for MASKED_EQ. */
export interface Condition {
  index: number;
  op: "NE" | "LT" | "LE" | "EQ" | "GE" | "GT";
  mask: bigint;
  value: bigint;
}

/** Conditions that all must hold for the action; none for always. */
export interface Rule {
  conditions: Condition[];
  action: number;
}

const ALL_ONES = 0xffff_ffff_ffff_ffffn;
const OPERATORS = new Set(["NE", "LT", "LE", "EQ", "GE", "GT"]);

function uint64(value: number | bigint): bigint {
  if (typeof value === "number" && !Number.isInteger(value))
    throw invalidParameter(`seccomp argument value ${value} is not an integer`);
  const big = BigInt(value);
  if (big < 0n || big > ALL_ONES)
    throw invalidParameter(`seccomp argument value ${value} is not an unsigned 64-bit integer`);
  return big;
}

function condition(arg: LinuxSeccompArg): Condition {
  if (!Number.isInteger(arg.index) || arg.index < 0 || arg.index > 5)
    throw invalidParameter(`seccomp argument index ${arg.index} is not between 0 and 5`);
  const value = uint64(arg.value);
  if (arg.op === "SCMP_CMP_MASKED_EQ")
    return { index: arg.index, op: "EQ", mask: value, value: uint64(arg.valueTwo ?? 0) & value };
  const op = String(arg.op).replace(/^SCMP_CMP_/, "");
  if (!OPERATORS.has(op) || op === arg.op)
    throw invalidParameter(`string ${arg.op} is not a valid operator for seccomp`);
  return { index: arg.index, op: op as Condition["op"], mask: ALL_ONES, value };
}

/** The alternatives of a rule: its conditions together, or each alone where two are on the same argument (as runc). */
function alternatives(rule: LinuxSyscallRule): Condition[][] {
  const conditions = (rule.args ?? []).map(condition);
  const sameArgument = new Set(conditions.map((one) => one.index)).size < conditions.length;
  return sameArgument ? conditions.map((one) => [one]) : [conditions];
}

/** All rules of one architecture by system call number, each list in the profile's order, and the highest number. */
export interface ArchRules {
  rules: Map<number, Rule[]>;
  /** Of any call the profile names, whatever its action; null where it names none that this architecture has. */
  highest: number | null;
}

/** As libseccomp: the first rule without conditions stands for the call, before and after it. */
function add(rules: Map<number, Rule[]>, number: number, rule: Rule): void {
  const list = rules.get(number);
  if (!list) rules.set(number, [rule]);
  else if (list[0]!.conditions.length === 0) return;
  else if (rule.conditions.length === 0) rules.set(number, [rule]);
  else list.push(rule);
}

/** Sorts a profile's rules by call for one architecture. Names that it does not have are passed over. */
export function archRules(profile: LinuxSeccomp, arch: SeccompArch): ArchRules {
  const table = syscallTable(arch);
  const defaultAction = returnValue(profile.defaultAction, profile.defaultErrnoRet);
  const rules = new Map<number, Rule[]>();
  let highest: number | null = null;
  for (const entry of profile.syscalls ?? []) {
    const action = returnValue(entry.action, entry.errnoRet);
    const choices = alternatives(entry);
    for (const name of entry.names) {
      const number = table.get(name);
      if (number !== undefined && (highest === null || number > highest)) highest = number;
      if (action === defaultAction) continue;
      const outer = arch === "X86" ? multiplexed(name) : null;
      for (const conditions of choices) {
        if (number !== undefined) add(rules, number, { conditions, action });
        if (!outer) continue;
        // The inner call's arguments are in memory where a filter cannot look; only its number can be told.
        const which: Condition = { index: 0, op: "EQ", mask: ALL_ONES, value: BigInt(outer.index) };
        const others = conditions.filter((one) => one.index !== 0);
        add(rules, table.get(outer.call)!, { conditions: [which, ...others], action });
      }
    }
  }
  return { rules, highest };
}
