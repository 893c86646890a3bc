import { AF, close, inNetworkNamespace, isErrno, O, open, parseLink, type RouteBatch, RouteNetlink } from "@gantry/sys";
import { bare, type Endpoint, prefixLength } from "./model.ts";
import { ownAddresses } from "./own-address.ts";
import { endpointSysctls, setSysctl } from "./sysctl.ts";

const MAIN_TABLE = 254;
const UNICAST = 1;

/** Which endpoint is the way out, for each family. */
export interface Gateways {
  v4: Endpoint | undefined;
  v6: Endpoint | undefined;
}

/** A container's network namespace, open. Everything in here is synchronous and takes about half a millisecond. */
export class Namespace {
  private socket: RouteNetlink | undefined;

  private constructor(readonly fd: number) {}

  /** The namespace of a process; `null` where the process is gone. */
  static of(pid: number): Namespace | null {
    try {
      return new Namespace(open(`/proc/${pid}/ns/net`, O.RDONLY));
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH")) return null;
      throw error;
    }
  }

  close(): void {
    this.socket?.close();
    this.socket = undefined;
    close(this.fd);
  }

  loopbackUp(): void {
    this.netlink.run(this.netlink.batch().setLink("lo", { up: true }));
  }

  /** The names of its interfaces. */
  names(): Set<string> {
    return new Set(this.netlink.links().map((link) => link.name));
  }

  /**
   * Gives interfaces that drivers just put here their sysctls and addresses, and sets them up with loopback; `gateways` where
   * default routes are to be added too. One visit to the namespace and two round trips, however many there are.
   */
  configure(endpoints: Endpoint[], gateways?: Gateways): void {
    inNetworkNamespace(this.fd, () => {
      this.socket ??= RouteNetlink.open();
      for (const endpoint of endpoints) {
        const name = endpoint.interfaceName;
        // Else the kernel gives it a link-local address and starts talking about it.
        if (endpoint.ipv6 === "") setSysctl(`ipv6/conf/${name}/disable_ipv6`, "1");
        // Neighbours then learn at once that the address has moved here. Not always: a broadcast costs 8 µs for each container
        // on the bridge.
        if (endpoint.announce) {
          setSysctl(`ipv4/conf/${name}/arp_notify`, "1");
          if (endpoint.ipv6 !== "") setSysctl(`ipv6/conf/${name}/ndisc_notify`, "1");
        }
        const option = endpoint.settings.DriverOpts?.["com.docker.network.endpoint.sysctls"];
        for (const [path, value] of endpointSysctls(option, name)) setSysctl(path, value);
      }
    });
    const find = this.netlink.batch();
    for (const endpoint of endpoints) find.getLink(endpoint.interfaceName);
    const indexes = this.netlink.run(find).map((answer) => parseLink(answer[0]!.payload).index);
    const batch = this.netlink.batch().setLink("lo", { up: true });
    endpoints.forEach((endpoint, i) => {
      const link = indexes[i]!;
      for (const address of [endpoint.ipv4, endpoint.ipv6, ...endpoint.linkLocal]) {
        if (address !== "") batch.addAddress(link, address);
      }
      batch.setLink(link, { up: true });
      for (const route of endpoint.routes ?? []) batch.addRoute({ ...route, link });
    });
    if (gateways !== undefined) addGateways(batch, gateways, (endpoint) => indexes[endpoints.indexOf(endpoint)]!);
    // Asked for what it knows, the kernel first finishes what it still has to do for the link (see BridgeDriver.ready).
    for (const link of indexes) batch.getLink(link);
    this.netlink.run(batch);
  }

  /** Waits until packets for the endpoints' addresses are taken. */
  settled(endpoints: Endpoint[]): Promise<void> {
    return ownAddresses(
      this.netlink,
      endpoints.flatMap((endpoint) => [endpoint.ipv6, ...endpoint.linkLocal]),
    );
  }

  /** Replaces the default routes by those through the given endpoints. */
  setGateways(gateways: Gateways): void {
    const batch = this.netlink.batch();
    for (const family of [AF.INET, AF.INET6]) {
      for (const route of this.netlink.routes(family)) {
        const isDefault = route.destination === "0.0.0.0/0" || route.destination === "::/0";
        if (!isDefault || route.table !== MAIN_TABLE || route.type !== UNICAST) continue;
        const via = route.gateway === "" ? {} : { gateway: route.gateway };
        batch.deleteRoute({ destination: route.destination, link: route.link, ...via });
      }
    }
    addGateways(batch, gateways, (endpoint) => this.netlink.link(endpoint.interfaceName)!.index);
    this.netlink.run(batch);
  }

  deleteLink(name: string): void {
    try {
      this.netlink.run(this.netlink.batch().deleteLink(name));
    } catch (error) {
      if (!isErrno(error, "ENODEV")) throw error;
    }
  }

  links() {
    return this.netlink.links(true);
  }

  private get netlink(): RouteNetlink {
    this.socket ??= RouteNetlink.openIn(this.fd);
    return this.socket;
  }
}

function addGateways(batch: RouteBatch, gateways: Gateways, indexOf: (endpoint: Endpoint) => number): void {
  for (const six of [false, true]) {
    const endpoint = six ? gateways.v6 : gateways.v4;
    if (endpoint === undefined) continue;
    const link = indexOf(endpoint);
    const gateway = bare(six ? endpoint.gateway6 : endpoint.gateway4);
    // A gateway outside the interface's own block (a /32, say) must first be made a neighbour.
    if (prefixLength(six ? endpoint.ipv6 : endpoint.ipv4) >= (six ? 127 : 31)) {
      batch.addRoute({ destination: `${gateway}/${six ? 128 : 32}`, link });
    }
    batch.addRoute({ destination: six ? "::/0" : "0.0.0.0/0", gateway, link });
  }
}
