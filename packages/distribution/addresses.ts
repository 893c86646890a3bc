import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/** The host without port and brackets of `host[:port]`. */
export function hostname(host: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(host);
  if (bracketed?.[1]) return bracketed[1];
  return host.replace(/:\d+$/, "");
}

/** The addresses of a host name, itself where it is one; none where it cannot be resolved. */
export async function addressesOf(name: string): Promise<string[]> {
  if (isIP(name)) return [name];
  if (name === "localhost") return ["127.0.0.1"];
  try {
    return (await lookup(name, { all: true })).map((entry) => entry.address);
  } catch {
    return [];
  }
}

/** Whether any of the addresses lies in any of the CIDRs; entries that are no CIDR are passed over. */
export function inAnyRange(addresses: readonly string[], ranges: readonly string[]): boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = "", prefix = ""] = range.split("/");
    const family = isIP(network);
    const bits = Number(prefix);
    if (!family || !/^\d+$/.test(prefix) || bits > (family === 6 ? 128 : 32)) continue;
    list.addSubnet(network, bits, family === 6 ? "ipv6" : "ipv4");
  }
  return addresses.some((address) => list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4"));
}

export const LOOPBACK = ["127.0.0.0/8", "::1/128"];
