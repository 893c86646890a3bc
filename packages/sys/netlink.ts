import { write } from "node:fs";
import { SysError } from "./errno.ts";
import { close } from "./file.ts";
import { inNetworkNamespace } from "./namespace.ts";
import {
  attributeText,
  type NetlinkBatch,
  type NetlinkMessage,
  NLMSG,
  parseAttributes,
  parseMessages,
  viewOf,
} from "./netlink-message.ts";
import { AF, bind, MSG, recv, SO, SOCK, SOL_SOCKET, send, setsockopt, socket } from "./socket.ts";

export const NETLINK = { ROUTE: 0, NETFILTER: 12 } as const;
const SOL_NETLINK = 270;
const OPTION = { CAP_ACK: 10, EXT_ACK: 11, STRICT_CHK: 12 } as const;
const NLMSGERR_ATTR_MSG = 1;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLM_F_DUMP_INTR = 0x10;

/** A message the kernel refused. `extack` is the kernel's own explanation, empty where it gave none. */
export class NetlinkError extends SysError {
  readonly extack: string;
  /** Position of the refused message in its batch. */
  readonly index: number;
  constructor(label: string, errno: number, extack: string, index: number) {
    super("netlink", errno, label + (extack === "" ? "" : ` (${extack})`));
    this.name = "NetlinkError";
    this.extack = extack;
    this.index = index;
  }
}

/**
 * A netlink socket used synchronously: the kernel answers a request before send(2) returns, so nothing ever waits
 * (a round trip takes about 20 to 70 µs). It belongs to the network namespace it was opened in.
 */
export class NetlinkSocket {
  private seq = 1;
  private readonly buffer = new Uint8Array(1 << 16);
  private constructor(readonly fd: number) {}

