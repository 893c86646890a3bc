import { AF, close, EPOLL, Epoll, errno, inetAddress, libc, O, parseIp, pipe, SOCK, socket } from "@gantry/sys";

const EAGAIN = 11;
const EINPROGRESS = 115;
const SHUT_WR = 1;
const F_SETPIPE_SZ = 1031;
/** SPLICE_F_MOVE | SPLICE_F_NONBLOCK */
const SPLICE = 3;
/** What a pair may hold in each direction, where the user's share of pipe memory allows; 64 KiB else. */
const PIPE_SIZE = 512 << 10;

/** One end of a relayed connection. */
interface End {
  fd: number;
  other: End;
  /** Holds what was read from the other end and not yet taken by this one: bytes pass through the kernel only. Made at first use. */
  pipe: { read: number; write: number } | undefined;
  /** Bytes in it. */
  pending: number;
  /** What epoll was last told to wait for. */
  interest: number;
  connected: boolean;
  /** The peer has finished sending. */
  ended: boolean;
  /** We have told the peer that nothing more comes. */
  finished: boolean;
  closed: boolean;
}

/**
 * Moves bytes between pairs of sockets by splice(2), half-closes included. A slow reader stops the reading of its other end, so a pair
 * never holds more than a pipe in each direction. Belongs on a thread of its own: `turn` blocks.
 */
export class Pipes {
  private readonly epoll = new Epoll(256);
  private readonly ends = new Map<number, End>();
  private readonly watched = new Map<number, () => void>();

  get size(): number {
    return this.ends.size / 2;
  }

  /** Calls back when something can be read from a descriptor that is no pair's. */
  watch(fd: number, readable: () => void): void {
    this.watched.set(fd, readable);
    this.epoll.add(fd, EPOLL.IN);
  }

  /** Connects to the target for a client; takes the client's descriptor over (non-blocking). */
  add(clientFd: number, address: string, port: number): void {
    const bytes = parseIp(address)!;
    let fd: number;
    try {
      fd = socket(bytes.length === 4 ? AF.INET : AF.INET6, SOCK.STREAM | SOCK.NONBLOCK);
    } catch {
      close(clientFd);
      return;
    }
    const target = inetAddress(bytes, port);
    if (libc.connect(fd, target, target.length) !== 0 && errno() !== EINPROGRESS) {
      close(fd);
      close(clientFd);
      return;
    }
    const state = { pipe: undefined, pending: 0, interest: 0, ended: false, finished: false, closed: false };
    const client = { ...state, fd: clientFd, connected: true } as unknown as End;
    const upstream = { ...state, fd, connected: false, other: client } as End;
    client.other = upstream;
    for (const end of [client, upstream]) {
      this.ends.set(end.fd, end);
      end.interest = interest(end);
      this.epoll.add(end.fd, end.interest);
    }
  }

  /** Waits up to `timeoutMs` and serves what is ready. */
  turn(timeoutMs: number): void {
    this.epoll.wait(timeoutMs, (fd, events) => {
      const callback = this.watched.get(fd);
      if (callback !== undefined) return callback();
      const end = this.ends.get(fd);
      if (end !== undefined) this.serve(end, events);
    });
  }

  close(): void {
    for (const end of [...this.ends.values()]) this.drop(end);
    this.epoll.close();
  }

  private serve(end: End, events: number): void {
    if (!end.connected) {
      if ((events & (EPOLL.ERR | EPOLL.HUP)) !== 0) return this.drop(end);
      end.connected = true;
    }
    if ((events & EPOLL.ERR) !== 0) return this.drop(end);
    if ((events & EPOLL.OUT) !== 0 && end.pending > 0 && !this.flush(end)) return;
    if ((events & (EPOLL.IN | EPOLL.HUP | EPOLL.RDHUP)) !== 0 && !this.read(end)) return;
    this.rearm(end);
    this.rearm(end.other);
  }

  private read(end: End): boolean {
    const { other } = end;
    // Some rounds for one connection, then the others get their turn.
    for (let round = 0; round < 4 && !end.ended && other.pending === 0 && other.connected; round++) {
      try {
        other.pipe ??= newPipe();
      } catch {
        // Out of descriptors.
        this.drop(end);
        return false;
      }
      const n = Number(libc.splice(end.fd, null, other.pipe.write, null, PIPE_SIZE, SPLICE));
      if (n < 0) {
        if (errno() === EAGAIN) return true;
        this.drop(end);
        return false;
      }
      if (n === 0) end.ended = true;
      else {
        other.pending = n;
        if (!this.flush(other)) return false;
      }
    }
    return this.finish(other);
  }

  /** Sends what is pending; false where the pair was dropped. */
  private flush(end: End): boolean {
    while (end.pending > 0) {
      const n = Number(libc.splice(end.pipe!.read, null, end.fd, null, end.pending, SPLICE));
      if (n < 0) {
        if (errno() === EAGAIN) break;
        this.drop(end);
        return false;
      }
      end.pending -= n;
    }
    return this.finish(end);
  }

  private finish(end: End): boolean {
    if (end.other.ended && end.pending === 0 && !end.finished && end.connected) {
      end.finished = true;
      libc.shutdown(end.fd, SHUT_WR);
    }
    if (!end.finished || !end.other.finished) return true;
    this.drop(end);
    return false;
  }

  private rearm(end: End): void {
    const wanted = interest(end);
    if (end.closed || wanted === end.interest) return;
    end.interest = wanted;
    this.epoll.modify(end.fd, wanted);
  }

  private drop(end: End): void {
    for (const one of [end, end.other]) {
      if (one.closed) continue;
      one.closed = true;
      this.epoll.remove(one.fd);
      this.ends.delete(one.fd);
      close(one.fd);
      if (one.pipe === undefined) continue;
      close(one.pipe.read);
      close(one.pipe.write);
    }
  }
}

function newPipe(): { read: number; write: number } {
  const [read, write] = pipe(O.NONBLOCK | O.CLOEXEC);
  libc.fcntl(write, F_SETPIPE_SZ, PIPE_SIZE);
  return { read, write };
}

function interest(end: End): number {
  if (!end.connected) return EPOLL.OUT;
  const reading = !end.ended && end.other.pending === 0 && end.other.connected;
  return (reading ? EPOLL.IN : 0) | (end.pending === 0 ? 0 : EPOLL.OUT);
}
