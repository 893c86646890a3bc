import { concat, parseIp, portField, protocolField, type SetElement } from "@gantry/sys";
import type { Protocol } from "../model.ts";

const NUMBER: Record<Protocol, number> = { tcp: 6, udp: 17, sctp: 132 };

/** Where a published port leads. `proxy`: this port of the daemon's own relay instead of a container's address. */
export interface PortRule {
  protocol: Protocol;
  hostIp: string;
  hostPort: number;
  target: { address: string; port: number } | { proxy: number };
}

/** The element of one of the port maps that carries out a rule. */
export function portElement(rule: PortRule): SetElement {
  const host = parseIp(rule.hostIp)!;
  const family = host.length === 4 ? 4 : 6;
  const any = host.every((byte) => byte === 0);
  const tail = [protocolField(NUMBER[rule.protocol]), portField(rule.hostPort)];
  const key = any ? concat(...tail) : concat(host, ...tail);
  if ("proxy" in rule.target) return { set: any ? "proxy6_any" : "proxy6", key, data: portField(rule.target.proxy) };
  return {
    set: any ? `dnat${family}_any` : `dnat${family}`,
    key,
    data: concat(parseIp(rule.target.address)!, portField(rule.target.port)),
  };
}

/** The element that shuts a UDP relay's own port to all but those who were led to it. */
export function relayElement(port: number): SetElement {
  return { set: "relays", key: concat(protocolField(NUMBER.udp), portField(port)) };
}

/** The element that opens a container's own port on a network in routed mode. */
export function openElement(address: string, protocol: Protocol, port: number): SetElement {
  const bytes = parseIp(address)!;
  return {
    set: bytes.length === 4 ? "open4" : "open6",
    key: concat(bytes, protocolField(NUMBER[protocol]), portField(port)),
  };
}

/** The element that lets a container reach a port of another that it is linked to, on a network whose containers are apart (icc=false). */
export function linkElement(from: string, to: string, protocol: Protocol, port: number): SetElement {
  return {
    set: "linked4",
    key: concat(parseIp(from)!, parseIp(to)!, protocolField(NUMBER[protocol]), portField(port)),
  };
}

/** One text for what an element is the element of: its set and key. */
export const elementKey = (element: SetElement) => element.set + "/" + Buffer.from(element.key).toString("latin1");
