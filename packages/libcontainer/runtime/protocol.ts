import type { ExitStatus } from "../contract.ts";

/** The control socket's requests; twin of ../shim/server.c. All numbers are little-endian. */
export const Op = {
  created: 1,
  start: 3,
  wait: 4,
  attach: 5,
  exec: 6,
  resize: 7,
  kill: 8,
  state: 9,
  reopenLog: 10,
  quit: 11,
  forget: 12,
} as const;

export const Want = { stdin: 1, stdout: 2, stderr: 4 } as const;

/** States as the shim counts them. */
export const ShimState = { created: 1, starting: 2, running: 3, exited: 4, stopped: 5 } as const;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A request frame: u32 length of the rest, u32 sequence, u16 operation, u16 flags, string id, body. */
export function encodeRequest(sequence: number, op: number, flags: number, id: string, body?: Uint8Array): Uint8Array {
  const name = encoder.encode(id);
  const length = 12 + 4 + name.length + 1 + (body?.length ?? 0);
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  view.setUint32(0, length - 4, true);
  view.setUint32(4, sequence, true);
  view.setUint16(8, op, true);
  view.setUint16(10, flags, true);
  view.setUint32(12, name.length, true);
  out.set(name, 16);
  if (body) out.set(body, 17 + name.length);
  return out;
}

export interface Reply {
  sequence: number;
  ok: boolean;
  body: Uint8Array;
}

export const REPLY_HEAD = 12;
const REPLY_MAX = 4096;

/** Takes whole replies off the front of a growing buffer. Throws on nonsense. */
export class ReplyReader {
  #buffer: Uint8Array = new Uint8Array(0);

  /** What is left after the last whole reply. */
  get rest(): Uint8Array {
    return this.#buffer;
  }

  push(chunk: Uint8Array): void {
    if (this.#buffer.length === 0) {
      this.#buffer = chunk.slice();
      return;
    }
    const joined = new Uint8Array(this.#buffer.length + chunk.length);
    joined.set(this.#buffer);
    joined.set(chunk, this.#buffer.length);
    this.#buffer = joined;
  }

  next(): Reply | null {
    const buffer = this.#buffer;
    if (buffer.length < REPLY_HEAD) return null;
    const view = new DataView(buffer.buffer, buffer.byteOffset);
    const rest = view.getUint32(0, true);
    if (rest < 8 || rest > REPLY_MAX) throw new Error("malformed reply from the container's shim");
    if (buffer.length < rest + 4) return null;
    this.#buffer = buffer.subarray(rest + 4);
    return {
      sequence: view.getUint32(4, true),
      ok: view.getUint32(8, true) === 0,
      body: buffer.subarray(REPLY_HEAD, rest + 4),
    };
  }
}

const viewOf = (body: Uint8Array) => new DataView(body.buffer, body.byteOffset, body.byteLength);

export const decodePid = (body: Uint8Array): number => viewOf(body).getInt32(0, true);

/** RFC 3339 with nanoseconds as Go prints it: no trailing zeros in the fraction. */
export function formatTime(seconds: number, nanoseconds: number): string {
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  const fraction = nanoseconds ? "." + String(nanoseconds).padStart(9, "0").replace(/0+$/, "") : "";
  return `${whole}${fraction}Z`;
}

export function decodeExit(body: Uint8Array): ExitStatus {
  const view = viewOf(body);
  const signal = view.getInt32(16, true);
  return {
    exitCode: view.getInt32(12, true),
    ...(signal ? { signal } : {}),
    oomKilled: view.getUint32(20, true) !== 0,
    exitedAt: formatTime(Number(view.getBigInt64(0, true)), view.getInt32(8, true)),
  };
}

export interface State {
  state: number;
  pid: number;
  terminal: boolean;
  ready: boolean;
  startAsked: boolean;
}

export function decodeState(body: Uint8Array): State {
  const view = viewOf(body);
  return {
    state: view.getUint32(0, true),
    pid: view.getInt32(4, true),
    terminal: view.getUint32(8, true) !== 0,
    ready: view.getUint32(12, true) !== 0,
    // A shim of an older daemon does not say; what it has was started.
    startAsked: body.length < 20 || view.getUint32(16, true) !== 0,
  };
}

export interface ShimFailure {
  errno: number;
  exitCode: number;
  message: string;
}

export function decodeFailure(body: Uint8Array): ShimFailure {
  const view = viewOf(body);
  return {
    errno: view.getInt32(0, true),
    exitCode: view.getUint32(4, true),
    message: decoder.decode(body.subarray(8)),
  };
}

export function sizeBody(height: number, width: number): Uint8Array {
  const body = new Uint8Array(4);
  viewOf(body).setUint16(0, height, true);
  viewOf(body).setUint16(2, width, true);
  return body;
}

export function signalBody(signal: number): Uint8Array {
  const body = new Uint8Array(4);
  viewOf(body).setUint32(0, signal, true);
  return body;
}
