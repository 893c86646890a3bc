import { invalidParameter, type LinuxSeccomp } from "@gantry/spec";
import { isPermissive, RET_ENOSYS, RET_KILL_THREAD, returnValue } from "./actions.ts";
import {
  Assembler,
  JMP_JEQ_K,
  JMP_JGE_K,
  JMP_JGT_K,
  type Label,
  OFFSET_ARCH,
  OFFSET_NR,
  offsetHigh,
  offsetLow,
} from "./bpf.ts";
import { archRules, type Condition, type Rule } from "./rules.ts";
import { type SeccompArch, X32_BIT } from "./syscalls.ts";

const AUDIT_ARCH = { X86_64: 0xc000003e, X86: 0x40000003, AARCH64: 0xc00000b7, ARM: 0x40000028 };
const NATIVE: Record<"x64" | "arm64", SeccompArch> = { x64: "X86_64", arm64: "AARCH64" };
const RUNNABLE: Record<"x64" | "arm64", SeccompArch[]> = { x64: ["X86_64", "X86", "X32"], arm64: ["AARCH64", "ARM"] };
/** Known to OCI, but of machines whose programs cannot run here: nothing to filter. */
const FOREIGN =
  /^(X86|X86_64|X32|ARM|AARCH64|MIPS(EL)?(64(N32)?)?|PPC(64(LE)?)?|S390X?|RISCV64|LOONGARCH64|PARISC(64)?|M68K|SH(EB)?)$/;

/** -1, which a tracer sets to cancel a call: not one of x32's, though it has the bit. */
const CANCELLED = 0xffffffff;

/** Numbers from `start` up to the next span's start that are treated alike. */
interface Span {
  start: number;
  rules: Rule[];
}

/** Arguments are compared in 32 bits where the architecture's registers have no more. */
function conditionCode(asm: Assembler, one: Condition, wide: boolean, yes: Label, no: Label): Label {
  const low = Number(one.value & 0xffff_ffffn);
  const high = Number(one.value >> 32n);
  const maskLow = Number(one.mask & 0xffff_ffffn);
  const maskHigh = Number(one.mask >> 32n);
  const word = (offset: number, mask: number, code: number, k: number, t: Label, f: Label): Label => {
    // Nothing of this word is compared, and no value has bits outside its mask.
    if (mask === 0) return t;
    asm.jump(code, k, t, f);
    if (mask !== 0xffffffff) asm.and(mask);
    return asm.load(offset);
  };
  // Of LT and LE the opposites GE and GT are tested.
  const opposite = one.op === "NE" || one.op === "LT" || one.op === "LE";
  const [t, f] = opposite ? [no, yes] : [yes, no];
  if (one.op === "EQ" || one.op === "NE") {
    const rest = word(offsetLow(one.index), maskLow, JMP_JEQ_K, low, t, f);
    return wide ? word(offsetHigh(one.index), maskHigh, JMP_JEQ_K, high, rest, f) : rest;
  }
  const rest = word(
    offsetLow(one.index),
    maskLow,
    one.op === "GE" || one.op === "LT" ? JMP_JGE_K : JMP_JGT_K,
    low,
    t,
    f,
  );
  if (!wide) return rest;
  const equal = asm.jump(JMP_JEQ_K, high, rest, f);
  asm.jump(JMP_JGT_K, high, t, equal);
  return asm.load(offsetHigh(one.index));
}

/** What is done for one span: the first rule whose conditions hold, else `otherwise`. */
function spanCode(asm: Assembler, span: Span, wide: boolean, otherwise: number): Label {
  let next = -1;
  for (const rule of [...span.rules].reverse()) {
    if (rule.conditions.length === 0) {
      next = asm.ret(rule.action);
      continue;
    }
    if (next < 0) next = asm.ret(otherwise);
    const failed = next;
    next = asm.ret(rule.action);
    for (const one of [...rule.conditions].reverse()) next = conditionCode(asm, one, wide, next, failed);
  }
  return next < 0 ? asm.ret(otherwise) : next;
}

/** A balanced tree of comparisons over the spans from `from` to before `to`. The accumulator holds the number. */
function treeCode(asm: Assembler, spans: Span[], from: number, to: number, code: (span: Span) => Label): Label {
  if (to - from === 1) return code(spans[from]!);
  const middle = (from + to) >> 1;
  const right = treeCode(asm, spans, middle, to, code);
  const left = treeCode(asm, spans, from, middle, code);
  return asm.jump(JMP_JGE_K, spans[middle]!.start, right, left);
}

/** Covers the numbers of one architecture with spans; alike neighbours become one. */
function spansOf(profile: LinuxSeccomp, arch: SeccompArch, first: number, enosys: boolean, otherwise: number): Span[] {
  const { rules, highest } = archRules(profile, arch);
  const spans: Span[] = [];
  const push = (start: number, list: Rule[]) => {
    const last = spans.at(-1);
    const constant = (some: Rule[]) => some.length === 1 && some[0]!.conditions.length === 0;
    if (last && constant(last.rules) && constant(list) && last.rules[0]!.action === list[0]!.action) return;
    spans.push({ start, rules: list });
  };
  const otherwiseRule: Rule[] = [{ conditions: [], action: otherwise }];
  let next = first;
  for (const [number, list] of [...rules].sort(([a], [b]) => a - b)) {
    if (number > next) push(next, otherwiseRule);
    push(number, list);
    next = number + 1;
  }
  if (!enosys || highest === null) push(next, otherwiseRule);
  else {
    if (highest >= next) push(next, otherwiseRule);
    push(highest + 1, [{ conditions: [], action: RET_ENOSYS }]);
  }
  return spans;
}

