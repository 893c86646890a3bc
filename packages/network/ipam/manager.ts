import { forbidden, type IPAMPool, invalidParameter, messageOf, systemError } from "@gantry/spec";
import type { SubnetUsage } from "../contract.ts";
import { bare, type NetworkRecord } from "../model.ts";
import { AddressSet } from "./addresses.ts";
import { type Cidr, contains, covers, formatCidr, parseAddress, parseCidr } from "./cidr.ts";
import type { IpamDriver } from "./driver.ts";
import { refuseOverlap, type SubnetPools } from "./subnets.ts";

/** Address management of all networks: subnets that do not meet, and addresses within them. State is rebuilt from the networks and endpoints. */
export class AddressManager implements IpamDriver {
  private readonly sets = new Map<string, AddressSet[]>();

  constructor(private readonly pools: SubnetPools) {}

  /**
   * Checks what a user wants for a network and fills in what is missing: subnets from the default pools, gateways. `busy` are
   * blocks the host routes elsewhere, which chosen (not wanted) subnets stay clear of. Throws GantryError.
   */
  plan(network: NetworkRecord, busy: Cidr[]): void {
    const others = [...this.sets.values()].flat().map((set) => set.subnet);
    const config: IPAMPool[] = [];
    const idle: IPAMPool[] = [];
    const chosenHere = new Set<IPAMPool>();
    for (const pool of network.ipam.config) {
      const subnet = checkPool(pool);
      if ((subnet.family === 4 && !network.ipv4) || (subnet.family === 6 && !network.ipv6)) {
        idle.push(pool);
        continue;
      }
      refuseOverlap(subnet, others);
      others.push(subnet);
      config.push({ ...pool, Subnet: formatCidr(subnet) });
    }
    for (const family of [4, 6] as const) {
      const wanted = family === 4 ? network.ipv4 : network.ipv6;
      if (!wanted || config.some((pool) => parseCidr(pool.Subnet!)!.family === family)) continue;
      const chosen = this.pools.choose(family, [...others, ...busy]);
      others.push(chosen);
      const pool = { Subnet: formatCidr(chosen) };
      chosenHere.add(pool);
      config.push(pool);
    }
    network.ipam.config = config;
    if (idle.length > 0) network.ipam.idle = idle;
    network.gateways = {};
    for (const pool of config) {
      const gateway = chooseGateway(pool);
      network.gateways[pool.Subnet!] = gateway;
      if (chosenHere.has(pool) || network.predefined) pool.Gateway = gateway;
    }
  }

  /** Opens the books of a network whose `ipam.config` is complete. */
  open(network: NetworkRecord): void {
    const sets = network.ipam.config.filter((pool) => pool.Subnet).map(addressSet);
    for (const gateway of Object.values(network.gateways)) for (const set of sets) set.reserve(gateway);
    this.sets.set(network.id, sets);
  }

  close(network: NetworkRecord): void {
    this.sets.delete(network.id);
  }

  /** Gives an endpoint an address of one family with its prefix length: the wanted one, the one it had last, or the next free. Throws forbidden. */
  allocate(network: NetworkRecord, family: 4 | 6, wanted: string, _mac: string, last = ""): string {
    const sets = (this.sets.get(network.id) ?? []).filter((set) => set.subnet.family === family);
    if (wanted !== "") {
      const address = parseAddress(wanted);
      const set = sets.find((one) => address !== null && contains(one.subnet, address));
      if (set === undefined)
        throw invalidParameter(`no configured subnet or ip-range contain the IP address ${wanted}`);
      set.take(wanted);
      return `${wanted}/${set.subnet.prefix}`;
    }
    for (const set of sets) if (last !== "" && set.tryTake(last)) return `${last}/${set.subnet.prefix}`;
    for (const set of sets) {
      const address = set.next();
      if (address !== null) return `${address}/${set.subnet.prefix}`;
    }
    throw forbidden(
      `no available IPv${family} addresses on this network's address pools: ${network.name} (${network.id})`,
    );
  }

  isFresh(network: NetworkRecord, cidr: string): boolean {
    return (this.sets.get(network.id) ?? []).every((set) => set.isFresh(bare(cidr)));
  }

