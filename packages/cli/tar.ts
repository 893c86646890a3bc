/** The little of tar that `cp` and `build` need: ustar with pax records for what does not fit. */

export interface TarEntry {
  name: string;
  type: "file" | "directory" | "symlink" | "link" | "fifo" | "character" | "block" | "other";
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
  size: number;
  linkname: string;
  /** Of a device; 0, 0 without. */
  device?: Device;
}

export interface Device {
  major: number;
  minor: number;
}

const BLOCK = 512;
const TYPES: Record<TarEntry["type"], string> = {
  file: "0",
  link: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
  other: "0",
};
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Two empty blocks: the end of an archive. */
export const tarEnd = new Uint8Array(2 * BLOCK);

/** The zeros after a file's content. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The header of one entry, with a pax header before it where a field is too long for ustar. */
export function tarHeader(entry: TarEntry): Uint8Array {
  const records: [string, string][] = [];
  const fits = (text: string) => encoder.encode(text).length <= 100 && /^[\x20-\x7e]*$/.test(text);
  if (!fits(entry.name)) records.push(["path", entry.name]);
  if (!fits(entry.linkname)) records.push(["linkpath", entry.linkname]);
  if (entry.size > 0o77777777777) records.push(["size", String(entry.size)]);
  if (entry.uid > 0o7777777) records.push(["uid", String(entry.uid)]);
  if (entry.gid > 0o7777777) records.push(["gid", String(entry.gid)]);
  if (!Number.isInteger(entry.mtime)) records.push(["mtime", String(entry.mtime)]);
  if (records.length === 0) return block(entry, TYPES[entry.type]);
  const body = encoder.encode(records.map(([key, value]) => paxRecord(key, value)).join(""));
  const pax = block(
    { ...entry, name: "PaxHeaders.0/entry", linkname: "", size: body.length, mode: 0o644, uid: 0, gid: 0 },
    "x",
  );
  return concat([pax, body, tarPadding(body.length), block(entry, TYPES[entry.type])]);
}

function block(entry: TarEntry, type: string): Uint8Array {
  const out = new Uint8Array(BLOCK);
  const text = (at: number, length: number, value: string) => out.set(encoder.encode(value).subarray(0, length), at);
  const octal = (at: number, length: number, value: number) => {
    const most = 8 ** (length - 1) - 1;
    text(
      at,
      length,
      Math.max(0, Math.min(Math.trunc(value), most))
        .toString(8)
        .padStart(length - 1, "0"),
    );
  };
  text(0, 100, entry.name);
  octal(100, 8, entry.mode & 0o7777);
  octal(108, 8, entry.uid);
  octal(116, 8, entry.gid);
  octal(124, 12, entry.size);
  octal(136, 12, entry.mtime);
  text(156, 1, type);
  text(157, 100, entry.linkname);
  text(257, 8, "ustar\x0000");
  if (entry.device !== undefined) {
    octal(329, 8, entry.device.major);
    octal(337, 8, entry.device.minor);
  }
  out.fill(32, 148, 156);
  const sum = out.reduce((all, byte) => all + byte, 0);
  text(148, 8, `${sum.toString(8).padStart(6, "0")}\0 `);
  return out;
}

function paxRecord(key: string, value: string): string {
  const tail = ` ${key}=${value}\n`;
  const bytes = encoder.encode(tail).length;
  let length = bytes + String(bytes).length;
  if (String(length).length !== String(bytes).length) length = bytes + String(length).length;
  return `${length}${tail}`;
}

