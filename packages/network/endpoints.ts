import { randomBytes } from "node:crypto";
import { type EndpointSettings, forbidden, invalidParameter } from "@gantry/spec";
import { parseMac } from "@gantry/sys";
import { randomMac } from "./drivers/bridge.ts";
import { linkNameOption } from "./drivers/options.ts";
import { type Cidr, contains, parseAddress, parseCidr } from "./ipam/cidr.ts";
import { bare, type Endpoint, type NetworkRecord, type Sandbox } from "./model.ts";
import type { Networks } from "./networks.ts";
import { endpointSysctls } from "./sysctl.ts";

const REMEMBERED = 4096;
const LINK_LOCAL = ["169.254.0.0/16", "fe80::/10"].map((text) => parseCidr(text) as Cidr);
type LastPlace = Record<"ipv4" | "ipv6" | "mac", string>;

const isSame = (endpoint: Endpoint, last: LastPlace) =>
  bare(endpoint.ipv4) === last.ipv4 && bare(endpoint.ipv6) === last.ipv6;
const keyOf = (endpoint: Endpoint) => `${endpoint.containerId} ${endpoint.networkId}`;

/** Makes and unmakes endpoints: addresses, MAC, the driver's part that needs no namespace. */
export class Endpoints {
  /** What stopped containers had on their networks, by container and network: a container that is started again has it again. */
  private readonly last = new Map<string, LastPlace>();

  constructor(private readonly networks: Networks) {}

  /** Throws GantryError in Docker's words where a container cannot have such an endpoint. */
  check(network: NetworkRecord, settings: EndpointSettings): void {
    const problems: string[] = [];
    const wanted = settings.IPAMConfig;
    const addresses = [wanted?.IPv4Address, wanted?.IPv6Address].filter((text): text is string => Boolean(text));
    if (network.predefined) {
      if (addresses.length > 0) problems.push("user specified IP address is supported on user defined networks only");
      if ((settings.Aliases ?? []).length > 0) {
        problems.push("network-scoped alias is supported only for containers in user defined networks");
      }
    }
    const subnets = network.ipam.config.flatMap((pool) => parseCidr(pool.Subnet ?? "") ?? []);
    for (const text of addresses) {
      const address = parseAddress(text);
      const family = text === wanted?.IPv6Address ? 6 : 4;
      const own = subnets.filter((subnet) => subnet.family === family);
      if (own.length === 0 || !(network.userSubnet || network.predefined)) {
        problems.push(
          "user specified IP address is supported only when connecting to networks with user configured subnets",
        );
      } else if (address === null || !own.some((subnet) => contains(subnet, address))) {
        problems.push(`no configured subnet or ip-range contain the IP address ${text}`);
      }
    }
    if (wanted?.IPv4Address && parseAddress(wanted.IPv4Address)?.family !== 4) {
      problems.push(`invalid IPv4 address: ${wanted.IPv4Address}`);
    }
    if (wanted?.IPv6Address && parseAddress(wanted.IPv6Address)?.family !== 6) {
      problems.push(`invalid IPv6 address: ${wanted.IPv6Address}`);
    }
    for (const text of wanted?.LinkLocalIPs ?? []) {
      const address = parseAddress(text);
      if (address === null) problems.push(`invalid link-local IP address: ${text}`);
      else if (!LINK_LOCAL.some((block) => contains(block, address)))
        problems.push(`invalid link local IP address: ${text}`);
    }
    if (settings.MacAddress && parseMac(settings.MacAddress) === null) {
      throw invalidParameter(`invalid config for network ${network.name}: invalid MAC address ${settings.MacAddress}`);
    }
    if (problems.length > 0) {
      const list = problems.length === 1 ? problems[0] : problems.map((problem) => `* ${problem}`).join("\n");
      throw invalidParameter(`invalid config for network ${network.name}: invalid endpoint settings:\n${list}`);
    }
    endpointSysctls(settings.DriverOpts?.["com.docker.network.endpoint.sysctls"], "IFNAME");
    wantedInterfaceName(settings);
  }

