import { isErrno } from "./errno.ts";
import { parseIp } from "./ip-address.ts";
import { NETLINK, NetlinkSocket } from "./netlink.ts";
import { NetlinkBatch, type NetlinkMessage, NLM_F, NLMSG, parseAttributes } from "./netlink-message.ts";
import { AF } from "./socket.ts";

const SUBSYSTEM = 1 << 8;
const MESSAGE = { GET: 1, DELETE: 2 } as const;
const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, FILTER: 25 } as const;
const TUPLE = { IP: 1, PROTO: 2 } as const;
const IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const PROTO = { NUM: 1, SRC_PORT: 2, DST_PORT: 3 } as const;
const FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const;
const FLAG = { IP_SRC: 1, IP_DST: 2, PROTO_NUM: 8, SRC_PORT: 16, DST_PORT: 32 } as const;
/** Datagrams of a dump read before the event loop gets its turn; each holds a few hundred entries. */
const DATAGRAMS_AT_ONCE = 8;

/** Which tracked connections are meant: all that lead to an address, or all that were sent to a port of any address. */
export type ConntrackMatch = { to: string } | { protocol: number; port: number; family: 4 | 6 };

/**
 * Forgets tracked connections of this thread's namespace, as `conntrack -D` does, without holding the thread up: even an empty table takes the
 * kernel milliseconds to walk through, since it walks through the buckets. Returns how many there were.
 */
export async function deleteConntrack(match: ConntrackMatch): Promise<number> {
  const address = "to" in match ? parseIp(match.to) : null;
  if ("to" in match && address === null) return 0;
  const four = "to" in match ? address!.length === 4 : match.family === 4;
  const family = four ? AF.INET : AF.INET6;
  const socket = NetlinkSocket.open(NETLINK.NETFILTER);
  try {
    const found: Uint8Array[] = [];
    await socket.dumpElsewhere(query(match, address, family), DATAGRAMS_AT_ONCE, (message) => {
      const original = matching(message, match, address);
      if (original !== null) found.push(original);
    });
    let gone = 0;
    for (const original of found) {
      const batch = new NetlinkBatch();
      batch
        .message(SUBSYSTEM | MESSAGE.DELETE, NLM_F.ACK, "connection")
        .u8(family)
        .u8(0)
        .u16(0);
      batch.attr(CTA.TUPLE_ORIG | 0x8000, original);
      try {
        socket.transact(batch);
        gone++;
      } catch (error) {
        // It ended by itself meanwhile.
        if (!isErrno(error, "ENOENT")) throw error;
      }
    }
    return gone;
  } finally {
    socket.close();
  }
}

/** A dump that the kernel filters itself since 5.8; older ones send all, hence `matching`. */
function query(match: ConntrackMatch, address: Uint8Array | null, family: number): NetlinkBatch {
  const batch = new NetlinkBatch();
  batch
    .message(SUBSYSTEM | MESSAGE.GET, NLM_F.DUMP, "connections")
    .u8(family)
    .u8(0)
    .u16(0);
  if ("to" in match) {
    batch.nest(CTA.TUPLE_REPLY, () => {
      batch.nest(TUPLE.IP, () => batch.attr(address!.length === 4 ? IP.V4_SRC : IP.V6_SRC, address!));
    });
    batch.nest(CTA.FILTER, () => batch.attrU32(FILTER.ORIG_FLAGS, 0).attrU32(FILTER.REPLY_FLAGS, FLAG.IP_SRC));
    return batch;
  }
  batch.nest(CTA.TUPLE_ORIG, () => {
    batch.nest(TUPLE.PROTO, () => batch.attrU8(PROTO.NUM, match.protocol).attrU16be(PROTO.DST_PORT, match.port));
  });
  batch.nest(CTA.FILTER, () => {
    batch.attrU32(FILTER.ORIG_FLAGS, FLAG.PROTO_NUM | FLAG.DST_PORT).attrU32(FILTER.REPLY_FLAGS, 0);
  });
  return batch;
}

/** The original tuple of a tracked connection where it is one of those meant. */
function matching(message: NetlinkMessage, match: ConntrackMatch, address: Uint8Array | null): Uint8Array | null {
  if (message.type === NLMSG.DONE) return null;
  const attributes = parseAttributes(message.payload, 4);
  const original = attributes.get(CTA.TUPLE_ORIG);
  const reply = attributes.get(CTA.TUPLE_REPLY);
  if (original === undefined || reply === undefined) return null;
  if ("to" in match) {
    const ip = parseAttributes(reply).get(TUPLE.IP);
    const source =
      ip === undefined ? undefined : (parseAttributes(ip).get(IP.V4_SRC) ?? parseAttributes(ip).get(IP.V6_SRC));
    return source !== undefined && Buffer.compare(source, address!) === 0 ? original.slice() : null;
  }
  const protocol = parseAttributes(original).get(TUPLE.PROTO);
  if (protocol === undefined) return null;
  const fields = parseAttributes(protocol);
  const port = fields.get(PROTO.DST_PORT);
  const same = fields.get(PROTO.NUM)?.[0] === match.protocol && port !== undefined;
  return same && ((port[0]! << 8) | port[1]!) === match.port ? original.slice() : null;
}
