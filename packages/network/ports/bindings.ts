import { invalidParameter, type PortBinding } from "@gantry/spec";
import { parseAddress } from "../ipam/cidr.ts";
import type { Protocol } from "../model.ts";

/** A wish for one port of the host: one address, and a range to choose from; 0 to 0 is the ephemeral range. */
export interface PortWish {
  protocol: Protocol;
  containerPort: number;
  hostIp: string;
  first: number;
  last: number;
  /** Wishes with the same number are the two families of one binding and should get the same port. */
  pair: number;
}

/** Parses "80/tcp" (protocol may be left out). Throws invalidParameter. */
export function parsePort(key: string): { port: number; protocol: Protocol } {
  const [number = "", protocol = "tcp", more] = key.split("/");
  const lower = protocol.toLowerCase();
  if (more !== undefined || (lower !== "tcp" && lower !== "udp" && lower !== "sctp")) {
    throw invalidParameter(`invalid proto: ${key.slice(key.indexOf("/") + 1)}`);
  }
  return { port: portNumber(number, "containerPort"), protocol: lower };
}

function portNumber(text: string, what: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65535) throw invalidParameter(`invalid ${what}: ${text}`);
  return port;
}

/**
 * Turns bindings as a client gives them into wishes, in the order of container ports, as Docker hands ports out.
 * `defaultIps` stand for an empty address: one for each family that the host speaks.
 */
export function portWishes(bindings: Record<string, PortBinding[] | null>, defaultIps: string[]): PortWish[] {
  const out: PortWish[] = [];
  let pair = 0;
  const sorted = Object.entries(bindings)
    .map(([key, list]) => ({ ...parsePort(key), list: list ?? [] }))
    .sort((a, b) => a.port - b.port || a.protocol.localeCompare(b.protocol));
  for (const { port, protocol, list } of sorted) {
    for (const binding of list) {
      const [first, last] = portRange(binding.HostPort ?? "");
      const asked = (binding.HostIp ?? "").replace(/^\[(.*)\]$/, "$1");
      if (asked !== "" && parseAddress(asked) === null) throw invalidParameter(`invalid IP address: ${asked}`);
      pair++;
      for (const hostIp of asked === "" ? defaultIps : [asked]) {
        out.push({ protocol, containerPort: port, hostIp, first, last, pair });
      }
    }
  }
  return out;
}

function portRange(text: string): [number, number] {
  if (text === "" || text === "0") return [0, 0];
  const [from = "", to = from, more] = text.split("-");
  const first = portNumber(from, "hostPort");
  const last = portNumber(to, "hostPort");
  if (more !== undefined || last < first) throw invalidParameter(`invalid hostPort: ${text}`);
  return [first, last];
}
