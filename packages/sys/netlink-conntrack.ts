import { isErrno } from "./errno.ts";
import { parseIp } from "./ip-address.ts";
import { NETLINK, NetlinkSocket } from "./netlink.ts";
import { NetlinkBatch, type NetlinkMessage, NLM_F, parseAttributes } from "./netlink-message.ts";
import { AF } from "./socket.ts";

const SUBSYSTEM = 1 << 8;
const MESSAGE = { GET: 1, DELETE: 2 } as const;
const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, ID: 12, FILTER: 25 } as const;
const TUPLE = { IP: 1, PROTO: 2 } as const;
const IP = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const PROTO = { NUM: 1, SRC_PORT: 2, DST_PORT: 3 } as const;
const FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const;
const FLAG = { IP_SRC: 1, PROTO_NUM: 8 } as const;
/** Datagrams of a dump read before the event loop gets its turn; each holds a few hundred entries. */
const DATAGRAMS_AT_ONCE = 8;

/**
 * Which tracked connections are meant: all that lead to an address; with `flows`, those of them that were sent to one of these ports; with
 * `to` empty, those sent to one of these ports (of one protocol) that are not translated at all.
 */
export interface ConntrackMatch {
  to: string;
  family: 4 | 6;
  flows?: { protocol: number; port: number }[];
}

/**
 * Forgets tracked connections of this thread's namespace, as `conntrack -D` does, without holding the thread up: even an empty table takes the
 * kernel milliseconds to walk through, since it walks through the buckets. Returns how many there were.
 */
export async function deleteConntrack(match: ConntrackMatch): Promise<number> {
  const address = parseIp(match.to);
  if (address === null && (match.flows ?? []).length === 0) return 0;
  const family = match.family === 4 ? AF.INET : AF.INET6;
  const flows = match.flows && new Set(match.flows.map((flow) => `${flow.protocol}/${flow.port}`));
  const socket = NetlinkSocket.open(NETLINK.NETFILTER);
  try {
    const found: { tuple: Uint8Array; id: Uint8Array }[] = [];
    await socket.dumpElsewhere(query(match, address, family), DATAGRAMS_AT_ONCE, (message) => {
      const entry = matching(message, flows, address);
      if (entry !== null) found.push(entry);
    });
    let gone = 0;
    for (const { tuple, id } of found) {
      const batch = new NetlinkBatch();
      batch
        .message(SUBSYSTEM | MESSAGE.DELETE, NLM_F.ACK, "connection")
        .u8(family)
        .u8(0)
        .u16(0);
      // With its ID, so that a new connection of the same ends is left alone.
      batch.attr(CTA.TUPLE_ORIG | 0x8000, tuple);
      if (id.length > 0) batch.attr(CTA.ID, id);
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
  if (address !== null) {
    batch.nest(CTA.TUPLE_REPLY, () => {
      batch.nest(TUPLE.IP, () => batch.attr(address.length === 4 ? IP.V4_SRC : IP.V6_SRC, address));
    });
    batch.nest(CTA.FILTER, () => batch.attrU32(FILTER.ORIG_FLAGS, 0).attrU32(FILTER.REPLY_FLAGS, FLAG.IP_SRC));
    return batch;
  }
  batch.nest(CTA.TUPLE_ORIG, () => {
    batch.nest(TUPLE.PROTO, () => batch.attrU8(PROTO.NUM, match.flows![0]!.protocol));
  });
  batch.nest(CTA.FILTER, () => batch.attrU32(FILTER.ORIG_FLAGS, FLAG.PROTO_NUM).attrU32(FILTER.REPLY_FLAGS, 0));
  return batch;
}

/** A tracked connection where it is one of those meant. */
function matching(
  message: NetlinkMessage,
  flows: Set<string> | undefined,
  address: Uint8Array | null,
): { tuple: Uint8Array; id: Uint8Array } | null {
  const attributes = parseAttributes(message.payload, 4);
  const original = attributes.get(CTA.TUPLE_ORIG);
  const reply = attributes.get(CTA.TUPLE_REPLY);
  if (original === undefined || reply === undefined) return null;
  const target = addressIn(reply, IP.V4_SRC, IP.V6_SRC);
  if (flows !== undefined) {
    const protocol = parseAttributes(original).get(TUPLE.PROTO);
    if (protocol === undefined) return null;
    const fields = parseAttributes(protocol);
    const port = fields.get(PROTO.DST_PORT);
    if (port === undefined || !flows.has(`${fields.get(PROTO.NUM)?.[0]}/${(port[0]! << 8) | port[1]!}`)) return null;
  }
  const wanted = address ?? addressIn(original, IP.V4_DST, IP.V6_DST);
  if (target === undefined || wanted === undefined || Buffer.compare(target, wanted) !== 0) return null;
  return { tuple: original.slice(), id: (attributes.get(CTA.ID) ?? new Uint8Array()).slice() };
}

function addressIn(tuple: Uint8Array, four: number, six: number): Uint8Array | undefined {
  const ip = parseAttributes(tuple).get(TUPLE.IP);
  if (ip === undefined) return undefined;
  const fields = parseAttributes(ip);
  return fields.get(four) ?? fields.get(six);
}
