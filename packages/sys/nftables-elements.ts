import { isErrno } from "./errno.ts";
import { NETLINK, NetlinkSocket } from "./netlink.ts";
import { align, attributeText, NetlinkBatch, type NetlinkMessage, NLM_F, parseAttributes } from "./netlink-message.ts";

const SUBSYSTEM = 10;
const MESSAGE = {
  NEWTABLE: 0,
  GETTABLE: 1,
  GETCHAIN: 4,
  NEWRULE: 6,
  GETRULE: 7,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  NEWGEN: 15,
  GETGEN: 16,
} as const;
const isMessage = (message: NetlinkMessage, type: number) => message.type === ((SUBSYSTEM << 8) | type);
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const NFPROTO_INET = 1;
const LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
const ELEMENT = { KEY: 1, DATA: 2, EXPR: 7 } as const;
const DATA = { VALUE: 1, VERDICT: 2 } as const;
const VERDICT = { CODE: 1, CHAIN: 2 } as const;
const NFT_JUMP = -3;
/** An attribute holds 64 KiB; an element takes at most about 100 bytes. */
const ELEMENTS_PER_MESSAGE = 500;

/** One element of a set, or of a map where it has data. Concatenated fields are each padded to four bytes (`concat`). */
export interface SetElement {
  set: string;
  key: Uint8Array;
  /** Value bytes, or the chain to jump to. */
  data?: Uint8Array | { jump: string };
}

/**
 * Elements of sets and maps of one `inet` table, written by nfnetlink itself. libnftables would first read the
 * table back; this costs the same whether a map holds ten elements or 20,000.
 */
export class NftElements {
  private readonly socket: NetlinkSocket;
  constructor(private readonly table: string) {
    this.socket = NetlinkSocket.open(NETLINK.NETFILTER);
  }

  /**
   * Adds and removes elements in one transaction: all or nothing. Throws NetlinkError: ENOENT where the table, a set or an
   * element to be removed is not there, EEXIST where an element to be added is.
   */
  change(add: SetElement[], remove: SetElement[]): void {
    if (add.length + remove.length === 0) return;
    const batch = new NetlinkBatch();
    batch.message(BATCH_BEGIN, 0, "begin").u8(0).u8(0).u8(0).u8(SUBSYSTEM);
    this.put(batch, MESSAGE.DELSETELEM, 0, remove);
    this.put(batch, MESSAGE.NEWSETELEM, NLM_F.CREATE | NLM_F.EXCL, add);
    batch.message(BATCH_END, 0, "end").u8(0).u8(0).u8(0).u8(SUBSYSTEM);
    this.socket.transact(batch);
  }

  /** How many elements a set holds. Throws NetlinkError ENOENT where it is not there. */
  count(set: string): number {
    let count = 0;
    const batch = new NetlinkBatch();
    batch.message((SUBSYSTEM << 8) | MESSAGE.GETSETELEM, NLM_F.DUMP, `elements of ${set}`);
    batch.u8(NFPROTO_INET).u8(0).u16(0).attrString(LIST.TABLE, this.table).attrString(LIST.SET, set);
    this.socket.dump(batch, (message) => {
      count += elementsIn(message);
    });
    return count;
  }

  /**
   * How often the given elements of a set with counters have matched, in all. Throws NetlinkError ENOENT where one is not there.
   */
  packets(elements: SetElement[]): number {
    const batch = new NetlinkBatch();
    this.put(batch, MESSAGE.GETSETELEM, 0, elements);
    let sum = 0;
    for (const answer of this.socket.transact(batch)) for (const message of answer) sum += packetsIn(message);
    return sum;
  }

  /** A number that changes with every change of any table of the namespace, whoever makes it. */
  generation(): number {
    const batch = new NetlinkBatch();
    batch
      .message((SUBSYSTEM << 8) | MESSAGE.GETGEN, NLM_F.ACK, "generation")
      .u8(0)
      .u8(0)
      .u16(0);
    const answer = this.socket.transact(batch)[0]!.find((one) => isMessage(one, MESSAGE.NEWGEN));
    const id = answer === undefined ? undefined : parseAttributes(answer.payload, 4).get(1);
    return id === undefined ? 0 : Buffer.from(id).readUInt32BE(0);
  }

  /**
   * What tells this very table from one made anew, and how many rules it has: "handle/rules". `null` where it is not there.
   */
  identity(): string | null {
    const batch = new NetlinkBatch();
    batch.message((SUBSYSTEM << 8) | MESSAGE.GETTABLE, NLM_F.ACK, `table ${this.table}`);
    batch.u8(NFPROTO_INET).u8(0).u16(0).attrString(1, this.table);
    let handle: Uint8Array | undefined;
    try {
      const answer = this.socket.transact(batch)[0]!.find((one) => isMessage(one, MESSAGE.NEWTABLE));
      handle = answer === undefined ? undefined : parseAttributes(answer.payload, 4).get(4);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return null;
      throw error;
    }
    let rules = 0;
    const list = new NetlinkBatch();
    list.message((SUBSYSTEM << 8) | MESSAGE.GETRULE, NLM_F.DUMP, `rules of ${this.table}`);
    list.u8(NFPROTO_INET).u8(0).u16(0).attrString(1, this.table);
    this.socket.dump(list, (message) => {
      if (isMessage(message, MESSAGE.NEWRULE)) rules++;
    });
    return `${handle === undefined ? "" : Buffer.from(handle).toString("hex")}/${rules}`;
  }

