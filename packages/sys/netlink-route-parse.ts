import { formatIp, formatMac } from "./ip-address.ts";
import { attributeText, attributeU32, parseAttributes, viewOf } from "./netlink-message.ts";

const IFF_UP = 1;
const IFF_RUNNING = 0x40;

export interface LinkStats {
  rxPackets: number;
  txPackets: number;
  rxBytes: number;
  txBytes: number;
  rxErrors: number;
  txErrors: number;
  rxDropped: number;
  txDropped: number;
}

export interface LinkInfo {
  index: number;
  name: string;
  /** Empty for links without one (tunnels). */
  mac: string;
  mtu: number;
  up: boolean;
  running: boolean;
  /** Index of the bridge it is a port of, 0 where none. */
  master: number;
  /** Index of the lower or peer device, 0 where none. */
  parent: number;
  /** "veth", "bridge", … ; empty for hardware. */
  kind: string;
  stats?: LinkStats;
}

export function parseLink(payload: Uint8Array): LinkInfo {
  const view = viewOf(payload);
  const attributes = parseAttributes(payload, 16);
  const flags = view.getUint32(8, true);
  const info = attributes.get(18);
  const mac = attributes.get(1);
  const stats = attributes.get(23);
  return {
    index: view.getInt32(4, true),
    name: attributeText(attributes.get(3)),
    mac: mac === undefined || mac.length !== 6 ? "" : formatMac(mac),
    mtu: attributeU32(attributes.get(4)) ?? 0,
    up: (flags & IFF_UP) !== 0,
    running: (flags & IFF_RUNNING) !== 0,
    master: attributeU32(attributes.get(10)) ?? 0,
    parent: attributeU32(attributes.get(5)) ?? 0,
    kind: info === undefined ? "" : attributeText(parseAttributes(info).get(1)),
    ...(stats === undefined || stats.length < 64 ? {} : { stats: parseStats(stats) }),
  };
}

function parseStats(data: Uint8Array): LinkStats {
  const view = viewOf(data);
  const at = (i: number) => Number(view.getBigUint64(i * 8, true));
  return {
    rxPackets: at(0),
    txPackets: at(1),
    rxBytes: at(2),
    txBytes: at(3),
    rxErrors: at(4),
    txErrors: at(5),
    rxDropped: at(6),
    txDropped: at(7),
  };
}

export interface AddressInfo {
  link: number;
  address: string;
  prefix: number;
}

export function parseAddress(payload: Uint8Array): AddressInfo {
  const view = viewOf(payload);
  const attributes = parseAttributes(payload, 8);
  const address = attributes.get(2) ?? attributes.get(1);
  return {
    link: view.getUint32(4, true),
    address: address === undefined ? "" : formatIp(address),
    prefix: payload[1]!,
  };
}

export interface RouteInfo {
  /** Destination as CIDR; "0.0.0.0/0" or "::/0" for the default route. */
  destination: string;
  gateway: string;
  /** Index of the output link, 0 where the route has none or several. */
  link: number;
  table: number;
  /** RTN_UNICAST is 1, RTN_LOCAL 2, … */
  type: number;
}

export function parseRoute(payload: Uint8Array): RouteInfo {
  const attributes = parseAttributes(payload, 12);
  const any = payload[0] === 2 ? "0.0.0.0" : "::";
  const destination = attributes.get(1);
  const gateway = attributes.get(5);
  return {
    destination: `${destination === undefined ? any : formatIp(destination)}/${payload[1]}`,
    gateway: gateway === undefined ? "" : formatIp(gateway),
    link: attributeU32(attributes.get(4)) ?? 0,
    table: attributeU32(attributes.get(15)) ?? payload[4]!,
    type: payload[7]!,
  };
}

export interface NeighbourInfo {
  link: number;
  address: string;
  mac: string;
  state: number;
}

export function parseNeighbour(payload: Uint8Array): NeighbourInfo {
  const view = viewOf(payload);
  const attributes = parseAttributes(payload, 12);
  const address = attributes.get(1);
  const mac = attributes.get(2);
  return {
    link: view.getInt32(4, true),
    address: address === undefined || (address.length !== 4 && address.length !== 16) ? "" : formatIp(address),
    mac: mac === undefined || mac.length !== 6 ? "" : formatMac(mac),
    state: view.getUint16(8, true),
  };
}
