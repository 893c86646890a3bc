import { close, inNetworkNamespace, isErrno, O, open, RouteNetlink } from "@gantry/sys";
import { bare, type Endpoint, prefixLength } from "./model.ts";
import { endpointSysctls, setSysctl } from "./sysctl.ts";

/** Which endpoint is the way out, for each family. */
export interface Gateways {
  v4: Endpoint | undefined;
  v6: Endpoint | undefined;
}

/** A container's network namespace, open. Everything in here is synchronous and takes about half a millisecond. */
export class Namespace {
  private readonly netlink: RouteNetlink;

  private constructor(
    readonly fd: number,
    home: boolean,
  ) {
    this.netlink = home ? RouteNetlink.open() : RouteNetlink.openIn(fd);
  }

  /** The namespace of a process; `null` where the process is gone. */
  static of(pid: number): Namespace | null {
    let fd: number;
    try {
      fd = open(`/proc/${pid}/ns/net`, O.RDONLY);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH")) return null;
      throw error;
    }
    try {
      return new Namespace(fd, false);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  close(): void {
    this.netlink.close();
    close(this.fd);
  }

  loopbackUp(): void {
    this.netlink.run(this.netlink.batch().setLink("lo", { up: true }));
  }

  /** The first free name "eth0", "eth1", … (or with another prefix). */
  freeName(prefix: string): string {
    const names = new Set(this.netlink.links().map((link) => link.name));
    for (let i = 0; ; i++) if (!names.has(`${prefix}${i}`)) return `${prefix}${i}`;
  }

  /** Gives an interface that a driver just put here its sysctls and addresses, and sets it up. Loopback comes up along. */
  configure(endpoint: Endpoint): void {
    const name = endpoint.interfaceName;
    const link = this.netlink.link(name);
    if (link === null) throw new Error(`interface ${name} is not in the container's namespace`);
    const sysctls = endpointSysctls(endpoint.settings.DriverOpts?.["com.docker.network.endpoint.sysctls"], name);
    inNetworkNamespace(this.fd, () => {
      // Else the kernel gives it a link-local address and starts talking about it.
      if (endpoint.ipv6 === "") setSysctl(`ipv6/conf/${name}/disable_ipv6`, "1");
      // Neighbours learn at once that the address has moved here.
      setSysctl(`ipv4/conf/${name}/arp_notify`, "1");
      for (const [path, value] of sysctls) setSysctl(path, value);
    });
    const batch = this.netlink.batch();
    for (const address of [endpoint.ipv4, endpoint.ipv6, ...endpoint.linkLocal]) {
      if (address !== "") batch.addAddress(link.index, address);
    }
    batch.setLink("lo", { up: true }).setLink(link.index, { up: true });
    for (const route of endpoint.routes ?? []) {
      batch.addRoute({ ...route, link: link.index });
    }
    this.netlink.run(batch);
  }

  /** Sets the default routes: removes those there are, adds those through the given endpoints. */
  setGateways(gateways: Gateways, fresh = false): void {
    const batch = this.netlink.batch();
    if (!fresh) {
      for (const family of [2, 10]) {
        for (const route of this.netlink.routes(family)) {
          const isDefault = route.destination === "0.0.0.0/0" || route.destination === "::/0";
          if (isDefault && route.table === 254) {
            const via = route.gateway === "" ? {} : { gateway: route.gateway };
            batch.deleteRoute({ destination: route.destination, link: route.link, ...via });
          }
        }
      }
    }
    for (const [endpoint, destination] of [
      [gateways.v4, "0.0.0.0/0"],
      [gateways.v6, "::/0"],
    ] as const) {
      if (endpoint === undefined) continue;
      const gateway = destination === "::/0" ? endpoint.gateway6 : endpoint.gateway4;
      const link = this.netlink.link(endpoint.interfaceName)!;
      const address = destination === "::/0" ? endpoint.ipv6 : endpoint.ipv4;
      // A gateway outside the interface's own block (a /32, say) must first be made a neighbour.
      if (prefixLength(address) >= (destination === "::/0" ? 127 : 31)) {
        batch.addRoute({ destination: `${bare(gateway)}/${destination === "::/0" ? 128 : 32}`, link: link.index });
      }
      batch.addRoute({ destination, gateway: bare(gateway), link: link.index });
    }
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
}
