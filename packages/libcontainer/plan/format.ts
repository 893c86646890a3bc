/**
 * The plan's binary format; twin of ../shim/plan.h. A plan is a magic number and records: u16 kind, u16 zero, u32
 * length, body. Numbers are little-endian; a string is u32 length, its bytes, a NUL; a list is u32 count and strings.
 */
export const PLAN_MAGIC = 0x314e4c50;
export const PLAN_MAX = 16 << 20;

export const Rec = {
  config: 1,
  exitFile: 2,
  log: 3,
  join: 4,
  uidMap: 5,
  gidMap: 6,
  cgroupProcs: 7,
  oom: 8,
  timeOffsets: 9,
  hook: 10,
  stateJson: 11,
  rootfs: 12,
  oci: 13,
  external: 14,
  cgroupDir: 15,
  args: 40,
  env: 41,
  cwd: 42,
  user: 43,
  caps: 44,
  rlimit: 45,
  seccomp: 46,
  oomScore: 47,
  personality: 48,
  scheduler: 49,
  ioPriority: 50,
  labels: 51,
  affinity: 52,
} as const;

export const Step = {
  propagation: 1,
  rootOverlay: 2,
  rootDirectory: 3,
  mount: 4,
  bind: 5,
  device: 6,
  symlink: 7,
  mask: 8,
  readonly: 9,
  sysctl: 10,
  cgroupNamespace: 11,
  console: 12,
  rootReadonly: 13,
  pivot: 14,
  hostname: 15,
  domainname: 16,
  hooksRuntime: 17,
  hooksContainer: 18,
  mkdir: 19,
  remount: 20,
  chroot: 21,
} as const;

export const Config = {
  terminal: 1,
  openStdin: 2,
  stdinOnce: 4,
  staged: 8,
  newPidNamespace: 16,
  early: 64,
} as const;

/** Flags of the cwd record. */
export const ProcessFlag = { mkdirCwd: 1, noNewPrivileges: 2, inherit: 4 } as const;

const encoder = new TextEncoder();

/** Grows a byte buffer; strings with a NUL inside are refused by an error, since the kernel would cut them. */
export class PlanWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(size = 4096) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  #room(n: number): number {
    const at = this.#length;
    if (at + n > this.#bytes.length) {
      if (at + n > PLAN_MAX) throw new RangeError("the container's description is too large");
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + n));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = at + n;
    return at;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  /** Negative numbers are written in two's complement. */
  u32(value: number): this {
    const at = this.#room(4);
    this.#view.setUint32(at, value >>> 0, true);
    return this;
  }

  u64(value: number | bigint): this {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    return this;
  }

  string(text: string): this {
    if (text.includes("\0")) throw new RangeError(`a NUL byte in ${JSON.stringify(text.slice(0, 80))}`);
    const most = text.length * 3;
    const at = this.#room(4 + most + 1);
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(at + 4, at + 4 + most));
    this.#view.setUint32(at, written, true);
    this.#bytes[at + 4 + written] = 0;
    this.#length = at + 4 + written + 1;
    return this;
  }

  list(texts: readonly string[]): this {
    this.u32(texts.length);
    for (const text of texts) this.string(text);
    return this;
  }

  /** The bytes with their length in front. */
  blob(bytes: Uint8Array): this {
    this.u32(bytes.length);
    return this.raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A record whose body `write` writes; may be nested. */
  record(kind: number, write: (writer: this) => void): this {
    this.u16(kind).u16(0);
    const at = this.#room(4);
    write(this);
    this.#view.setUint32(at, this.#length - at - 4, true);
    return this;
  }

  /** What was written; valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
