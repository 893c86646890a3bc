import type { DevicePolicy } from "./devices.ts";

/** Opcodes of eBPF (linux/bpf.h), as far as they are used here. */
const LDX_W = 0x61;
const ALU64_MOV_K = 0xb7;
const ALU64_MOV_X = 0xbf;
const ALU_AND_K = 0x54;
const ALU_RSH_K = 0x74;
const JMP_JNE_K = 0x55;
const JMP_JEQ_K = 0x15;
const JMP32_JNE_K = 0x56;
const JMP_JNE_X = 0x5d;
const EXIT = 0x95;

/** struct bpf_cgroup_dev_ctx: `access << 16 | type`, major, minor. */
const CTX_ACCESS_TYPE = 0;
const CTX_MAJOR = 4;
const CTX_MINOR = 8;
const TYPES = { b: 1, c: 2 };
const ACCESS: Record<string, number> = { m: 1, r: 2, w: 4 };
const ALL_ACCESS = 7;

const [R0, R1, R2, R3, R4, R5] = [0, 1, 2, 3, 4, 5] as const;

interface Instruction {
  code: number;
  dst?: number;
  src?: number;
  off?: number;
  imm?: number;
}

const SIZE = 8;

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * SIZE);
  const view = new DataView(bytes.buffer);
  program.forEach((one, index) => {
    view.setUint8(index * SIZE, one.code);
    view.setUint8(index * SIZE + 1, (one.dst ?? 0) | ((one.src ?? 0) << 4));
    view.setInt16(index * SIZE + 2, one.off ?? 0, true);
    view.setInt32(index * SIZE + 4, (one.imm ?? 0) | 0, true);
  });
  return bytes;
}

/**
 * Compiles a policy to a program of type BPF_PROG_TYPE_CGROUP_DEVICE, which the kernel runs at each open and mknod of
 * a device: 1 allows, 0 refuses. An exception that allows must cover all that is asked for; one that denies, any.
 */
export function compileDevicePolicy(policy: DevicePolicy): Uint8Array {
  const program: Instruction[] = [
    { code: LDX_W, dst: R2, src: R1, off: CTX_ACCESS_TYPE },
    { code: ALU64_MOV_X, dst: R3, src: R2 },
    { code: ALU_AND_K, dst: R2, imm: 0xffff },
    { code: ALU_RSH_K, dst: R3, imm: 16 },
    { code: LDX_W, dst: R4, src: R1, off: CTX_MAJOR },
    { code: LDX_W, dst: R5, src: R1, off: CTX_MINOR },
  ];
  const verdict = (allow: boolean): Instruction[] => [
    { code: ALU64_MOV_K, dst: R0, imm: allow ? 1 : 0 },
    { code: EXIT },
  ];
  for (const one of policy.exceptions) {
    const tests: Instruction[] = [{ code: JMP_JNE_K, dst: R2, imm: TYPES[one.type] }];
    const access = [...one.access].reduce((mask, letter) => mask | ACCESS[letter]!, 0);
    if (access !== ALL_ACCESS) {
      tests.push({ code: ALU64_MOV_X, dst: R1, src: R3 }, { code: ALU_AND_K, dst: R1, imm: access });
      if (policy.allowByDefault) tests.push({ code: JMP_JEQ_K, dst: R1, imm: 0 });
      else tests.push({ code: JMP_JNE_X, dst: R1, src: R3 });
    }
    // 32-bit compares: an immediate is sign-extended to 64, and device numbers may have the top bit set.
    if (one.major !== null) tests.push({ code: JMP32_JNE_K, dst: R4, imm: one.major });
    if (one.minor !== null) tests.push({ code: JMP32_JNE_K, dst: R5, imm: one.minor });
    const body = [...tests, ...verdict(!policy.allowByDefault)];
    // A failed test goes on behind this exception.
    tests.forEach((test, index) => {
      if (test.code !== ALU64_MOV_X && test.code !== ALU_AND_K) test.off = body.length - index - 1;
    });
    program.push(...body);
  }
  program.push(...verdict(policy.allowByDefault));
  return encode(program);
}
