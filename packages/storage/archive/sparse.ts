import { badArchive, type Segment } from "./entry.ts";
import { BLOCK, parseNumber } from "./header.ts";
import { decodeName } from "./names.ts";
import { type PaxRecords, paxInteger } from "./pax.ts";

/** GNU tar's sparse files (manual, "Storing Sparse Files"). A map of more pieces than this is refused. */
export const MAX_SEGMENTS = 1 << 18;

/** Adds the (offset, length) pairs of an old GNU header or extension block. Returns whether another block follows. */
export function readOldGnuMap(block: Uint8Array, header: boolean, into: Segment[]): boolean {
  const start = header ? 386 : 0;
  const count = header ? 4 : 21;
  for (let i = 0; i < count; i++) {
    const at = start + i * 24;
    if (block[at] === 0) break;
    into.push({ offset: parseNumber(block, at, 12), length: parseNumber(block, at + 12, 12) });
    if (into.length > MAX_SEGMENTS) throw badArchive("invalid sparse file: too many segments");
  }
  return block[start + count * 24] !== 0;
}

/** Old GNU's logical size, in the header block. */
export const oldGnuRealSize = (block: Uint8Array) => parseNumber(block, 483, 12);

export interface SparsePax {
  /** Null in version 1.0, where the map stands before the data. */
  map: Segment[] | null;
  size: number;
  name?: string;
}

/** What GNU.sparse.* records say (versions 0.0, 0.1 and 1.0), or null where there are none. */
export function sparseFromPax(records: PaxRecords): SparsePax | null {
  const last = new Map<string, Uint8Array>();
  const numbers: number[] = [];
  for (const [key, value] of records) {
    if (!key.startsWith("GNU.sparse.")) continue;
    last.set(key.slice(11), value);
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      if ((key === "GNU.sparse.offset") !== (numbers.length % 2 === 0)) throw badArchive("invalid sparse map");
      numbers.push(paxInteger(value));
      if (numbers.length > 2 * MAX_SEGMENTS) throw badArchive("invalid sparse file: too many segments");
    }
  }
  const size = last.get("realsize") ?? last.get("size");
  if (size === undefined) return null;
  const nameBytes = last.get("name");
  const name = nameBytes && nameBytes.length > 0 ? decodeName(nameBytes) : undefined;
  if (name?.includes("\0")) throw badArchive("invalid tar header: NUL in a name");
  if (last.has("major") && !(paxInteger(last.get("major")!) === 0)) {
    if (paxInteger(last.get("major")!) !== 1) throw badArchive("unknown sparse format");
    return { map: null, size: paxInteger(size), name };
  }
  const listed = last.get("map");
  if (listed) {
    const parts = decodeName(listed).split(",");
    if (parts.length > 2 * MAX_SEGMENTS) throw badArchive("invalid sparse file: too many segments");
    for (const part of listed.length === 0 ? [] : parts) {
      if (!/^[0-9]{1,16}$/.test(part)) throw badArchive("invalid sparse map");
      numbers.push(Number(part));
    }
  }
  if (numbers.length % 2 !== 0) throw badArchive("invalid sparse map");
  const map: Segment[] = [];
  for (let i = 0; i < numbers.length; i += 2) map.push({ offset: numbers[i]!, length: numbers[i + 1]! });
  return { map, size: paxInteger(size), name };
}

/** Checks order, bounds and the total against the stored size; drops empty segments. */
export function checkSparse(map: Segment[], size: number, stored: number): Segment[] {
  let end = 0;
  let total = 0;
  for (const { offset, length } of map) {
    if (offset < end || length < 0 || !Number.isSafeInteger(offset + length)) throw badArchive("invalid sparse map");
    end = offset + length;
    total += length;
  }
  if (end > size || total !== stored) throw badArchive("invalid sparse map: sizes do not add up");
  return map.filter((segment) => segment.length > 0);
}

/** Gathers the decimal map at the front of a version 1.0 payload; it fills whole blocks. */
export class SparseMapReader {
  private numbers: number[] = [];
  private current = 0;
  private digits = 0;
  private seen = 0;

  /** Feeds one block. Returns the map once it is whole, else null. */
  push(block: Uint8Array): Segment[] | null {
    this.seen += BLOCK;
    for (let i = 0; i < BLOCK; i++) {
      const byte = block[i]!;
      if (byte === 0x0a) {
        if (this.digits === 0) throw badArchive("invalid sparse map");
        this.numbers.push(this.current);
        this.current = 0;
        this.digits = 0;
        const count = this.numbers[0]!;
        if (count > MAX_SEGMENTS) throw badArchive("invalid sparse file: too many segments");
        if (this.numbers.length === 1 + 2 * count) return this.segments();
      } else {
        const digit = byte - 0x30;
        if (digit < 0 || digit > 9 || ++this.digits > 16) throw badArchive("invalid sparse map");
        this.current = this.current * 10 + digit;
      }
    }
    return null;
  }

  private segments(): Segment[] {
    const map: Segment[] = [];
    for (let i = 1; i < this.numbers.length; i += 2) {
      map.push({ offset: this.numbers[i]!, length: this.numbers[i + 1]! });
    }
    return map;
  }

  /** Bytes of payload that the map took. */
  get length(): number {
    return this.seen;
  }
}
