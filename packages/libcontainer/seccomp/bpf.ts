import { invalidParameter } from "@gantry/spec";

/** Classic BPF as seccomp(2) takes it: opcodes, and an assembler that works from the last instruction backwards. */

export const LD_W_ABS = 0x20;
export const ALU_AND_K = 0x54;
export const JMP_JA = 0x05;
export const JMP_JEQ_K = 0x15;
export const JMP_JGT_K = 0x25;
export const JMP_JGE_K = 0x35;
export const RET_K = 0x06;

/** Most instructions the kernel takes in one filter (BPF_MAXINSNS). */
export const MAX_INSTRUCTIONS = 4096;

/** Offsets in struct seccomp_data. */
export const OFFSET_NR = 0;
export const OFFSET_ARCH = 4;
export const offsetLow = (arg: number) => 16 + 8 * arg;
export const offsetHigh = (arg: number) => 20 + 8 * arg;

/** A place to jump to: how many instructions there were, counted from the program's end, once its own was written. */
export type Label = number;

const LONGEST = 255;

/**
 * Assembles backwards: every jump goes forward in BPF, so each target is known before the jump to it is written, and
 * a conditional jump that is too far for its 8 bits gets an unconditional one beside it.
 */
export class Assembler {
  /** Words of one instruction each, last instruction first. */
  #code: number[] = [];
  #args: number[] = [];
  #returns = new Map<number, Label>();

  /** The instruction written last, which the next one written will fall through to. */
  get here(): Label {
    return this.#code.length;
  }

  #emit(code: number, k: number, jt = 0, jf = 0): Label {
    // At once, not when all is done: a profile comes from outside and may hold any number of rules.
    if (this.#code.length >= MAX_INSTRUCTIONS)
      throw invalidParameter(
        `seccomp profile needs more than ${MAX_INSTRUCTIONS} instructions, which the kernel takes`,
      );
    this.#code.push(code | (jt << 16) | (jf << 24));
    this.#args.push(k >>> 0);
    return this.#code.length;
  }

  load(offset: number): Label {
    return this.#emit(LD_W_ABS, offset);
  }

  and(mask: number): Label {
    return this.#emit(ALU_AND_K, mask);
  }

  /** Makes sure that what is written next runs into `target`. */
  goto(target: Label): Label {
    return this.here === target ? target : this.#emit(JMP_JA, this.here - target);
  }

  /** `ret value`: one written before where it is near, so that runs of rules share it. */
  ret(value: number): Label {
    const known = this.#returns.get(value);
    if (known !== undefined && this.here - known < LONGEST / 2) return known;
    const label = this.#emit(RET_K, value);
    this.#returns.set(value, label);
    return label;
  }

  /** Compares the accumulator with `k` and goes on at `yes` or `no`. */
  jump(code: number, k: number, yes: Label, no: Label): Label {
    if (yes === no) return this.goto(yes);
    let jt = yes;
    let jf = no;
    for (let far = true; far; ) {
      far = false;
      if (this.here - jt > LONGEST) {
        jt = this.#emit(JMP_JA, this.here - jt);
        far = true;
      }
      if (this.here - jf > LONGEST) {
        jf = this.#emit(JMP_JA, this.here - jf);
        far = true;
      }
    }
    return this.#emit(code, k, this.here - jt, this.here - jf);
  }

  /** The program, an array of struct sock_filter, in this machine's byte order (little-endian on x64 and arm64). */
  assemble(): Uint8Array {
    const size = this.#code.length;
    const bytes = new Uint8Array(size * 8);
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < size; index++) {
      view.setUint32(index * 8, this.#code[size - 1 - index]! >>> 0, true);
      view.setUint32(index * 8 + 4, this.#args[size - 1 - index]!, true);
    }
    return bytes;
  }
}
