import type { EntryType } from "./entry.ts";
import { BLOCK } from "./header.ts";
import { encodeName } from "./names.ts";
import { formatPaxRecord } from "./pax.ts";

/** What a member's header says. Only name and type are needed. */
export interface MemberHeader {
  /** Directories get their trailing slash by themselves. */
  name: string;
  type: Exclude<EntryType, "other">;
  linkname?: string;
  mode?: number;
  uid?: number;
  gid?: number;
  uname?: string;
  gname?: string;
  /** Payload that will follow, bytes. */
  size?: number;
  /** Seconds since the epoch; nanoseconds. */
  mtime?: number;
  mtimeNsec?: number;
  devMajor?: number;
  devMinor?: number;
  /** Written as SCHILY.xattr records, in the order of the names. */
  xattrs?: Map<string, Uint8Array>;
}

const FLAGS: Record<MemberHeader["type"], number> = {
  file: 0x30,
  link: 0x31,
  symlink: 0x32,
  char: 0x33,
  block: 0x34,
  dir: 0x35,
  fifo: 0x36,
};
const encoder = new TextEncoder();

/** Largest number an octal field of `width` bytes (with its NUL) holds. */
const octalMax = (width: number) => 8 ** (width - 1) - 1;

function putOctal(block: Uint8Array, at: number, width: number, value: number): void {
  encoder.encodeInto(value.toString(8).padStart(width - 1, "0"), block.subarray(at, at + width - 1));
}

function checksum(block: Uint8Array): void {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += block[i]!;
  putOctal(block, 148, 7, sum);
  block[154] = 0;
}

/**
 * The blocks that stand before a member's payload: a ustar header, and before it a pax header for whatever ustar cannot hold
 * (long or non-ASCII names, big numbers, fractions of seconds where `exactTimes`, attributes). The same input gives the
 * same bytes, always.
 */
export function encodeHeader(member: MemberHeader, exactTimes = false): Uint8Array {
  const records: Uint8Array[] = [];
  const block = new Uint8Array(BLOCK);
  const nameBytes = encodeName(member.type === "dir" && !member.name.endsWith("/") ? `${member.name}/` : member.name);
  if (!putName(block, nameBytes)) {
    records.push(formatPaxRecord("path", nameBytes));
    block.set(cut(nameBytes), 0);
  }
  const link = encodeName(member.linkname ?? "");
  if (link.length > 100 || !isAscii(link)) records.push(formatPaxRecord("linkpath", link));
  block.set(link.length > 100 ? cut(link) : link, 157);
  putOctal(block, 100, 8, (member.mode ?? 0) & 0o7777);
  const number = (key: string, at: number, width: number, value: number) => {
    if (value >= 0 && value <= octalMax(width)) return putOctal(block, at, width, value);
    records.push(formatPaxRecord(key, encoder.encode(String(value))));
    putOctal(block, at, width, 0);
  };
  number("uid", 108, 8, member.uid ?? 0);
  number("gid", 116, 8, member.gid ?? 0);
  number("size", 124, 12, member.size ?? 0);
  const mtime = member.mtime ?? 0;
  const nsec = exactTimes ? (member.mtimeNsec ?? 0) : 0;
  if (nsec !== 0 || mtime < 0 || mtime > octalMax(12)) {
    records.push(formatPaxRecord("mtime", encoder.encode(formatTime(mtime, nsec))));
  }
  putOctal(block, 136, 12, Math.min(Math.max(mtime, 0), octalMax(12)));
  block[156] = FLAGS[member.type];
  block.set(encoder.encode("ustar\x0000"), 257);
  const owner = (key: string, at: number, text: string | undefined) => {
    if (!text) return;
    const bytes = encoder.encode(text);
    if (bytes.length > 31 || !isAscii(bytes)) records.push(formatPaxRecord(key, bytes));
    else block.set(bytes, at);
  };
  owner("uname", 265, member.uname);
  owner("gname", 297, member.gname);
  putOctal(block, 329, 8, member.devMajor ?? 0);
  putOctal(block, 337, 8, member.devMinor ?? 0);
  for (const name of [...(member.xattrs?.keys() ?? [])].sort()) {
    records.push(formatPaxRecord(`SCHILY.xattr.${name}`, member.xattrs!.get(name)!));
  }
  checksum(block);
  return records.length === 0 ? block : Buffer.concat([paxBlocks(records, nameBytes), block]);
}

function paxBlocks(records: Uint8Array[], name: Uint8Array): Uint8Array {
  const body = Buffer.concat(records);
  const block = new Uint8Array(BLOCK);
  const base = name.subarray(name.lastIndexOf(0x2f, name.length - 2) + 1);
  block.set(cut(Buffer.concat([encoder.encode("PaxHeaders.0/"), base])), 0);
  putOctal(block, 100, 8, 0o644);
  putOctal(block, 108, 8, 0);
  putOctal(block, 116, 8, 0);
  putOctal(block, 124, 12, body.length);
  putOctal(block, 136, 12, 0);
  block[156] = 0x78;
  block.set(encoder.encode("ustar\x0000"), 257);
  checksum(block);
  return Buffer.concat([block, body, new Uint8Array((BLOCK - (body.length % BLOCK)) % BLOCK)]);
}

const isAscii = (bytes: Uint8Array) => bytes.every((byte) => byte < 0x80);
/** A stand-in for readers that know no pax: ASCII, and of a length that fits. */
const cut = (bytes: Uint8Array) => bytes.subarray(0, 100).map((byte) => (byte < 0x80 ? byte : 0x5f));

/** Puts the name in `name`, or split at a slash in `prefix` and `name`. False where it fits neither way. */
function putName(block: Uint8Array, name: Uint8Array): boolean {
  if (!isAscii(name)) return false;
  if (name.length <= 100) {
    block.set(name, 0);
    return true;
  }
  // The rest after the slash must not be empty, nor longer than 100.
  for (let slash = Math.min(155, name.length - 2); slash > 0 && name.length - slash - 1 <= 100; slash--) {
    if (name[slash] !== 0x2f) continue;
    block.set(name.subarray(0, slash), 345);
    block.set(name.subarray(slash + 1), 0);
    return true;
  }
  return false;
}

function formatTime(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return String(seconds);
  if (seconds >= 0) return `${seconds}.${String(nanoseconds).padStart(9, "0").replace(/0+$/, "")}`;
  const fraction = String(1_000_000_000 - nanoseconds)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `-${-seconds - 1}.${fraction}`;
}

/** Zero bytes between a payload of `size` bytes and the next header. */
export function padding(size: number): Uint8Array {
  return ZEROS.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}

const ZEROS = new Uint8Array(2 * BLOCK);

/** The end of an archive. */
export const TRAILER: Uint8Array = ZEROS;
