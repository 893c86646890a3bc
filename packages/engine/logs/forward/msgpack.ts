import type { Frames } from "./frames.ts";

/**
 * The little of MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) that Fluentd's forward protocol needs:
 * writing strings and heads of arrays and maps, reading maps of strings.
 */

/** A string: its head of 1 to 5 bytes, and its bytes in UTF-8. */
export function packString(text: string, out: Frames): void {
  const length = Buffer.byteLength(text);
  if (length < 32) out.byte(0xa0 | length);
  else {
    const width = length < 0x100 ? 1 : length < 0x10000 ? 2 : 4;
    out.byte(width === 1 ? 0xd9 : width === 2 ? 0xda : 0xdb);
    out.unsigned(length, width);
  }
  out.text(text);
}

/** The head of a map of so many pairs (less than 65536). */
export function packMapHead(pairs: number, out: Frames): void {
  if (pairs < 16) out.byte(0x80 | pairs);
  else {
    out.byte(0xde);
    out.unsigned(pairs, 2);
  }
}

/** Pairs of a map, without its head. */
export function packPairs(record: Record<string, string>, out: Frames): void {
  for (const [key, value] of Object.entries(record)) {
    packString(key, out);
    packString(value, out);
  }
}

/** Reads maps of strings from a stream of them; gives what is whole, keeps the rest. Throws for anything else. */
export class MapReader {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): Record<string, string>[] {
    this.rest = Buffer.concat([this.rest, chunk]);
    if (this.rest.length > 1 << 20) throw new Error("an answer without end");
    const maps: Record<string, string>[] = [];
    for (;;) {
      const map = this.map();
      if (map === null) return maps;
      maps.push(map);
    }
  }

  private map(): Record<string, string> | null {
    const { rest } = this;
    if (rest.length === 0) return null;
    const head = rest[0] as number;
    let at = 1;
    let pairs = head & 0x0f;
    if (head === 0xde) {
      if (rest.length < 3) return null;
      pairs = rest.readUInt16BE(1);
      at = 3;
    } else if (head >> 4 !== 8) throw new Error("an answer that is no map");
    const map: Record<string, string> = Object.create(null);
    for (let i = 0; i < pairs; i++) {
      const key = readString(rest, at);
      const value = key === null ? null : readString(rest, key.end);
      if (key === null || value === null) return null;
      map[key.text] = value.text;
      at = value.end;
    }
    this.rest = rest.subarray(at);
    return map;
  }
}

function readString(from: Buffer, at: number): { text: string; end: number } | null {
  const head = from[at];
  if (head === undefined) return null;
  let start = at + 1;
  let length = head & 0x1f;
  // As text (d9, da, db) or as bytes (c4, c5, c6).
  const width =
    head >= 0xd9 && head <= 0xdb ? 1 << (head - 0xd9) : head >= 0xc4 && head <= 0xc6 ? 1 << (head - 0xc4) : 0;
  if (width > 0) {
    if (from.length < start + width) return null;
    length = from.readUIntBE(start, width);
    start += width;
  } else if (head >> 5 !== 5) throw new Error("an answer that is no text");
  return from.length < start + length
    ? null
    : { text: from.toString("utf8", start, start + length), end: start + length };
}