/**
 * Reads an archive piece by piece. Each entry's content has to be read (or skipped) before the next is asked for.
 * Throws an Error for a broken one.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ entry: TarEntry; content: () => AsyncGenerator<Uint8Array> }, void, undefined> {
  const reader = new Reader(source);
  let pax: Record<string, string> = {};
  let longName = "";
  let longLink = "";
  for (;;) {
    const head = await reader.take(BLOCK, true);
    if (!head || head.every((byte) => byte === 0)) return reader.drain();
    checkSum(head);
    const size = pax.size ? Number(pax.size) : number(head, 124, 12);
    if (!Number.isSafeInteger(size) || size < 0) throw new Error("archive/tar: invalid tar header");
    const type = String.fromCharCode(head[156]!);
    if (type === "x" || type === "g" || type === "L" || type === "K") {
      if (size > 1 << 20) throw new Error("archive/tar: header field too long");
      const body = (await reader.take(size))!;
      await reader.take(tarPadding(size).length);
      if (type === "x") pax = paxRecords(body);
      else if (type === "L") longName = cString(body);
      else if (type === "K") longLink = cString(body);
      continue;
    }
    const prefix = cString(head.subarray(345, 500));
    const ustar = cString(head.subarray(257, 262)) === "ustar" && head[262] === 0;
    const short = cString(head.subarray(0, 100));
    const kind = typeOf(type, short);
    const entry: TarEntry = {
      name: pax.path ?? (longName || (ustar && prefix ? `${prefix}/${short}` : short)),
      type: kind,
      mode: number(head, 100, 8) & 0o7777,
      uid: pax.uid ? Number(pax.uid) : number(head, 108, 8),
      gid: pax.gid ? Number(pax.gid) : number(head, 116, 8),
      mtime: pax.mtime ? Number(pax.mtime) : number(head, 136, 12),
      size,
      linkname: pax.linkpath ?? (longLink || cString(head.subarray(157, 257))),
      ...(kind === "character" || kind === "block"
        ? { device: { major: number(head, 329, 8), minor: number(head, 337, 8) } }
        : {}),
    };
    pax = {};
    longName = "";
    longLink = "";
    let left = entry.type === "file" ? size : 0;
    yield {
      entry,
      async *content() {
        while (left > 0) {
          const chunk = await reader.some(left);
          left -= chunk.length;
          yield chunk;
        }
      },
    };
    while (left > 0) left -= (await reader.some(left)).length;
    if (entry.type === "file") await reader.take(tarPadding(size).length);
  }
}

function typeOf(letter: string, name: string): TarEntry["type"] {
  if (letter === "5") return "directory";
  if (letter === "2") return "symlink";
  if (letter === "1") return "link";
  if (letter === "3") return "character";
  if (letter === "4") return "block";
  if (letter === "6") return "fifo";
  if (letter === "0" || letter === "\0" || letter === "7") return name.endsWith("/") ? "directory" : "file";
  return "other";
}

function paxRecords(body: Uint8Array): Record<string, string> {
  const records: Record<string, string> = {};
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(32, at);
    const length = Number(decoder.decode(body.subarray(at, Math.max(at, space))));
    if (space < 0 || !Number.isInteger(length) || length < 5 || at + length > body.length)
      throw new Error("archive/tar: invalid tar header");
    const record = decoder.decode(body.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    if (equals > 0) records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}

function number(head: Uint8Array, at: number, length: number): number {
  if (head[at]! & 0x80) {
    let value = head[at]! & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + head[at + i]!;
    return value;
  }
  const text = cString(head.subarray(at, at + length)).trim();
  return text ? Number.parseInt(text, 8) : 0;
}

function checkSum(head: Uint8Array): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : head[i]!;
  if (sum !== number(head, 148, 8)) throw new Error("archive/tar: invalid tar header");
}

function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

class Reader {
  #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }
  async take(length: number, orEnd = false): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [];
    let have = 0;
    while (have < length) {
      if (this.#rest.length === 0 && !(await this.#more())) {
        if (orEnd && have === 0) return undefined;
        throw new Error("unexpected EOF");
      }
      const part = this.#rest.subarray(0, length - have);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      have += part.length;
    }
    return parts.length === 1 ? parts[0] : concat(parts);
  }
  async some(most: number): Promise<Uint8Array> {
    if (this.#rest.length === 0 && !(await this.#more())) throw new Error("unexpected EOF");
    const part = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(part.length);
    return part;
  }
  async drain(): Promise<void> {
    while (await this.#more());
  }
  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done) return false;
      if (value.length === 0) continue;
      this.#rest = value;
      return true;
    }
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
