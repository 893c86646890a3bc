import { isErrno } from "./errno.ts";
import { NETLINK, NetlinkError, NetlinkSocket } from "./netlink.ts";
import { type NetlinkMessage, NLM_F } from "./netlink-message.ts";
import { RouteBatch, RTM } from "./netlink-route-batch.ts";
import {
  type AddressInfo,
  type LinkInfo,
  type NeighbourInfo,
  parseAddress,
  parseLink,
  parseNeighbour,
  parseRoute,
  type RouteInfo,
} from "./netlink-route-parse.ts";

const IFLA_EXT_MASK = 29;
/** Leaves the statistics of slaves and virtual functions out. */
const RTEXT_FILTER_SKIP_STATS = 8;

/**
 * Route netlink (rtnetlink(7)) of one network namespace: links, addresses, routes, neighbours. All calls are
 * synchronous. Changes are gathered in a `RouteBatch` and sent by one system call.
 */
export class RouteNetlink {
  private constructor(private readonly socket: NetlinkSocket) {}

  /** For this thread's namespace. */
  static open(): RouteNetlink {
    return new RouteNetlink(NetlinkSocket.open(NETLINK.ROUTE));
  }
  /** For the namespace behind a descriptor of /proc/<pid>/ns/net. */
  static openIn(namespaceFd: number): RouteNetlink {
    return new RouteNetlink(NetlinkSocket.openIn(namespaceFd, NETLINK.ROUTE));
  }
  close(): void {
    this.socket.close();
  }

  batch(): RouteBatch {
    return new RouteBatch();
  }
  /** Carries a batch out. Throws NetlinkError of the first message refused; the others have been carried out. */
  run(batch: RouteBatch): NetlinkMessage[][] {
    return batch.length === 0 ? [] : this.socket.transact(batch);
  }

  /**
   * As `run`, on another thread and another socket: for deletions, which take tens of milliseconds each. Refusals are
   * not reported; a deletion's only one is that somebody else was faster.
   */
  async runElsewhere(batch: RouteBatch): Promise<void> {
    if (batch.length === 0) return;
    const socket = NetlinkSocket.open(NETLINK.ROUTE);
    try {
      await socket.transactElsewhere(batch);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
    } finally {
      socket.close();
    }
  }

  /** A link by name or index, with its counters; `null` where there is none. */
  link(which: string | number): LinkInfo | null {
    const batch = new RouteBatch().getLink(which);
    try {
      const message = this.run(batch)[0]!.find((one) => one.type === RTM.NEWLINK);
      return message === undefined ? null : parseLink(message.payload);
    } catch (error) {
      if (isErrno(error, "ENODEV")) return null;
      throw error;
    }
  }

  /** All links; without counters unless asked for. */
  links(withStats = false): LinkInfo[] {
    const out: LinkInfo[] = [];
    const batch = new RouteBatch();
    batch.message(RTM.GETLINK, NLM_F.DUMP, "links").ifinfo(0, 0, 0, 0);
    if (!withStats) batch.attrU32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    this.socket.dump(batch, (message) => {
      if (message.type === RTM.NEWLINK) out.push(parseLink(message.payload));
    });
    return out;
  }

  /** Addresses of all links, of both families. */
  addresses(): AddressInfo[] {
    const out: AddressInfo[] = [];
    const batch = new RouteBatch();
    batch.message(RTM.GETADDR, NLM_F.DUMP, "addresses").u32(0).u32(0);
    this.socket.dump(batch, (message) => {
      if (message.type === RTM.NEWADDR) out.push(parseAddress(message.payload));
    });
    return out;
  }

  /** Routes of all tables of one family (`AF.INET` or `AF.INET6`). */
  routes(family: number): RouteInfo[] {
    const out: RouteInfo[] = [];
    const batch = new RouteBatch();
    batch.message(RTM.GETROUTE, NLM_F.DUMP, "routes").u8(family).u8(0).u8(0).u8(0).u32(0).u32(0);
    this.socket.dump(batch, (message) => {
      if (message.type === RTM.NEWROUTE) out.push(parseRoute(message.payload));
    });
    return out;
  }

  /** The route that packets to an address take, as it stands in its table, or those over one link; `null` where there is none. */
  routeTo(address: string, link?: number): RouteInfo | null {
    try {
      const message = this.run(new RouteBatch().getRoute(address, link))[0]!.find((one) => one.type === RTM.NEWROUTE);
      return message === undefined ? null : parseRoute(message.payload);
    } catch (error) {
      if (isErrno(error, "ENETUNREACH", "EHOSTUNREACH")) return null;
      throw error;
    }
  }

  /** Neighbours of one family, `AF_BRIDGE` (7) for forwarding databases. */
  neighbours(family: number): NeighbourInfo[] {
    const out: NeighbourInfo[] = [];
    const batch = new RouteBatch();
    batch.message(RTM.GETNEIGH, NLM_F.DUMP, "neighbours").u8(family).u8(0).u16(0).u32(0).u32(0);
    this.socket.dump(batch, (message) => {
      if (message.type === RTM.NEWNEIGH) out.push(parseNeighbour(message.payload));
    });
    return out;
  }
}