  /** Allocates a new endpoint and adds it to the sandbox; from then on its network cannot be removed. */
  async create(sandbox: Sandbox, network: NetworkRecord, settings: EndpointSettings): Promise<Endpoint> {
    if (network.configOnly) throw forbidden("cannot create endpoint on configuration-only network");
    this.check(network, settings);
    if (sandbox.endpoints.some((endpoint) => endpoint.networkId === network.id)) {
      throw forbidden(`endpoint with name ${sandbox.name} already exists in network ${network.name}`);
    }
    const endpoint: Endpoint = {
      id: randomBytes(32).toString("hex"),
      networkId: network.id,
      containerId: sandbox.containerId,
      mac: settings.MacAddress ? settings.MacAddress.toLowerCase().replaceAll("-", ":") : randomMac(),
      ipv4: "",
      ipv6: "",
      gateway4: "",
      gateway6: "",
      linkLocal: (settings.IPAMConfig?.LinkLocalIPs ?? []).map(linkLocal),
      gwPriority: settings.GwPriority ?? 0,
      settings,
      interfaceName: "",
      hostInterface: "",
    };
    const { driver, ipam } = await this.networks.findDrivers(network);
    this.networks.refuseLeaving(network);
    if (driver.name === "host" || driver.name === "null") {
      endpoint.mac = "";
      sandbox.endpoints.push(endpoint);
      return endpoint;
    }
    try {
      const { mac } = endpoint;
      const wanted = settings.IPAMConfig;
      const last = this.last.get(keyOf(endpoint));
      if (network.ipv4) endpoint.ipv4 = await ipam.allocate(network, 4, wanted?.IPv4Address ?? "", mac, last?.ipv4);
      if (network.ipv6) endpoint.ipv6 = await ipam.allocate(network, 6, wanted?.IPv6Address ?? "", mac, last?.ipv6);
      // With its MAC too: what neighbours know stays true, whoever of the old and the new namespace they hear.
      if (last !== undefined && !settings.MacAddress && isSame(endpoint, last)) endpoint.mac = last.mac;
      const addresses = [endpoint.ipv4, endpoint.ipv6].filter((address) => address !== "");
      const asked = settings.IPAMConfig?.IPv4Address || settings.IPAMConfig?.IPv6Address;
      endpoint.announce = Boolean(asked) || addresses.some((address) => !ipam.isFresh(network, address));
      if (!network.internal) {
        endpoint.gateway4 = gatewayOf(network, endpoint.ipv4);
        endpoint.gateway6 = gatewayOf(network, endpoint.ipv6);
      }
      await driver.createEndpoint?.(network, endpoint);
      // Removed while a plugin was asked.
      this.networks.refuseLeaving(network);
    } catch (error) {
      await this.releaseAddresses(network, endpoint);
      throw error;
    }
    sandbox.endpoints.push(endpoint);
    return endpoint;
  }

  /** Gives an endpoint back. Never throws; returns the host interfaces that are left to delete. */
  async destroy(endpoint: Endpoint): Promise<string[]> {
    let left: string[] = [];
    const network = this.networks.find(endpoint.networkId);
    if (network === undefined) return endpoint.hostInterface === "" ? [] : [endpoint.hostInterface];
    try {
      const driver = this.networks.driver(network);
      left = await driver.detach(network, endpoint);
      await driver.deleteEndpoint?.(network, endpoint);
    } catch {
      // The driver is gone; then there is nothing of it to give back.
    }
    await this.releaseAddresses(network, endpoint);
    this.remember(network, endpoint);
    return left;
  }

  private remember(network: NetworkRecord, endpoint: Endpoint): void {
    // A plugin's addresses are its own business.
    if (network.ipam.driver !== "default" || (endpoint.ipv4 === "" && endpoint.ipv6 === "")) return;
    const key = keyOf(endpoint);
    this.last.delete(key);
    this.last.set(key, { ipv4: bare(endpoint.ipv4), ipv6: bare(endpoint.ipv6), mac: endpoint.mac });
    // Containers that are gone for good are forgotten by their number.
    if (this.last.size > REMEMBERED) this.last.delete(this.last.keys().next().value!);
  }

  private async releaseAddresses(network: NetworkRecord, endpoint: Endpoint): Promise<void> {
    for (const address of [endpoint.ipv4, endpoint.ipv6]) {
      try {
        if (address !== "") await this.networks.ipam(network).release(network, address);
      } catch {
        // The plugin is gone.
      }
    }
  }
}

/** The name that the interface shall have in the container, or "". Throws invalidParameter for one that the kernel would not take. */
export function wantedInterfaceName(settings: EndpointSettings): string {
  return linkNameOption(settings.DriverOpts ?? {}, "com.docker.network.endpoint.ifname");
}

/** The gateway of the network's subnet that holds the address. */
function gatewayOf(network: NetworkRecord, address: string): string {
  if (address === "") return "";
  const chosen = network.state[address.includes(":") ? "gateway6" : "gateway4"];
  if (chosen !== undefined) return chosen;
  const parsed = parseAddress(bare(address))!;
  for (const [text, gateway] of Object.entries(network.gateways)) {
    const subnet = parseCidr(text);
    if (subnet !== null && contains(subnet, parsed)) return gateway;
  }
  return "";
}

const linkLocal = (text: string) => (text.includes("/") ? text : `${text}/${text.includes(":") ? 64 : 16}`);
