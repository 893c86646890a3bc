import { badArchive } from "./entry.ts";
import { decodeName } from "./names.ts";

/**
 * One 512-byte header block, all dialects: v7, ustar (POSIX.1-1988), pax's ustar, GNU ("ustar  "), star. Layout by
 * POSIX.1-2017 pax, "ustar Interchange Format", and the GNU tar manual, "Basic Tar Format".
 */
export const BLOCK = 512;

export interface RawHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: number;
  flag: number;
  linkname: string;
  uname: string;
  gname: string;
  devMajor: number;
  devMinor: number;
  gnu: boolean;
}

function text(block: Uint8Array, start: number, length: number): string {
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return decodeName(block, start, end);
}

/**
 * A numeric field: octal digits with blanks or NULs around them, or base-256 where the first bit is set (GNU, star).
 * Throws invalidParameter for anything else, and for numbers a double cannot hold exactly.
 */
export function parseNumber(block: Uint8Array, start: number, length: number): number {
  const first = block[start]!;
  if (first & 0x80) {
    const negative = (first & 0x40) !== 0;
    let value = negative ? (first & 0x7f) - 0x80 : first & 0x7f;
    for (let i = start + 1; i < start + length; i++) value = value * 256 + block[i]!;
    if (!Number.isSafeInteger(value)) throw badArchive("invalid tar header: number out of range");
    return value;
  }
  let i = start;
  const end = start + length;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  let value = 0;
  for (; i < end; i++) {
    const digit = block[i]! - 0x30;
    if (digit >= 0 && digit <= 7) value = value * 8 + digit;
    else if (block[i] === 0x20 || block[i] === 0) break;
    else throw badArchive("invalid tar header: bad number");
  }
  return value;
}

/** Whether the block's checksum is right, read as unsigned bytes (POSIX) or as signed ones (old Sun tar). */
export function checksumMatches(block: Uint8Array): boolean {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (i === 148) i = 156;
    const byte = block[i]!;
    unsigned += byte;
    if (byte >= 0x80) high++;
  }
  let wanted: number;
  try {
    wanted = parseNumber(block, 148, 8);
  } catch {
    return false;
  }
  return wanted === unsigned || wanted === unsigned - 256 * high;
}

export function isZeroBlock(block: Uint8Array): boolean {
  for (let i = 0; i < BLOCK; i++) if (block[i] !== 0) return false;
  return true;
}

const at = (block: Uint8Array, start: number, wanted: string) => {
  for (let i = 0; i < wanted.length; i++) if (block[start + i] !== wanted.charCodeAt(i)) return false;
  return true;
};

/** Decodes a header block. Throws invalidParameter where the checksum or a number is wrong. */
export function decodeHeader(block: Uint8Array): RawHeader {
  if (!checksumMatches(block)) throw badArchive("invalid tar header");
  const posix = at(block, 257, "ustar\0");
  const gnu = at(block, 257, "ustar  \0");
  const header: RawHeader = {
    name: text(block, 0, 100),
    mode: parseNumber(block, 100, 8),
    uid: parseNumber(block, 108, 8),
    gid: parseNumber(block, 116, 8),
    size: parseNumber(block, 124, 12),
    mtime: parseNumber(block, 136, 12),
    flag: block[156]!,
    linkname: text(block, 157, 100),
    uname: "",
    gname: "",
    devMajor: 0,
    devMinor: 0,
    gnu,
  };
  if (header.size < 0) throw badArchive("invalid tar header: negative size");
  if (posix || gnu) {
    header.uname = text(block, 265, 32);
    header.gname = text(block, 297, 32);
    if (header.flag === 0x33 || header.flag === 0x34) {
      header.devMajor = parseNumber(block, 329, 8);
      header.devMinor = parseNumber(block, 337, 8);
    }
  }
  if (posix) {
    const star = at(block, 508, "tar\0");
    const prefix = text(block, 345, star ? 131 : 155);
    if (prefix !== "") header.name = `${prefix}/${header.name}`;
  }
  return header;
}