  /** Takes an address in that an endpoint held before a restart. */
  adopt(network: NetworkRecord, cidr: string): void {
    for (const set of this.sets.get(network.id) ?? []) {
      set.reserve(bare(cidr));
      set.advance(bare(cidr));
    }
  }

  /** Gives an address back. */
  release(network: NetworkRecord, cidr: string): void {
    const address = parseAddress(bare(cidr));
    if (address === null) return;
    for (const set of this.sets.get(network.id) ?? []) if (contains(set.subnet, address)) set.free(bare(cidr));
  }

  usage(network: NetworkRecord): SubnetUsage[] {
    return (this.sets.get(network.id) ?? []).map((set) => ({
      subnet: formatCidr(set.subnet),
      inUse: set.inUse,
      available: set.available,
    }));
  }
}

function checkPool(pool: IPAMPool): Cidr {
  const subnet = parseCidr(pool.Subnet ?? "");
  if (subnet === null)
    throw invalidParameter(`invalid network config:\ninvalid subnet ${pool.Subnet ?? ""}: invalid CIDR block notation`);
  if (parseAddress(bare(pool.Subnet!))!.value !== subnet.base) {
    throw invalidParameter(
      `invalid network config:\ninvalid subnet ${pool.Subnet}: it should be ${formatCidr(subnet)}`,
    );
  }
  if (pool.IPRange) {
    const range = parseCidr(pool.IPRange);
    if (range === null)
      throw invalidParameter(`invalid network config:\ninvalid ip-range ${pool.IPRange}: invalid CIDR block notation`);
    if (!covers(subnet, range)) {
      const why =
        range.prefix < subnet.prefix
          ? `CIDR block is bigger than its parent subnet ${formatCidr(subnet)}`
          : `parent subnet ${formatCidr(subnet)} doesn't contain ip-range`;
      throw invalidParameter(`invalid network config:\ninvalid ip-range ${pool.IPRange}: ${why}`);
    }
  }
  const addresses = { ...(pool.AuxiliaryAddresses ?? {}), ...(pool.Gateway ? { gateway: pool.Gateway } : {}) };
  for (const [name, text] of Object.entries(addresses)) {
    const address = parseAddress(bare(text));
    const what = name === "gateway" && text === pool.Gateway ? "gateway" : "auxiliary address";
    const shown = what === "gateway" ? text : name;
    if (address === null) throw invalidParameter(`invalid network config:\ninvalid ${what} ${shown}: invalid address`);
    if (!contains(subnet, address))
      throw invalidParameter(
        `invalid network config:\ninvalid ${what} ${shown}: parent subnet ${formatCidr(subnet)} doesn't contain this address`,
      );
  }
  return subnet;
}

/** The gateway asked for, or the first address, taken before those that are kept for others. Throws in Docker's words where one is taken already. */
function chooseGateway(pool: IPAMPool): string {
  const subnet = parseCidr(pool.Subnet!)!;
  const set = new AddressSet(subnet, pool.IPRange ? parseCidr(pool.IPRange)! : subnet);
  const take = (address: string, what: string) => {
    try {
      set.take(address);
    } catch (error) {
      throw systemError(`failed to allocate ${what}: ${messageOf(error)}`);
    }
  };
  if (pool.Gateway) take(bare(pool.Gateway), `gateway (${bare(pool.Gateway)})`);
  const gateway = pool.Gateway ? bare(pool.Gateway) : set.next();
  if (gateway === null) throw forbidden("no available IPv4 addresses on this network's address pools");
  for (const [name, address] of Object.entries(pool.AuxiliaryAddresses ?? {})) {
    take(bare(address), `secondary ip address (${name}:${bare(address)})`);
  }
  return gateway;
}

function addressSet(pool: IPAMPool): AddressSet {
  const subnet = parseCidr(pool.Subnet!)!;
  const set = new AddressSet(subnet, pool.IPRange ? parseCidr(pool.IPRange)! : subnet);
  for (const address of Object.values(pool.AuxiliaryAddresses ?? {})) set.reserve(bare(address));
  if (pool.Gateway) set.reserve(bare(pool.Gateway));
  return set;
}
