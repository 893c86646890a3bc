import { parseIp, parseMac } from "./ip-address.ts";
import { NetlinkBatch, NLM_F } from "./netlink-message.ts";
import { AF } from "./socket.ts";

export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
} as const;

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  LINKINFO: 18,
  NET_NS_PID: 19,
  AF_SPEC: 26,
  NET_NS_FD: 28,
} as const;
const INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const BRPORT = { MODE: 4, LEARNING: 8, UNICAST_FLOOD: 9, ISOLATED: 33 } as const;
const IFF_UP = 1;
const IFF_NOARP = 0x80;
const IFA_F_NODAD = 2;
const RT_TABLE_MAIN = 254;
const RTPROT_BOOT = 3;
const RTM_F_FIB_MATCH = 0x2000;
const NTF = { SELF: 2, MASTER: 4 } as const;
const NUD_PERMANENT = 0x80;

/** What a link is or is to become. A namespace is given by a descriptor, or by the pid of a process in it. */
export interface LinkSettings {
  name?: string;
  mac?: string;
  mtu?: number;
  /** Index of the bridge to be a port of; 0 takes it out. */
  master?: number;
  up?: boolean;
  namespaceFd?: number;
  namespacePid?: number;
  /** `none`: no IPv6 link-local address comes by itself. Of a link that is down. */
  addressGeneration?: "eui64" | "none";
}

/** The kinds of link that can be made, with their own parameters (ip-link(8)). */
export type LinkKind =
  | { kind: "bridge"; multicastSnooping?: boolean }
  | { kind: "dummy" }
  | { kind: "macvlan"; parent: number; mode: "private" | "vepa" | "bridge" | "passthru" }
  | { kind: "ipvlan"; parent: number; mode: "l2" | "l3" | "l3s"; flag: "bridge" | "private" | "vepa" }
  | { kind: "vlan"; parent: number; id: number }
  | { kind: "vxlan"; id: number; local?: string; port: number; learning: boolean };

export interface BridgePortFlags {
  isolated?: boolean;
  hairpin?: boolean;
}

const MACVLAN_MODE = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const IPVLAN_MODE = { l2: 0, l3: 1, l3s: 2 } as const;
const IPVLAN_FLAG = { bridge: 0, private: 1, vepa: 2 } as const;

/** Changes to links, addresses, routes and neighbours, to be sent at once by `RouteNetlink.run`. */
export class RouteBatch extends NetlinkBatch {
  ifinfo(family: number, index: number, flags: number, change: number): this {
    return this.u8(family).u8(0).u16(0).u32(index).u32(flags).u32(change);
  }

  getLink(which: string | number): this {
    this.message(RTM.GETLINK, NLM_F.ACK, `link ${which}`);
    if (typeof which === "number") return this.ifinfo(0, which, 0, 0);
    return this.ifinfo(0, 0, 0, 0).attrString(IFLA.IFNAME, which);
  }

  /** A virtual Ethernet pair; either end can be born in another namespace, up, named and enslaved. EEXIST where a name is taken. */
  createVeth(settings: LinkSettings, peer: LinkSettings): this {
    this.message(RTM.NEWLINK, NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL, `create ${settings.name ?? "veth"}`);
    this.ifinfo(0, 0, settings.up ? IFF_UP : 0, settings.up ? IFF_UP : 0).linkAttributes(settings);
    return this.nest(IFLA.LINKINFO, () => {
      this.attrString(INFO.KIND, "veth").nest(INFO.DATA, () => {
        this.nest(1, () => {
          this.ifinfo(0, 0, peer.up ? IFF_UP : 0, peer.up ? IFF_UP : 0).linkAttributes(peer);
        });
      });
    });
  }

  /** Any other link. EOPNOTSUPP where the kernel does not have the kind. */
  createLink(settings: LinkSettings, kind: LinkKind): this {
    this.message(RTM.NEWLINK, NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL, `create ${kind.kind} ${settings.name ?? ""}`);
    this.ifinfo(0, 0, settings.up ? IFF_UP : 0, settings.up ? IFF_UP : 0).linkAttributes(settings);
    if ("parent" in kind) this.attrU32(IFLA.LINK, kind.parent);
    return this.nest(IFLA.LINKINFO, () => {
      this.attrString(INFO.KIND, kind.kind).nest(INFO.DATA, () => this.kindAttributes(kind));
    });
  }