  /** Opens a socket in this thread's network namespace. `protocol` is one of `NETLINK`; groups as bit mask. */
  static open(protocol: number, groups = 0): NetlinkSocket {
    const fd = socket(AF.NETLINK, SOCK.RAW, protocol);
    try {
      const address = new Uint8Array(12);
      const view = viewOf(address);
      view.setUint16(0, AF.NETLINK, true);
      view.setUint32(8, groups, true);
      bind(fd, address);
      setsockopt(fd, SOL_NETLINK, OPTION.EXT_ACK, 1);
      setsockopt(fd, SOL_NETLINK, OPTION.CAP_ACK, 1);
      setsockopt(fd, SOL_NETLINK, OPTION.STRICT_CHK, 1);
      for (const option of [SO.RCVBUFFORCE, SO.SNDBUFFORCE]) {
        try {
          setsockopt(fd, SOL_SOCKET, option, 8 << 20);
        } catch {
          // Without CAP_NET_ADMIN in the initial user namespace the default size must do.
        }
      }
      return new NetlinkSocket(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Opens a socket that speaks for the network namespace behind the descriptor. */
  static openIn(namespaceFd: number, protocol: number): NetlinkSocket {
    return inNetworkNamespace(namespaceFd, () => NetlinkSocket.open(protocol) as never) as NetlinkSocket;
  }

  /**
   * Sends a batch in one call and reads all answers: for each message the data messages it was answered with. Every
   * message that does not ask for data must carry NLM_F.ACK. All are carried out, whatever becomes of the others, except
   * where the protocol makes a batch one transaction (nftables). Throws NetlinkError of the first one refused.
   */
  transact(batch: NetlinkBatch): NetlinkMessage[][] {
    return this.readAnswers(batch, this.sendBatch(batch));
  }

  /** As `transact`, with the kernel's work done on another thread. One at a time, with nothing else on this socket. */
  async transactElsewhere(batch: NetlinkBatch): Promise<NetlinkMessage[][]> {
    const first = this.takeSequence(batch);
    await sendElsewhere(this.fd, batch.finish(first));
    return this.readAnswers(batch, first);
  }

  private readAnswers(batch: NetlinkBatch, first: number): NetlinkMessage[][] {
    const count = batch.length;
    const answers: NetlinkMessage[][] = Array.from({ length: count }, () => []);
    let open = 0;
    for (const acked of batch.acked) if (acked) open++;
    let failure: NetlinkError | undefined;
    while (open > 0) {
      const received = this.receive();
      if (received === null) break;
      for (const message of received) {
        const index = message.seq - first;
        if (index < 0 || index >= count) continue;
        if (message.type === NLMSG.ERROR) {
          const error = this.errorOf(message, batch.labels[index]!, index);
          if (batch.acked[index] || error !== null) open--;
          if (error !== null && (failure === undefined || error.index < failure.index)) failure = error;
        } else answers[index]!.push({ ...message, payload: message.payload.slice() });
      }
    }
    if (failure !== undefined) throw failure;
    return answers;
  }

  /** Sends one dump request (flags with NLM_F.DUMP) and hands over each message as it comes. */
  dump(batch: NetlinkBatch, each: (message: NetlinkMessage) => void): void {
    const seq = this.sendBatch(batch);
    for (;;) {
      const received = this.receive();
      if (received === null) return;
      for (const message of received) {
        if (message.seq !== seq) continue;
        if (message.type === NLMSG.DONE) return;
        if (message.type === NLMSG.ERROR) {
          const error = this.errorOf(message, batch.labels[0]!, 0);
          if (error !== null) throw error;
          return;
        }
        // An interrupted dump (NLM_F_DUMP_INTR) is still a list of true entries; callers re-read where they must.
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) message.flags &= ~NLM_F_DUMP_INTR;
        each(message);
      }
    }
  }

  /**
   * As `dump`, for tables that the kernel takes long to walk through: the walk is done on another thread, and the event loop runs
   * after every `datagrams` of a long answer. Nothing else may use the socket meanwhile.
   */
  async dumpElsewhere(batch: NetlinkBatch, datagrams: number, each: (message: NetlinkMessage) => void): Promise<void> {
    const seq = this.takeSequence(batch);
    await sendElsewhere(this.fd, batch.finish(seq));
    for (let count = 1; ; count++) {
      const received = this.receive();
      if (received === null) return;
      for (const message of received) {
        if (message.seq !== seq) continue;
        if (message.type === NLMSG.DONE) return;
        if (message.type !== NLMSG.ERROR) {
          each(message);
          continue;
        }
        const error = this.errorOf(message, batch.labels[0]!, 0);
        if (error !== null) throw error;
        return;
      }
      if (count % datagrams === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Messages that came by themselves (multicast groups), `null` where none waits. Throws ENOBUFS where some were lost. */
  receive(): NetlinkMessage[] | null {
    const length = recv(this.fd, this.buffer, MSG.DONTWAIT);
    return length <= 0 ? null : parseMessages(this.buffer.subarray(0, length));
  }

  close(): void {
    close(this.fd);
  }

  private sendBatch(batch: NetlinkBatch): number {
    const first = this.takeSequence(batch);
    send(this.fd, batch.finish(first));
    return first;
  }

  private takeSequence(batch: NetlinkBatch): number {
    const first = this.seq;
    this.seq = (this.seq + batch.length) >>> 0;
    if (this.seq > 0x7fff_0000) this.seq = 1;
    return first;
  }

  private errorOf(message: NetlinkMessage, label: string, index: number): NetlinkError | null {
    const view = viewOf(message.payload);
    const errno = -view.getInt32(0, true);
    if (errno === 0) return null;
    let extack = "";
    if ((message.flags & NLM_F_ACK_TLVS) !== 0) {
      const original = (message.flags & NLM_F_CAPPED) !== 0 ? 16 : view.getUint32(4, true);
      extack = attributeText(parseAttributes(message.payload, 4 + original).get(NLMSGERR_ATTR_MSG));
    }
    return new NetlinkError(label, errno, extack, index);
  }
}

/**
 * Sends from a thread of the runtime's file pool: write(2) on a netlink socket is send(2), and returns when the kernel has
 * carried the request out.
 */
function sendElsewhere(fd: number, data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    write(fd, data, (error) => (error === null ? resolve() : reject(error)));
  });
}
