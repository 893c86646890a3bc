import { badArchive } from "./entry.ts";
import { decodeName } from "./names.ts";

/** Records of a pax extended header in file order; a key may repeat (GNU sparse 0.0). Values as bytes. */
export type PaxRecords = [key: string, value: Uint8Array][];

/** Parses "<length> <key>=<value>\n" records (POSIX.1-2017 pax, "pax Extended Header"). */
export function parsePax(bytes: Uint8Array): PaxRecords {
  const records: PaxRecords = [];
  let at = 0;
  while (at < bytes.length) {
    // Some writers pad the last record's block with NULs inside the declared size.
    if (bytes[at] === 0) break;
    let length = 0;
    let i = at;
    for (; i < bytes.length && bytes[i] !== 0x20; i++) {
      const digit = bytes[i]! - 0x30;
      if (digit < 0 || digit > 9 || i - at > 9) throw badArchive("invalid tar header: bad pax record length");
      length = length * 10 + digit;
    }
    const end = at + length;
    if (i === at || end > bytes.length || end <= i + 1 || bytes[end - 1] !== 0x0a) {
      throw badArchive("invalid tar header: bad pax record");
    }
    const equals = bytes.indexOf(0x3d, i + 1);
    if (equals <= i + 1 || equals >= end) throw badArchive("invalid tar header: bad pax record");
    const key = decodeName(bytes, i + 1, equals);
    const value = bytes.slice(equals + 1, end - 1);
    const named = key === "path" || key === "linkpath" || key === "uname" || key === "gname";
    if (key.includes("\0") || (named && value.includes(0))) throw badArchive("invalid tar header: NUL in a pax record");
    records.push([key, value]);
    at = end;
  }
  return records;
}

/** A decimal whole number of a pax record, bounded to what a double holds exactly. */
export function paxInteger(value: Uint8Array): number {
  const digits = decodeName(value);
  const number = /^-?[0-9]{1,16}$/.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw badArchive(`invalid tar header: bad pax number`);
  return number;
}

/** A pax time "seconds[.fraction]" as whole seconds (rounded down) and nanoseconds. */
export function paxTime(value: Uint8Array): [seconds: number, nanoseconds: number] {
  const match = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(decodeName(value));
  if (!match) throw badArchive("invalid tar header: bad pax time");
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? "").slice(0, 9).padEnd(9, "0"));
  if (match[1] !== "-") return [seconds, nanoseconds];
  return nanoseconds === 0 ? [-seconds, 0] : [-seconds - 1, 1_000_000_000 - nanoseconds];
}

/** The extended attribute that a pax record carries, or null: star's raw values, libarchive's base64. */
export function paxXattr(key: string, value: Uint8Array): [name: string, value: Uint8Array] | null {
  if (key.startsWith("SCHILY.xattr.")) return [key.slice(13), value];
  if (key.startsWith("LIBARCHIVE.xattr.")) {
    let name = key.slice(17);
    try {
      name = decodeURIComponent(name);
    } catch {
      return null;
    }
    return [name, Buffer.from(decodeName(value), "base64")];
  }
  return null;
}

/** One record's bytes, its own length included in the count. */
export function formatPaxRecord(key: string, value: Uint8Array): Uint8Array {
  const body = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}
