import { formatIp, parseIp } from "@gantry/sys";

/** A block of addresses. `base` is its first address as a number. */
export interface Cidr {
  family: 4 | 6;
  base: bigint;
  prefix: number;
}

export const width = (family: 4 | 6) => (family === 4 ? 32 : 128);
export const size = (block: Cidr) => 1n << BigInt(width(block.family) - block.prefix);
export const last = (block: Cidr) => block.base + size(block) - 1n;

/** An address as a number with its family; `null` where the text is none. IPv4-mapped IPv6 counts as IPv4. */
export function parseAddress(text: string): { family: 4 | 6; value: bigint } | null {
  const bytes = parseIp(text);
  if (bytes === null) return null;
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  if (bytes.length === 16 && value >> 32n === 0xffffn) return { family: 4, value: value & 0xffff_ffffn };
  return { family: bytes.length === 4 ? 4 : 6, value };
}

export function addressBytes(family: 4 | 6, value: bigint): Uint8Array {
  const out = new Uint8Array(family === 4 ? 4 : 16);
  let rest = value;
  for (let i = out.length - 1; i >= 0; i--) {
    out[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return out;
}

export const formatAddress = (family: 4 | 6, value: bigint) => formatIp(addressBytes(family, value));

/** Parses `address/prefix`; host bits are cut off. `null` where the text is no CIDR. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const address = parseAddress(match[1]!);
  const prefix = Number(match[2]);
  if (address === null || prefix > width(address.family)) return null;
  return block(address.family, address.value, prefix);
}

/** The block of this length that holds the address. */
export function block(family: 4 | 6, value: bigint, prefix: number): Cidr {
  const host = BigInt(width(family) - prefix);
  return { family, base: (value >> host) << host, prefix };
}

export const formatCidr = (it: Cidr) => `${formatAddress(it.family, it.base)}/${it.prefix}`;

export function contains(it: Cidr, address: { family: 4 | 6; value: bigint }): boolean {
  return it.family === address.family && address.value >= it.base && address.value <= last(it);
}

export function overlaps(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.base <= last(b) && b.base <= last(a);
}

/** Whether `inner` lies wholly in `outer`. */
export function covers(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.family === inner.family &&
    inner.prefix >= outer.prefix &&
    outer.base <= inner.base &&
    last(inner) <= last(outer)
  );
}
