/** For tests: an interpreter of classic BPF, and libseccomp driven as runc drives it, to compare decisions with. */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync, openSync, readFileSync, unlinkSync } from "node:fs";
import type { LinuxSeccomp } from "@gantry/spec";
import { isPermissive, RET_ENOSYS, returnValue } from "./actions.ts";
import { multiplexed, syscallTable } from "./syscalls.ts";

export const AUDIT = { X86_64: 0xc000003e, X86: 0x40000003, X32: 0x4000003e, AARCH64: 0xc00000b7, ARM: 0x40000028 };
/** What the kernel puts into seccomp_data.arch; x32 is told by its number only. */
export const auditOf = (arch: keyof typeof AUDIT) => (arch === "X32" ? AUDIT.X86_64 : AUDIT[arch]);

export interface Call {
  arch: number;
  nr: number;
  args?: bigint[];
}

/** Runs a filter over one call and returns its verdict; also how many instructions that took. */
export function run(program: Uint8Array, call: Call): { verdict: number; steps: number } {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.nr >>> 0, true);
  data.setUint32(4, call.arch >>> 0, true);
  for (const [index, value] of (call.args ?? []).entries()) data.setBigUint64(16 + 8 * index, value, true);
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  let steps = 0;
  for (let pc = 0; ; pc++) {
    if (pc < 0 || pc * 8 >= program.length) throw new Error(`jump out of the program to ${pc}`);
    steps++;
    const code = view.getUint16(pc * 8, true);
    const jt = view.getUint8(pc * 8 + 2);
    const jf = view.getUint8(pc * 8 + 3);
    const k = view.getUint32(pc * 8 + 4, true);
    if (code === 0x20) accumulator = data.getUint32(k, true);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x06) return { verdict: k, steps };
    else if (code === 0x05) pc += k;
    else if (code === 0x15) pc += accumulator === k ? jt : jf;
    else if (code === 0x25) pc += accumulator > k ? jt : jf;
    else if (code === 0x35) pc += accumulator >= k ? jt : jf;
    else if (code === 0x45) pc += (accumulator & k) !== 0 ? jt : jf;
    else throw new Error(`opcode ${code.toString(16)} at ${pc}`);
  }
}

const T = FFIType;
const OPERATORS = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
type Context = NonNullable<ReturnType<ReturnType<typeof load>["seccomp_init"]>>;
const NATIVE = { x64: "X86_64", arm64: "AARCH64" } as const;

function load() {
  return dlopen("libseccomp.so.2", {
    seccomp_init: { args: [T.u32], returns: T.ptr },
    seccomp_release: { args: [T.ptr], returns: T.void },
    seccomp_arch_add: { args: [T.ptr, T.u32], returns: T.i32 },
    seccomp_arch_remove: { args: [T.ptr, T.u32], returns: T.i32 },
    seccomp_attr_set: { args: [T.ptr, T.i32, T.u32], returns: T.i32 },
    seccomp_syscall_resolve_name: { args: [T.ptr], returns: T.i32 },
    seccomp_syscall_resolve_name_arch: { args: [T.u32, T.ptr], returns: T.i32 },
    seccomp_rule_add_array: { args: [T.ptr, T.u32, T.i32, T.u32, T.ptr], returns: T.i32 },
    seccomp_export_bpf: { args: [T.ptr, T.i32], returns: T.i32 },
  }).symbols;
}

const text = (value: string) => Buffer.from(`${value}\0`);
const UNKNOWN = -1;

export class Libseccomp {
  readonly #lib = load();

  static open(): Libseccomp | null {
    try {
      return new Libseccomp();
    } catch {
      return null;
    }
  }

  knows(name: string): boolean {
    return this.#lib.seccomp_syscall_resolve_name(text(name)) !== UNKNOWN;
  }

  number(name: string, arch: keyof typeof AUDIT): number {
    return this.#lib.seccomp_syscall_resolve_name_arch(AUDIT[arch], text(name));
  }

