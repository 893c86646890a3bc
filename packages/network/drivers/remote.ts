import { systemError } from "@gantry/spec";
import { isErrno, parseMac } from "@gantry/sys";
import type { Host } from "../host.ts";
import { parseAddress, parseCidr } from "../ipam/cidr.ts";
import { bare, type Endpoint, type NetworkRecord } from "../model.ts";
import type { Plugin } from "../plugins/plugin.ts";
import type { Driver } from "./driver.ts";
import { isLinkName } from "./options.ts";

interface RemoteInterface {
  Address?: string;
  AddressIPv6?: string;
  MacAddress?: string;
}

interface JoinAnswer {
  InterfaceName?: { SrcName?: string; DstPrefix?: string; DstName?: string };
  Gateway?: string;
  GatewayIPv6?: string;
  StaticRoutes?: { Destination?: string; RouteType?: number; NextHop?: string }[];
  DisableGatewayService?: boolean;
}

/** A network driver in a plugin, by libnetwork's remote protocol (`NetworkDriver.*`). */
export class RemoteDriver implements Driver {
  readonly name: string;

  constructor(
    private readonly plugin: Plugin,
    private readonly host: Host,
  ) {
    this.name = plugin.name;
  }

  check(): void {}

  async create(network: NetworkRecord): Promise<void> {
    const data = (family: 4 | 6) =>
      network.ipam.config
        .map((pool) => ({ pool, subnet: parseCidr(pool.Subnet ?? "") }))
        .filter(({ subnet }) => subnet?.family === family)
        .map(({ pool, subnet }) => ({
          AddressSpace: "LocalDefault",
          Pool: pool.Subnet,
          ...(pool.Gateway ? { Gateway: `${bare(pool.Gateway)}/${subnet!.prefix}` } : {}),
          AuxAddresses: pool.AuxiliaryAddresses ?? {},
        }));
    await this.call("CreateNetwork", {
      NetworkID: network.id,
      Options: {
        "com.docker.network.enable_ipv4": network.ipv4,
        "com.docker.network.enable_ipv6": network.ipv6,
        "com.docker.network.internal": network.internal,
        "com.docker.network.generic": network.options,
      },
      IPv4Data: data(4),
      IPv6Data: data(6),
    });
  }

  /** Plugins keep their own state. */
  restore(): void {}

  async remove(network: NetworkRecord): Promise<void> {
    await this.call("DeleteNetwork", { NetworkID: network.id });
  }

  async createEndpoint(network: NetworkRecord, endpoint: Endpoint): Promise<void> {
    const given = endpoint.settings.MacAddress ? endpoint.mac : "";
    const answer = await this.call("CreateEndpoint", {
      NetworkID: network.id,
      EndpointID: endpoint.id,
      Options: endpoint.settings.DriverOpts ?? {},
      Interface: { Address: endpoint.ipv4, AddressIPv6: endpoint.ipv6, MacAddress: given },
    });
    const mine = (answer["Interface"] ?? {}) as RemoteInterface;
    // A driver may only fill in what it was not given.
    for (const [field, value] of [
      ["ipv4", mine.Address],
      ["ipv6", mine.AddressIPv6],
    ] as const) {
      if (!value) continue;
      if (endpoint[field] !== "") throw systemError(`driver ${this.name} tried to change the address of an endpoint`);
      if (parseCidr(value)?.family !== (field === "ipv4" ? 4 : 6)) {
        throw systemError(`driver ${this.name} gave an invalid address ${JSON.stringify(value)}`);
      }
      endpoint[field] = value;
    }
    if (mine.MacAddress) {
      if (parseMac(mine.MacAddress) === null) throw systemError(`driver ${this.name} gave an invalid MAC address`);
      endpoint.mac = mine.MacAddress;
    }
  }

  async deleteEndpoint(network: NetworkRecord, endpoint: Endpoint): Promise<void> {
    await this.call("DeleteEndpoint", { NetworkID: network.id, EndpointID: endpoint.id });
  }

  async attach(network: NetworkRecord, endpoint: Endpoint, namespaceFd: number): Promise<void> {
    const answer = (await this.call("Join", {
      NetworkID: network.id,
      EndpointID: endpoint.id,
      SandboxKey: `/proc/${process.pid}/fd/${namespaceFd}`,
      Options: { "com.docker.network.sandbox.namespace": `/proc/${process.pid}/fd/${namespaceFd}` },
    })) as JoinAnswer;
    const source = answer.InterfaceName?.SrcName ?? "";
    const prefix = answer.InterfaceName?.DstPrefix || "eth";
    if (!isLinkName(source)) throw systemError(`driver ${this.name} gave no interface`);
    const name = answer.InterfaceName?.DstName || endpoint.interfaceName.replace(/^\D+/, prefix);
    const link = this.host.link(source);
    if (link === null) throw systemError(`driver ${this.name}: interface ${source} not found`);
    endpoint.interfaceName = isLinkName(name) ? name : endpoint.interfaceName;
    const gateway = (text: string | undefined, family: 4 | 6) =>
      text && parseAddress(bare(text))?.family === family ? bare(text) : "";
    endpoint.gateway4 = gateway(answer.Gateway, 4);
    endpoint.gateway6 = gateway(answer.GatewayIPv6, 6);
    endpoint.noGateway = answer.DisableGatewayService === true && endpoint.gateway4 === "" && endpoint.gateway6 === "";
    endpoint.routes = (answer.StaticRoutes ?? []).flatMap((route) => {
      if (!route.Destination || parseCidr(route.Destination) === null) return [];
      return [{ destination: route.Destination, ...(route.NextHop ? { gateway: bare(route.NextHop) } : {}) }];
    });
    const { netlink } = this.host;
    const mac = endpoint.mac === "" ? {} : { mac: endpoint.mac };
    netlink.run(netlink.batch().setLink(link.index, { up: false, name: endpoint.interfaceName, namespaceFd, ...mac }));
  }

  async detach(network: NetworkRecord, endpoint: Endpoint): Promise<string[]> {
    if (endpoint.interfaceName === "") return [];
    try {
      await this.call("Leave", { NetworkID: network.id, EndpointID: endpoint.id });
    } catch (error) {
      if (!isErrno(error)) return [];
    }
    return [];
  }

  private call(method: string, body: unknown): Promise<Record<string, unknown>> {
    return this.plugin.call(`NetworkDriver.${method}`, body);
  }
}
