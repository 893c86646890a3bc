import { AF, close, EPOLL, Epoll, errno, inetAddress, libc, MSG, parseIp, SOCK, socket } from "@gantry/sys";

const EAGAIN = 11;
const EINPROGRESS = 115;
const SHUT_WR = 1;

/** One end of a relayed connection. */
interface End {
  fd: number;
  other: End;
  /** Read from the other end and not yet taken by this one. */
  pending: Uint8Array | undefined;
  connected: boolean;
  /** The peer has finished sending. */
  ended: boolean;
  /** We have told the peer that nothing more comes. */
  finished: boolean;
  closed: boolean;
}

/**
 * Moves bytes between pairs of sockets, half-closes included. A slow reader stops the reading of its other end, so a pair never holds more
 * than one buffer. Belongs on a thread of its own: `turn` blocks.
 */
export class Pipes {
  private readonly epoll = new Epoll(256);
  private readonly ends = new Map<number, End>();
  private readonly watched = new Map<number, () => void>();
  private readonly buffer = new Uint8Array(256 << 10);

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
    const state = { pending: undefined, ended: false, finished: false, closed: false };
    const client = { ...state, fd: clientFd, connected: true } as unknown as End;
    const upstream = { ...state, fd, connected: false, other: client } as End;
    client.other = upstream;
    for (const end of [client, upstream]) {
      this.ends.set(end.fd, end);
      this.epoll.add(end.fd, interest(end));
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
    if ((events & EPOLL.OUT) !== 0 && end.pending !== undefined && !this.flush(end)) return;
    if ((events & (EPOLL.IN | EPOLL.HUP | EPOLL.RDHUP)) !== 0 && !this.read(end)) return;
    this.rearm(end);
    this.rearm(end.other);
  }

  private read(end: End): boolean {
    const { other } = end;
    // Some rounds for one connection, then the others get their turn.
    for (let round = 0; round < 4 && !end.ended && other.pending === undefined && other.connected; round++) {
      const n = Number(libc.recv(end.fd, this.buffer, this.buffer.length, MSG.DONTWAIT));
      if (n < 0) {
        if (errno() === EAGAIN) return true;
        this.drop(end);
        return false;
      }
      if (n === 0) end.ended = true;
      else {
        other.pending = this.buffer.subarray(0, n);
        if (!this.flush(other)) return false;
      }
    }
    return this.finish(other);
  }

  /** Sends what is pending; false where the pair was dropped. */
  private flush(end: End): boolean {
    let data = end.pending!;
    while (data.length > 0) {
      const n = Number(libc.send(end.fd, data, data.length, MSG.NOSIGNAL | MSG.DONTWAIT));
      if (n < 0) {
        if (errno() === EAGAIN) break;
        this.drop(end);
        return false;
      }
      data = data.subarray(n);
    }
    // The shared buffer is another connection's in a moment.
    if (data.length === 0) end.pending = undefined;
    else end.pending = data.buffer === this.buffer.buffer ? data.slice() : data;
    return this.finish(end);
  }

  private finish(end: End): boolean {
    if (end.other.ended && end.pending === undefined && !end.finished && end.connected) {
      end.finished = true;
      libc.shutdown(end.fd, SHUT_WR);
    }
    if (!end.finished || !end.other.finished) return true;
    this.drop(end);
    return false;
  }

  private rearm(end: End): void {
    if (!end.closed) this.epoll.modify(end.fd, interest(end));
  }

  private drop(end: End): void {
    for (const one of [end, end.other]) {
      if (one.closed) continue;
      one.closed = true;
      this.epoll.remove(one.fd);
      this.ends.delete(one.fd);
      close(one.fd);
    }
  }
}

function interest(end: End): number {
  if (!end.connected) return EPOLL.OUT;
  const reading = !end.ended && end.other.pending === undefined && end.other.connected;
  return (reading ? EPOLL.IN : 0) | (end.pending === undefined ? 0 : EPOLL.OUT);
}