  #check(result: number, what: string): void {
    if (result < 0) throw new Error(`libseccomp: ${what}: ${result}`);
  }

  #add(context: Context, profile: LinuxSeccomp): void {
    const otherwise = returnValue(profile.defaultAction, profile.defaultErrnoRet);
    for (const rule of profile.syscalls ?? []) {
      const action = returnValue(rule.action, rule.errnoRet);
      const args = rule.args ?? [];
      const alone = new Set(args.map((one) => one.index)).size < args.length;
      const lists = alone ? args.map((one) => [one]) : [args];
      for (const name of rule.names) {
        if (action === otherwise || !this.knows(name)) continue;
        for (const list of lists) {
          const bytes = new DataView(new ArrayBuffer(Math.max(24, list.length * 24)));
          list.forEach((one, index) => {
            bytes.setUint32(index * 24, one.index, true);
            bytes.setUint32(index * 24 + 4, OPERATORS.indexOf(one.op.slice("SCMP_CMP_".length)), true);
            bytes.setBigUint64(index * 24 + 8, BigInt(one.value), true);
            bytes.setBigUint64(index * 24 + 16, BigInt(one.valueTwo ?? 0), true);
          });
          const number = this.#lib.seccomp_syscall_resolve_name(text(name));
          const result = this.#lib.seccomp_rule_add_array(
            context,
            action,
            number,
            list.length,
            new Uint8Array(bytes.buffer),
          );
          this.#check(result, `rule for ${name}`);
        }
      }
    }
  }

  /** libseccomp's program for a profile on a machine of `arch`. */
  compile(profile: LinuxSeccomp, arch: "x64" | "arm64"): Uint8Array {
    const context = this.#lib.seccomp_init(returnValue(profile.defaultAction, profile.defaultErrnoRet));
    if (!context) throw new Error("libseccomp: init");
    const file = `/tmp/gantry-test-libseccomp-${process.pid}`;
    try {
      const native = NATIVE[process.arch as "x64" | "arm64"];
      if (arch !== process.arch) {
        this.#check(this.#lib.seccomp_arch_add(context, AUDIT[NATIVE[arch]]), "arch_add");
        this.#check(this.#lib.seccomp_arch_remove(context, AUDIT[native]), "arch_remove");
      }
      for (const name of profile.architectures ?? []) {
        const short = name.slice("SCMP_ARCH_".length) as keyof typeof AUDIT;
        if (short !== NATIVE[arch]) this.#check(this.#lib.seccomp_arch_add(context, AUDIT[short]), name);
      }
      this.#add(context, profile);
      const fd = openSync(file, "w");
      try {
        this.#check(this.#lib.seccomp_export_bpf(context, fd), "export");
      } finally {
        closeSync(fd);
      }
      return new Uint8Array(readFileSync(file));
    } finally {
      this.#lib.seccomp_release(context);
      try {
        unlinkSync(file);
      } catch {}
    }
  }

  readonly #highestOf = new WeakMap<LinuxSeccomp, Map<string, number>>();

  #highest(profile: LinuxSeccomp, arch: keyof typeof AUDIT): number {
    const known = this.#highestOf.get(profile) ?? new Map<string, number>();
    this.#highestOf.set(profile, known);
    const names = () => (profile.syscalls ?? []).flatMap((rule) => rule.names);
    if (!known.has(arch)) known.set(arch, Math.max(0, ...names().map((name) => this.number(name, arch))));
    return known.get(arch)!;
  }

  /** The verdict of runc: its ENOSYS stub before libseccomp's program. */
  verdict(profile: LinuxSeccomp, arch: "x64" | "arm64", program: Uint8Array, call: Call): number {
    if (!isPermissive(profile.defaultAction)) {
      const covered = new Set([NATIVE[arch], ...(profile.architectures ?? []).map((name) => name.slice(10))]);
      for (const one of covered as Set<keyof typeof AUDIT>) {
        if (auditOf(one) !== call.arch) continue;
        if (call.arch === AUDIT.X86_64 && (one === "X32") !== ((call.nr & 0x40000000) !== 0)) continue;
        const highest = this.#highest(profile, one);
        if (highest > 0 && call.nr >>> 0 > highest) return RET_ENOSYS;
      }
    }
    return run(program, call).verdict;
  }

  /** The profile without the names that this version of libseccomp has not heard of on every architecture. */
  known(profile: LinuxSeccomp): LinuxSeccomp {
    const arches = Object.keys(AUDIT) as (keyof typeof AUDIT)[];
    const older = (name: string, arch: keyof typeof AUDIT) =>
      syscallTable(arch).has(name) && this.number(name, arch) < 0 && !(arch === "X86" && multiplexed(name));
    const syscalls = (profile.syscalls ?? []).map((rule) => ({
      ...rule,
      names: rule.names.filter((name) => this.knows(name) && !arches.some((arch) => older(name, arch))),
    }));
    return { ...profile, syscalls };
  }
}
