import type { IPAMPool } from "@gantry/spec";
import { invalidParameter, systemError } from "@gantry/spec";
import { bare, type NetworkRecord } from "../model.ts";
import type { Plugin } from "../plugins/plugin.ts";
import { contains, formatCidr, parseAddress, parseCidr } from "./cidr.ts";
import type { IpamDriver } from "./driver.ts";

const GATEWAY = { RequestAddressType: "com.docker.network.gateway" };

/** Address management in a plugin, by libnetwork's remote protocol (`IpamDriver.*`). */
export class RemoteIpam implements IpamDriver {
  constructor(private readonly plugin: Plugin) {}

  async plan(network: NetworkRecord): Promise<void> {
    const spaces = await this.call("GetDefaultAddressSpaces", {});
    const space = String(spaces["LocalDefaultAddressSpace"] ?? "");
    const wanted = network.ipam.config;
    const config: IPAMPool[] = [];
    network.pools = {};
    network.gateways = {};
    network.ipam.config = config;
    try {
      for (const family of [4, 6] as const) {
        if (family === 4 ? !network.ipv4 : !network.ipv6) continue;
        const own = wanted.filter((pool) => (pool.Subnet ?? "").includes(":") === (family === 6) && pool.Subnet);
        for (const pool of own.length > 0 ? own : [{}]) config.push(await this.request(network, space, family, pool));
      }
    } catch (error) {
      await this.close(network);
      throw error;
    }
  }

  open(): void {}

  async close(network: NetworkRecord): Promise<void> {
    for (const [subnet, pool] of Object.entries(network.pools ?? {})) {
      const gateway = network.gateways[subnet];
      await this.quietly("ReleaseAddress", gateway ? { PoolID: pool, Address: bare(gateway) } : undefined);
      await this.quietly("ReleasePool", { PoolID: pool });
    }
    network.pools = {};
  }

  async allocate(network: NetworkRecord, family: 4 | 6, wanted: string, mac: string): Promise<string> {
    const address = wanted === "" ? null : parseAddress(wanted);
    for (const [subnet, pool] of Object.entries(network.pools ?? {})) {
      const block = parseCidr(subnet);
      if (block?.family !== family || (address !== null && !contains(block, address))) continue;
      const answer = await this.call("RequestAddress", {
        PoolID: pool,
        Address: wanted,
        Options: { "com.docker.network.endpoint.macaddress": mac },
      });
      return this.cidr(answer["Address"]);
    }
    if (wanted !== "") throw invalidParameter(`no configured subnet or ip-range contain the IP address ${wanted}`);
    return "";
  }

  isFresh(): boolean {
    return false;
  }

  adopt(): void {}

  async release(network: NetworkRecord, cidr: string): Promise<void> {
    const address = parseAddress(bare(cidr));
    for (const [subnet, pool] of Object.entries(network.pools ?? {})) {
      const block = parseCidr(subnet);
      if (address === null || block === null || !contains(block, address)) continue;
      await this.quietly("ReleaseAddress", { PoolID: pool, Address: bare(cidr) });
    }
  }

  /** A plugin is not asked: the protocol has no question for it. */
  usage(): [] {
    return [];
  }

  private async request(network: NetworkRecord, space: string, family: 4 | 6, pool: IPAMPool): Promise<IPAMPool> {
    const answer = await this.call("RequestPool", {
      AddressSpace: space,
      Pool: pool.Subnet ?? "",
      SubPool: pool.IPRange ?? "",
      Options: network.ipam.options ?? {},
      V6: family === 6,
    });
    const subnet = parseCidr(String(answer["Pool"] ?? ""));
    const id = String(answer["PoolID"] ?? "");
    if (subnet?.family !== family || id === "")
      throw systemError(`IPAM driver ${this.plugin.name} gave no usable pool`);
    const text = formatCidr(subnet);
    network.pools![text] = id;
    const data = (answer["Data"] ?? {}) as Record<string, string>;
    let gateway = pool.Gateway ?? data["com.docker.network.gateway"];
    const asked = await this.call("RequestAddress", { PoolID: id, Address: bare(gateway ?? ""), Options: GATEWAY });
    gateway = bare(this.cidr(asked["Address"]));
    for (const auxiliary of Object.values(pool.AuxiliaryAddresses ?? {})) {
      await this.call("RequestAddress", { PoolID: id, Address: auxiliary, Options: {} });
    }
    network.gateways[text] = gateway;
    return { ...pool, Subnet: text, Gateway: gateway };
  }

  private cidr(value: unknown): string {
    const text = String(value ?? "");
    if (parseCidr(text) === null) throw systemError(`IPAM driver ${this.plugin.name} gave no usable address`);
    return text;
  }

  private call(method: string, body: unknown): Promise<Record<string, unknown>> {
    return this.plugin.call(`IpamDriver.${method}`, body);
  }

  /** Giving back must not fail the removal of what it was for. */
  private async quietly(method: string, body: unknown): Promise<void> {
    if (body === undefined) return;
    try {
      await this.call(method, body);
    } catch {}
  }
}
