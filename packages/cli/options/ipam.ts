import type { IPAMPool } from "@gantry/spec";
import { CliError } from "../errors.ts";

/**
 * Address pools from the lists of `network create`: ranges, gateways and auxiliary addresses go to the subnet they lie
 * in. Throws CliError where one lies in none.
 */
export function ipamPools(options: {
  subnets: readonly string[];
  ranges: readonly string[];
  gateways: readonly string[];
  auxiliary: Record<string, string>;
}): IPAMPool[] {
  const { subnets, ranges, gateways, auxiliary } = options;
  if (subnets.length < ranges.length || subnets.length < gateways.length) {
    throw new CliError("every ip-range or gateway must have a corresponding subnet");
  }
  const pools = new Map<string, IPAMPool>();
  // What is no address at all is left for the engine to refuse.
  if (![...subnets, ...ranges, ...gateways].every(isNet)) {
    return subnets.map((Subnet, i) => ({
      Subnet,
      ...(ranges[i] ? { IPRange: ranges[i] } : {}),
      ...(gateways[i] ? { Gateway: gateways[i] } : {}),
    }));
  }
  for (const subnet of subnets) {
    const net = parseNet(subnet);
    for (const other of pools.keys()) {
      const known = parseNet(other);
      if (contains(known, net) || contains(net, known))
        throw new CliError("multiple overlapping subnet configuration is not supported");
    }
    pools.set(subnet, { Subnet: subnet, AuxiliaryAddresses: {} });
  }
  const poolOf = (address: string) => {
    const net = parseNet(address);
    return [...pools].find(([subnet]) => contains(parseNet(subnet), net))?.[1];
  };
  for (const range of ranges) {
    const pool = poolOf(range);
    if (!pool) throw new CliError(`no matching subnet for range ${range}`);
    if (pool.IPRange)
      throw new CliError(
        `cannot configure multiple ranges (${range}, ${pool.IPRange}) on the same subnet (${pool.Subnet})`,
      );
    pool.IPRange = range;
  }
  for (const gateway of gateways) {
    const pool = poolOf(gateway);
    if (!pool) throw new CliError(`no matching subnet for gateway ${gateway}`);
    if (pool.Gateway)
      throw new CliError(
        `cannot configure multiple gateways (${gateway}, ${pool.Gateway}) for the same subnet (${pool.Subnet})`,
      );
    pool.Gateway = gateway;
  }
  for (const [name, address] of Object.entries(auxiliary)) {
    const pool = poolOf(address);
    if (!pool) throw new CliError(`no matching subnet for aux-address ${address}`);
    pool.AuxiliaryAddresses = { ...pool.AuxiliaryAddresses, [name]: address };
  }
  return [...pools.values()];
}

interface Net {
  bits: bigint;
  width: 32 | 128;
  prefix: number;
}

function parseNet(text: string): Net {
  const [address = "", length] = text.split("/");
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const width = v4 ? 32 : 128;
  const prefix = length === undefined ? width : Number(length);
  const bits = v4 ? parseV4(v4) : parseV6(address);
  if (bits === undefined || !Number.isInteger(prefix) || prefix < 0 || prefix > width || length === "") {
    throw new CliError(`invalid CIDR address: ${text}`);
  }
  return { bits, width, prefix };
}

function isNet(text: string): boolean {
  try {
    parseNet(text);
    return true;
  } catch {
    return false;
  }
}

function parseV4(match: RegExpExecArray): bigint | undefined {
  const bytes = match.slice(1).map(Number);
  return bytes.some((byte) => byte > 255) ? undefined : bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
}

function parseV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (!text.includes(":") || halves.length > 2) return undefined;
  const groups = (half: string) => (half ? half.split(":") : []);
  const [head, tail] = [groups(halves[0]!), groups(halves[1] ?? "")];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const all = [...head, ...Array<string>(halves.length === 1 ? 0 : missing).fill("0"), ...tail];
  if (all.some((group) => !/^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return all.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n);
}

function contains(outer: Net, inner: Net): boolean {
  if (outer.width !== inner.width || inner.prefix < outer.prefix) return false;
  const shift = BigInt(outer.width - outer.prefix);
  return outer.bits >> shift === inner.bits >> shift;
}