  /** Changes a link, by index or present name. */
  setLink(which: string | number, settings: LinkSettings): this {
    this.message(RTM.NEWLINK, NLM_F.ACK, `set ${which}`);
    const flags = settings.up === undefined ? 0 : IFF_UP;
    this.ifinfo(0, typeof which === "number" ? which : 0, settings.up ? IFF_UP : 0, flags);
    if (typeof which === "string") {
      if (settings.name !== undefined) throw new RangeError("a rename needs the link's index");
      this.attrString(IFLA.IFNAME, which);
    }
    return this.linkAttributes(settings);
  }

  setArp(which: number, on: boolean): this {
    return this.message(RTM.NEWLINK, NLM_F.ACK, `set ${which}`).ifinfo(0, which, on ? 0 : IFF_NOARP, IFF_NOARP);
  }

  deleteLink(which: string | number): this {
    this.message(RTM.DELLINK, NLM_F.ACK, `delete ${which}`);
    this.ifinfo(0, typeof which === "number" ? which : 0, 0, 0);
    return typeof which === "string" ? this.attrString(IFLA.IFNAME, which) : this;
  }

  /** Flags of a bridge's port. */
  setBridgePort(which: string | number, flags: BridgePortFlags): this {
    this.message(RTM.NEWLINK, NLM_F.ACK, `bridge port ${which}`);
    this.ifinfo(0, typeof which === "number" ? which : 0, 0, 0);
    if (typeof which === "string") this.attrString(IFLA.IFNAME, which);
    return this.nest(IFLA.LINKINFO, () => {
      this.attrString(INFO.SLAVE_KIND, "bridge").nest(INFO.SLAVE_DATA, () => {
        if (flags.isolated !== undefined) this.attrU8(BRPORT.ISOLATED, flags.isolated ? 1 : 0);
        if (flags.hairpin !== undefined) this.attrU8(BRPORT.MODE, flags.hairpin ? 1 : 0);
      });
    });
  }

  /** An address in CIDR form; IPv6 without duplicate detection. A repeated one is no error. */
  addAddress(link: number, cidr: string): this {
    const { family, bytes, prefix } = cidrBytes(cidr);
    this.message(RTM.NEWADDR, NLM_F.ACK | NLM_F.CREATE | NLM_F.REPLACE, `address ${cidr}`);
    this.u8(family).u8(prefix).u8(0).u8(0).u32(link);
    this.attr(2, bytes).attr(1, bytes);
    if (family === AF.INET6) return this.attrU32(8, IFA_F_NODAD);
    if (prefix < 31) {
      const broadcast = bytes.slice();
      for (let i = 0; i < 4; i++) broadcast[i]! |= 255 >>> Math.min(8, Math.max(0, prefix - i * 8));
      this.attr(4, broadcast);
    }
    return this;
  }

  deleteAddress(link: number, cidr: string): this {
    const { family, bytes, prefix } = cidrBytes(cidr);
    this.message(RTM.DELADDR, NLM_F.ACK, `address ${cidr}`);
    return this.u8(family).u8(prefix).u8(0).u8(0).u32(link).attr(2, bytes);
  }

  /** A unicast route of the main table. Without a gateway the destination is on the link itself. */
  addRoute(route: { destination: string; gateway?: string; link: number; metric?: number; source?: string }): this {
    this.message(RTM.NEWROUTE, NLM_F.ACK | NLM_F.CREATE | NLM_F.REPLACE, `route ${route.destination}`);
    return this.routeBody(route);
  }

  deleteRoute(route: { destination: string; gateway?: string; link: number }): this {
    this.message(RTM.DELROUTE, NLM_F.ACK, `route ${route.destination}`);
    return this.routeBody(route);
  }

  /** Asks for the route to an address. ENETUNREACH where there is none. */
  getRoute(address: string, link?: number): this {
    const bytes = ipBytes(address);
    this.message(RTM.GETROUTE, NLM_F.ACK, `route to ${address}`);
    this.u8(bytes.length === 4 ? AF.INET : AF.INET6)
      .u8(bytes.length * 8)
      .u16(0)
      .u32(0)
      .u32(RTM_F_FIB_MATCH);
    this.attr(1, bytes);
    return link === undefined ? this : this.attrU32(4, link);
  }

  /** A permanent neighbour entry. */
  addNeighbour(link: number, ip: string, mac: string): this {
    const bytes = ipBytes(ip);
    this.message(RTM.NEWNEIGH, NLM_F.ACK | NLM_F.CREATE | NLM_F.REPLACE, `neighbour ${ip}`);
    this.u8(bytes.length === 4 ? AF.INET : AF.INET6)
      .u8(0)
      .u16(0)
      .u32(link)
      .u16(NUD_PERMANENT)
      .u8(0)
      .u8(0);
    return this.attr(1, bytes).attr(2, macBytes(mac));
  }

