import { formatIp, parseIp, type RouteNetlink } from "@gantry/sys";
import { bare } from "./model.ts";

const RTN_LOCAL = 2;
const PATIENCE_MS = 200;

/**
 * Waits until a namespace's kernel takes packets for its new IPv6 addresses; others among `addresses` (CIDR or bare) are passed over;
 * `link` tells link-local ones of several links apart. The kernel adds the route by which it knows an address as its own from a work queue, some time after the link's carrier came, even where
 * no duplicates are looked for. The answer to a first packet sent before is lost: a second's delay for its sender.
 */
export async function ownAddresses(netlink: RouteNetlink, addresses: string[], link?: number): Promise<void> {
  let missing = addresses.filter((address) => address.includes(":")).map(bare);
  for (const until = performance.now() + PATIENCE_MS; ; await Bun.sleep(1)) {
    missing = missing.filter((address) => {
      const route = netlink.routeTo(address, link);
      return route?.type !== RTN_LOCAL || route.destination !== `${formatIp(parseIp(address)!)}/128`;
    });
    if (missing.length === 0 || performance.now() > until) return;
  }
}

/** The link-local address that a kernel gives by itself to a link with this MAC (RFC 4291, appendix A). */
export function linkLocalAddress(mac: string): string {
  const [a, b, c, d, e, f] = mac.split(":").map((part) => Number.parseInt(part, 16)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return formatIp(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f));
}
