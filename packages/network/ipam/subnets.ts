import { createHash } from "node:crypto";
import { forbidden, invalidParameter, notFound } from "@gantry/spec";
import { block, type Cidr, last, overlaps, parseCidr, size, width } from "./cidr.ts";

/** A pool that subnets are cut from, as `default-address-pools` has it: `size` is the prefix length of each. */
export interface AddressPool {
  base: string;
  size: number;
}

/** Docker's own default pools for IPv4, in the order they are tried. */
export const DEFAULT_POOLS: AddressPool[] = [
  { base: "172.17.0.0/16", size: 16 },
  { base: "172.18.0.0/16", size: 16 },
  { base: "172.19.0.0/16", size: 16 },
  { base: "172.20.0.0/14", size: 16 },
  { base: "172.24.0.0/14", size: 16 },
  { base: "172.28.0.0/14", size: 16 },
  { base: "192.168.0.0/16", size: 20 },
];

/** The /48 of unique local addresses (RFC 4193) that belongs to a host, derived from its machine ID. */
export function ulaPool(hostId: string): AddressPool {
  const hash = createHash("sha256").update(`gantry ULA ${hostId}`).digest("hex");
  return { base: `fd${hash.slice(0, 2)}:${hash.slice(2, 6)}:${hash.slice(6, 10)}::/48`, size: 64 };
}

/** Chooses subnets for networks: the first of the pools that meets no other network and no route of the host. */
export class SubnetPools {
  private readonly pools: { base: Cidr; size: number }[] = [];

  /** Throws invalidParameter where a pool is malformed. */
  constructor(pools: AddressPool[]) {
    for (const pool of pools) {
      const base = parseCidr(pool.base);
      if (base === null) throw invalidParameter(`invalid base pool ${JSON.stringify(pool.base)}`);
      if (pool.size < base.prefix || pool.size > width(base.family)) {
        throw invalidParameter(`invalid default address pool: ${pool.base} cannot be cut into /${pool.size} networks`);
      }
      this.pools.push({ base, size: pool.size });
    }
  }

  /** Throws notFound where every subnet meets something in `taken`. */
  choose(family: 4 | 6, taken: Cidr[]): Cidr {
    const mine = taken.filter((one) => one.family === family);
    for (const pool of this.pools) {
      if (pool.base.family !== family) continue;
      const end = last(pool.base);
      let candidate = block(family, pool.base.base, pool.size);
      while (candidate.base <= end) {
        const obstacle = mine.find((one) => overlaps(one, candidate));
        if (obstacle === undefined) return candidate;
        // Past the whole obstacle, so that one large route does not cost a step for each small subnet in it.
        const after = last(obstacle) > last(candidate) ? last(obstacle) + 1n : candidate.base + size(candidate);
        candidate = block(family, after, pool.size);
        if (candidate.base < after) candidate = { ...candidate, base: candidate.base + size(candidate) };
      }
    }
    throw notFound("all predefined address pools have been fully subnetted");
  }
}

/** Throws forbidden where a wanted subnet meets another network's. */
export function refuseOverlap(wanted: Cidr, others: Cidr[]): void {
  if (others.some((one) => overlaps(one, wanted))) {
    throw forbidden("invalid pool request: Pool overlaps with other one on this address space");
  }
}