  /** An entry of a forwarding database (VXLAN: MAC behind a remote tunnel end). */
  addFdb(link: number, mac: string, remote?: string): this {
    this.message(RTM.NEWNEIGH, NLM_F.ACK | NLM_F.CREATE | NLM_F.REPLACE, `fdb ${mac}`);
    this.u8(7)
      .u8(0)
      .u16(0)
      .u32(link)
      .u16(NUD_PERMANENT)
      .u8(remote === undefined ? NTF.MASTER : NTF.SELF)
      .u8(0);
    this.attr(2, macBytes(mac));
    return remote === undefined ? this : this.attr(1, ipBytes(remote));
  }

  private routeBody(route: {
    destination: string;
    gateway?: string;
    link: number;
    metric?: number;
    source?: string;
  }): this {
    const { family, bytes, prefix } = cidrBytes(route.destination);
    const LINK_SCOPE = 253;
    const scope = route.gateway === undefined && family === AF.INET ? LINK_SCOPE : 0;
    this.u8(family).u8(prefix).u8(0).u8(0).u8(RT_TABLE_MAIN).u8(RTPROT_BOOT).u8(scope).u8(1).u32(0);
    if (prefix > 0) this.attr(1, bytes);
    this.attrU32(4, route.link);
    if (route.gateway !== undefined) this.attr(5, ipBytes(route.gateway));
    if (route.source !== undefined) this.attr(7, ipBytes(route.source));
    if (route.metric !== undefined) this.attrU32(6, route.metric);
    return this;
  }

  private linkAttributes(settings: LinkSettings): this {
    if (settings.name !== undefined) this.attrString(IFLA.IFNAME, settings.name);
    if (settings.mac !== undefined) this.attr(IFLA.ADDRESS, macBytes(settings.mac));
    if (settings.mtu !== undefined) this.attrU32(IFLA.MTU, settings.mtu);
    if (settings.master !== undefined) this.attrU32(IFLA.MASTER, settings.master);
    if (settings.namespaceFd !== undefined) this.attrU32(IFLA.NET_NS_FD, settings.namespaceFd);
    if (settings.namespacePid !== undefined) this.attrU32(IFLA.NET_NS_PID, settings.namespacePid);
    if (settings.addressGeneration !== undefined) {
      const INET6_ADDR_GEN_MODE = 8;
      const mode = settings.addressGeneration === "none" ? 1 : 0;
      this.nest(IFLA.AF_SPEC, () => this.nest(AF.INET6, () => this.attrU8(INET6_ADDR_GEN_MODE, mode)));
    }
    return this;
  }

  private kindAttributes(kind: LinkKind): void {
    switch (kind.kind) {
      case "bridge":
        if (kind.multicastSnooping !== undefined) this.attrU8(23, kind.multicastSnooping ? 1 : 0);
        break;
      case "macvlan":
        this.attrU32(1, MACVLAN_MODE[kind.mode]);
        break;
      case "ipvlan":
        this.attrU16(1, IPVLAN_MODE[kind.mode]).attrU16(2, IPVLAN_FLAG[kind.flag]);
        break;
      case "vlan":
        this.attrU16(1, kind.id);
        break;
      case "vxlan": {
        this.attrU32(1, kind.id)
          .attrU16be(15, kind.port)
          .attrU8(7, kind.learning ? 1 : 0);
        if (kind.local !== undefined) this.attr(kind.local.includes(":") ? 17 : 4, ipBytes(kind.local));
        break;
      }
      case "dummy":
        break;
    }
  }
}

function ipBytes(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (bytes === null) throw new RangeError(`invalid IP address ${text}`);
  return bytes;
}

function macBytes(text: string): Uint8Array {
  const bytes = parseMac(text);
  if (bytes === null) throw new RangeError(`invalid MAC address ${text}`);
  return bytes;
}

function cidrBytes(cidr: string): { family: number; bytes: Uint8Array; prefix: number } {
  const slash = cidr.lastIndexOf("/");
  const bytes = ipBytes(slash < 0 ? cidr : cidr.slice(0, slash));
  const prefix = slash < 0 ? bytes.length * 8 : Number(cidr.slice(slash + 1));
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > bytes.length * 8)
    throw new RangeError(`invalid CIDR ${cidr}`);
  return { family: bytes.length === 4 ? AF.INET : AF.INET6, bytes, prefix };
}
