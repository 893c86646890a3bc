import { parseIp } from "@gantry/sys";

/**
 * DNS messages on the wire (RFC 1035, EDNS0 RFC 6891), as far as a resolver needs them that answers for containers and
 * forwards the rest unread. Input is hostile: every offset is checked, compression pointers only lead backwards.
 */

export const Type = { A: 1, CNAME: 5, PTR: 12, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, ANY: 255 } as const;
export const Rcode = { ok: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;

/** The largest message over UDP without EDNS (RFC 1035 §2.3.4). */
export const UDP_SIZE = 512;

export interface Query {
  id: number;
  /** Lower case, without the final dot; "" is the root. */
  name: string;
  type: number;
  class: number;
  recursionDesired: boolean;
  /** Where the question section ends. */
  questionEnd: number;
  /** Largest UDP answer that the client takes. */
  udpSize: number;
  edns: boolean;
}

/**
 * Reads a query of one question. Returns null for what deserves no answer (too short, or itself a response), or the
 * response code for what is malformed or of another kind.
 */
export function parseQuery(packet: Uint8Array): Query | { rcode: number } | null {
  if (packet.length < 12) return null;
  const flags = (packet[2]! << 8) | packet[3]!;
  if (flags & 0x8000) return null;
  if ((flags >> 11) & 0xf) return { rcode: Rcode.notImplemented };
  const questions = (packet[4]! << 8) | packet[5]!;
  if (questions !== 1) return { rcode: Rcode.formatError };
  const question = readName(packet, 12);
  if (!question || question.end + 4 > packet.length) return { rcode: Rcode.formatError };
  const at = question.end;
  const query: Query = {
    id: (packet[0]! << 8) | packet[1]!,
    name: question.name,
    type: (packet[at]! << 8) | packet[at + 1]!,
    class: (packet[at + 2]! << 8) | packet[at + 3]!,
    recursionDesired: (flags & 0x0100) !== 0,
    questionEnd: at + 4,
    udpSize: UDP_SIZE,
    edns: false,
  };
  const records = ((packet[6]! << 8) | packet[7]!) + ((packet[8]! << 8) | packet[9]!);
  const additional = (packet[10]! << 8) | packet[11]!;
  let offset = query.questionEnd;
  for (let i = 0; i < records + additional && i < 32; i++) {
    const owner = readName(packet, offset);
    if (!owner || owner.end + 10 > packet.length) return { rcode: Rcode.formatError };
    const type = (packet[owner.end]! << 8) | packet[owner.end + 1]!;
    const length = (packet[owner.end + 8]! << 8) | packet[owner.end + 9]!;
    if (owner.end + 10 + length > packet.length) return { rcode: Rcode.formatError };
    if (type === Type.OPT && i >= records) {
      query.edns = true;
      query.udpSize = Math.min(4096, Math.max(UDP_SIZE, (packet[owner.end + 2]! << 8) | packet[owner.end + 3]!));
    }
    offset = owner.end + 10 + length;
  }
  return query;
}

/** A name at an offset, and where what follows it begins; null where it is malformed or longer than 255 octets. */
export function readName(packet: Uint8Array, start: number): { name: string; end: number } | null {
  let name = "";
  let at = start;
  let end = -1;
  let total = 0;
  for (;;) {
    const length = packet[at];
    if (length === undefined) return null;
    if (length === 0) return { name, end: end < 0 ? at + 1 : end };
    if (length >= 0xc0) {
      const low = packet[at + 1];
      if (low === undefined) return null;
      const target = ((length & 0x3f) << 8) | low;
      if (end < 0) end = at + 2;
      if (target >= at) return null;
      at = target;
      // Each jump counts, so that a chain of pointers ends too.
      if ((total += 2) > 255) return null;
      continue;
    }
    if (length > 63 || at + 1 + length > packet.length || (total += length + 1) > 254) return null;
    if (name !== "") name += ".";
    for (let i = at + 1; i <= at + length; i++) {
      const c = packet[i]!;
      // A dot inside a label would read as two labels; no name of a container has one.
      name += c === 0x2e ? "\\." : String.fromCharCode(c >= 0x41 && c <= 0x5a ? c + 32 : c);
    }
    at += length + 1;
  }
}

/** A name on the wire, uncompressed. Labels over 63 octets are cut: names here come from validated container names. */
export function writeName(name: string): Uint8Array {
  const labels = name.split(".").filter((label) => label !== "");
  const out: number[] = [];
  for (const label of labels) {
    const bytes = new TextEncoder().encode(label).subarray(0, 63);
    out.push(bytes.length, ...bytes);
  }
  out.push(0);
  return new Uint8Array(out);
}

export interface Answer {
  type: number;
  data: Uint8Array;
}

/** Seconds that answers about containers may be cached, as in Docker. */
const TTL = 600;

/**
 * A response to a query: the question is echoed, answers share its name by a pointer. Where the client's limit is
 * exceeded, answers are left out and TC is set, so that it asks again over TCP. `limit` in bytes.
 */
export function buildResponse(
  packet: Uint8Array,
  query: Query,
  rcode: number,
  answers: Answer[],
  limit: number,
): Uint8Array {
  let size = query.questionEnd;
  let count = 0;
  const optLength = query.edns ? 11 : 0;
  for (const answer of answers) {
    const next = size + 12 + answer.data.length;
    if (next + optLength > limit) break;
    size = next;
    count++;
  }
  const out = new Uint8Array(size + optLength);
  out.set(packet.subarray(0, query.questionEnd));
  const truncated = count < answers.length;
  // Not as an authority, as Docker: busybox's nslookup tells of it.
  out[2] = 0x80 | (query.recursionDesired ? 1 : 0) | (truncated ? 2 : 0);
  out[3] = 0x80 | rcode;
  out[4] = 0;
  out[5] = 1;
  out[6] = count >> 8;
  out[7] = count & 0xff;
  out.fill(0, 8, 12);
  out[11] = query.edns ? 1 : 0;
  let at = query.questionEnd;
  for (let i = 0; i < count; i++) {
    const { type, data } = answers[i]!;
    out.set(
      [0xc0, 12, type >> 8, type & 0xff, 0, 1, 0, 0, TTL >> 8, TTL & 0xff, data.length >> 8, data.length & 0xff],
      at,
    );
    out.set(data, at + 12);
    at += 12 + data.length;
  }
  if (query.edns) out.set([0, 0, Type.OPT, 4096 >> 8, 0, 0, 0, 0, 0, 0, 0], at);
  return out;
}

/** The bare response to a query whose question could not be read. */
export function errorResponse(packet: Uint8Array, rcode: number): Uint8Array {
  const out = new Uint8Array(12);
  out[0] = packet[0]!;
  out[1] = packet[1]!;
  out[2] = 0x80 | (packet[2]! & 0x79);
  out[3] = 0x80 | rcode;
  return out;
}

/** Bytes of an IPv4 or IPv6 address in text; a zone is ignored. Throws where it is neither. */
export function addressBytes(address: string): Uint8Array {
  const bytes = parseIp(address.replace(/%.*$/, ""));
  if (!bytes) throw new Error(`not an IP address: ${address}`);
  return bytes;
}

/** The address that a PTR name asks about as lower-case hex of its bytes, or null where it is no such name. */
export function reverseKey(name: string): string | null {
  if (name.endsWith(".in-addr.arpa")) {
    const parts = name.slice(0, -13).split(".");
    if (parts.length !== 4 || parts.some((p) => !/^\d{1,3}$/.test(p) || Number(p) > 255)) return null;
    return addressKey(new Uint8Array(parts.reverse().map(Number)));
  }
  if (name.endsWith(".ip6.arpa")) {
    const nibbles = name.slice(0, -9).split(".");
    if (nibbles.length !== 32 || nibbles.some((n) => !/^[0-9a-f]$/.test(n))) return null;
    return nibbles.reverse().join("");
  }
  return null;
}

/** A key of an address: lower-case hex of its 4 or 16 bytes. */
export function addressKey(bytes: Uint8Array): string {
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