const KILL: Rule[] = [{ conditions: [], action: RET_KILL_THREAD }];

/** Numbers with x32's bit where x32 is not covered; the others up there are as those `above` the highest known. */
function noX32(above: Rule[]): Span[] {
  return [
    { start: X32_BIT, rules: KILL },
    { start: 2 * X32_BIT, rules: above },
    { start: 3 * X32_BIT, rules: KILL },
    { start: CANCELLED, rules: [] },
  ];
}

/** The architectures a profile covers on this machine: always the machine's own. */
function architecturesOf(profile: LinuxSeccomp, arch: "x64" | "arm64"): Set<SeccompArch> {
  const covered = new Set([NATIVE[arch]]);
  for (const name of profile.architectures ?? []) {
    const short = name.replace(/^SCMP_ARCH_/, "");
    if (short === "NATIVE") continue;
    if (short === name || !FOREIGN.test(short))
      throw invalidParameter(`string ${name} is not a valid arch for seccomp`);
    if (RUNNABLE[arch].includes(short as SeccompArch)) covered.add(short as SeccompArch);
  }
  return covered;
}

function check(profile: LinuxSeccomp): void {
  if (profile.defaultAction === "SCMP_ACT_NOTIFY")
    throw invalidParameter("SCMP_ACT_NOTIFY cannot be used as default action");
  for (const rule of profile.syscalls ?? []) {
    if (!Array.isArray(rule.names) || rule.names.some((name) => name === ""))
      throw invalidParameter("empty string is not a valid syscall");
    // The shim writes the listener's descriptor to its parent after the filter is set.
    if (rule.action === "SCMP_ACT_NOTIFY" && rule.names.includes("write"))
      throw invalidParameter("SCMP_ACT_NOTIFY cannot be used for the write syscall");
  }
}

/**
 * Compiles a profile (OCI config-linux.md, Seccomp) to a classic BPF program: an array of 8-byte struct sock_filter
 * for seccomp(SECCOMP_SET_MODE_FILTER), at most 4096 of them.
 *
 * Decides as libseccomp does when driven by runc: names unknown here are passed over; the first unconditional rule of
 * a call outdoes all its others; foreign architectures kill the thread; and unless the default action lets calls
 * through, numbers above the highest one named give ENOSYS, so that newer C libraries fall back. Where conditional
 * rules of one call overlap with different actions, the profile's order decides.
 *
 * Throws `invalidParameter` for unknown actions, operators, architectures and values out of range.
 */
export function compileSeccomp(profile: LinuxSeccomp, arch: "x64" | "arm64"): Uint8Array {
  if (!Object.isFrozen(profile)) return compile(profile, arch);
  const known = compiled[arch].get(profile) ?? compile(profile, arch);
  compiled[arch].set(profile, known);
  return known;
}

/** Programs of profiles that can no longer change, such as the default ones. */
const compiled = { x64: new WeakMap<LinuxSeccomp, Uint8Array>(), arm64: new WeakMap<LinuxSeccomp, Uint8Array>() };

function compile(profile: LinuxSeccomp, arch: "x64" | "arm64"): Uint8Array {
  check(profile);
  const otherwise = returnValue(profile.defaultAction, profile.defaultErrnoRet);
  const enosys = !isPermissive(profile.defaultAction);
  const covered = architecturesOf(profile, arch);
  const asm = new Assembler();
  const sections: { audit: number; start: Label }[] = [];
  for (const one of ["ARM", "X86", "AARCH64", "X86_64"] as const) {
    if (!covered.has(one)) continue;
    const spans = spansOf(profile, one, 0, enosys, otherwise);
    let narrowFrom = one === "X86" || one === "ARM" ? 0 : Number.POSITIVE_INFINITY;
    if (one === "X86_64") {
      narrowFrom = X32_BIT;
      if (covered.has("X32")) spans.push(...spansOf(profile, "X32", X32_BIT, enosys, otherwise));
      else spans.push(...noX32(enosys ? spans.at(-1)!.rules : KILL));
    }
    const code = (span: Span) => spanCode(asm, span, span.start < narrowFrom, otherwise);
    asm.goto(treeCode(asm, spans, 0, spans.length, code));
    sections.push({ audit: AUDIT_ARCH[one], start: asm.load(OFFSET_NR) });
  }
  let start = asm.ret(RET_KILL_THREAD);
  for (const section of sections) start = asm.jump(JMP_JEQ_K, section.audit, section.start, start);
  asm.goto(start);
  asm.load(OFFSET_ARCH);
  return asm.assemble();
}