  /**
   * A text that changes when rules come to or go from another program's table, or a chain's policy changes; counters do not matter. Empty
   * where the table is not there.
   */
  rulesOf(family: "ip" | "ip6", table: string): string {
    const number = family === "ip" ? 2 : 10;
    let out = "";
    const chains = new NetlinkBatch();
    chains
      .message((SUBSYSTEM << 8) | MESSAGE.GETCHAIN, NLM_F.DUMP, "chains")
      .u8(number)
      .u8(0)
      .u16(0);
    this.socket.dump(chains, (message) => {
      const attributes = parseAttributes(message.payload, 4);
      if (attributeText(attributes.get(1)) !== table) return;
      const policy = attributes.get(5);
      out += `${attributeText(attributes.get(3))} ${policy === undefined ? "" : policy[3]}\n`;
    });
    const rules = new NetlinkBatch();
    rules.message((SUBSYSTEM << 8) | MESSAGE.GETRULE, NLM_F.DUMP, `rules of ${table}`);
    rules.u8(number).u8(0).u16(0).attrString(1, table);
    this.socket.dump(rules, (message) => {
      if (!isMessage(message, MESSAGE.NEWRULE)) return;
      const attributes = parseAttributes(message.payload, 4);
      const handle = attributes.get(3);
      out += `${attributeText(attributes.get(2))} ${handle === undefined ? "" : Buffer.from(handle).toString("hex")}\n`;
    });
    return out;
  }

  close(): void {
    this.socket.close();
  }

  private put(batch: NetlinkBatch, type: number, flags: number, elements: SetElement[]): void {
    const bySet = Map.groupBy(elements, (element) => element.set);
    for (const [set, list] of bySet) {
      for (let from = 0; from < list.length; from += ELEMENTS_PER_MESSAGE) {
        const part = list.slice(from, from + ELEMENTS_PER_MESSAGE);
        const what = type === MESSAGE.NEWSETELEM ? "add to" : type === MESSAGE.DELSETELEM ? "remove from" : "look into";
        batch.message((SUBSYSTEM << 8) | type, flags | NLM_F.ACK, `${what} ${this.table} ${set}`);
        batch.u8(NFPROTO_INET).u8(0).u16(0).attrString(LIST.TABLE, this.table).attrString(LIST.SET, set);
        batch.nest(LIST.ELEMENTS, () => {
          for (const element of part) {
            batch.nest(1, () => {
              batch.nest(ELEMENT.KEY, () => batch.attr(DATA.VALUE, element.key));
              const data = element.data;
              if (data === undefined || type !== MESSAGE.NEWSETELEM) return;
              batch.nest(ELEMENT.DATA, () => {
                if (data instanceof Uint8Array) batch.attr(DATA.VALUE, data);
                else {
                  batch.nest(DATA.VERDICT, () => {
                    batch.attrU32be(VERDICT.CODE, NFT_JUMP).attrString(VERDICT.CHAIN, data.jump);
                  });
                }
              });
            });
          }
        });
      }
    }
  }
}

function elementsIn(message: NetlinkMessage): number {
  const list = parseAttributes(message.payload, 4).get(LIST.ELEMENTS);
  if (list === undefined) return 0;
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  let count = 0;
  for (let at = 0; at + 4 <= list.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4) break;
    count++;
    at += align(length);
  }
  return count;
}

function packetsIn(message: NetlinkMessage): number {
  const list = parseAttributes(message.payload, 4).get(LIST.ELEMENTS);
  if (list === undefined) return 0;
  let sum = 0;
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  for (let at = 0; at + 4 <= list.length; ) {
    const length = view.getUint16(at, true);
    if (length < 4) break;
    const expression = parseAttributes(list.subarray(at + 4, at + length)).get(ELEMENT.EXPR);
    const data = expression === undefined ? undefined : parseAttributes(expression).get(2);
    const packets = data === undefined ? undefined : parseAttributes(data).get(2);
    if (packets !== undefined) sum += Number(Buffer.from(packets).readBigUInt64BE(0));
    at += align(length);
  }
  return sum;
}

/** Joins the fields of a concatenated key or value, each padded to four bytes. */
export function concat(...fields: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(fields.reduce((sum, field) => sum + align(field.length), 0));
  let at = 0;
  for (const field of fields) {
    out.set(field, at);
    at += align(field.length);
  }
  return out;
}

/** A port or protocol number as a field: `inet_service` in network order, `inet_proto` one byte. */
export const portField = (port: number) => Uint8Array.of(port >> 8, port & 255);
export const protocolField = (protocol: number) => Uint8Array.of(protocol);

/** An interface name as a field of 16 bytes. */
export function interfaceField(name: string): Uint8Array {
  const out = new Uint8Array(16);
  new TextEncoder().encodeInto(name, out);
  return out;
}
