import { SysError } from "./errno.ts";
import { address, check, errno, libc } from "./libc.ts";

export const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16, PACKET: 17 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, SEQPACKET: 5, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const SOL_SOCKET = 1;
export const SO = {
  REUSEADDR: 2,
  ERROR: 4,
  SNDBUF: 7,
  RCVBUF: 8,
  PASSCRED: 16,
  PEERCRED: 17,
  RCVTIMEO: 20,
  REUSEPORT: 15,
  BINDTODEVICE: 25,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
} as const;
export const MSG = { DONTWAIT: 0x40, NOSIGNAL: 0x4000, CMSG_CLOEXEC: 0x40000000 } as const;

export function socket(family: number, type: number, protocol = 0): number {
  return check(libc.socket(family, type | SOCK.CLOEXEC, protocol), "socket");
}

export function socketpair(family: number, type: number): [number, number] {
  const fds = new Int32Array(2);
  check(libc.socketpair(family, type | SOCK.CLOEXEC, 0, fds), "socketpair");
  return [fds[0]!, fds[1]!];
}

/** sockaddr_un of a path; at most 107 bytes (use /proc/self/fd/<dirfd>/name for longer ones). */
export function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (name.length > 107) throw new SysError("bind", 36, path);
  const out = new Uint8Array(2 + name.length + 1);
  new DataView(out.buffer).setUint16(0, AF.UNIX, true);
  out.set(name, 2);
  return out;
}

/** sockaddr_in or sockaddr_in6; `ip` as 4 or 16 bytes. */
export function inetAddress(ip: Uint8Array, port: number, scope = 0): Uint8Array {
  const six = ip.length === 16;
  const out = new Uint8Array(six ? 28 : 16);
  const view = new DataView(out.buffer);
  view.setUint16(0, six ? AF.INET6 : AF.INET, true);
  view.setUint16(2, port, false);
  out.set(ip, six ? 8 : 4);
  if (six) view.setUint32(24, scope, true);
  return out;
}

export function bind(fd: number, addr: Uint8Array, subject?: string): void {
  check(libc.bind(fd, addr, addr.length), "bind", subject);
}

export function listen(fd: number, backlog: number): void {
  check(libc.listen(fd, backlog), "listen");
}

export function connect(fd: number, addr: Uint8Array, subject?: string): void {
  check(libc.connect(fd, addr, addr.length), "connect", subject);
}

export function setsockopt(fd: number, level: number, option: number, value: number | Uint8Array): void {
  const data = typeof value === "number" ? new Uint8Array(new Int32Array([value]).buffer) : value;
  check(libc.setsockopt(fd, level, option, data, data.length), "setsockopt");
}

export function send(fd: number, data: Uint8Array, flags = MSG.NOSIGNAL as number): number {
  return check(libc.send(fd, data, data.length, flags) as number, "send");
}

/** Bytes received, 0 at the end, -1 where a non-blocking socket has none. */
export function recv(fd: number, buffer: Uint8Array, flags = 0): number {
  const n = Number(libc.recv(fd, buffer, buffer.length, flags));
  if (n < 0) {
    const code = errno();
    if (code === 11) return -1;
    throw new SysError("recv", code);
  }
  return n;
}

/** Sends bytes together with descriptors (SCM_RIGHTS). At least one byte must go along, but for a datagram. */
export function sendFds(fd: number, data: Uint8Array, fds: number[]): number {
  const iov = new BigUint64Array([data.length === 0 ? 0n : BigInt(address(data)), BigInt(data.length)]);
  const control = new Uint8Array(16 + ((fds.length * 4 + 7) & ~7));
  const view = new DataView(control.buffer);
  view.setBigUint64(0, BigInt(16 + fds.length * 4), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, 1, true);
  fds.forEach((one, i) => {
    view.setInt32(16 + i * 4, one, true);
  });
  const message = new BigUint64Array(7);
  message[2] = BigInt(address(iov));
  message[3] = 1n;
  message[4] = BigInt(address(control));
  message[5] = BigInt(control.length);
  return check(libc.sendmsg(fd, message, MSG.NOSIGNAL) as number, "sendmsg");
}

/** Receives bytes and up to 16 descriptors (close-on-exec). */
export function recvFds(fd: number, buffer: Uint8Array, flags = 0): { length: number; fds: number[] } {
  const iov = new BigUint64Array([BigInt(address(buffer)), BigInt(buffer.length)]);
  const control = new Uint8Array(16 + 64);
  const message = new BigUint64Array(7);
  message[2] = BigInt(address(iov));
  message[3] = 1n;
  message[4] = BigInt(address(control));
  message[5] = BigInt(control.length);
  const length = check(libc.recvmsg(fd, message, flags | MSG.CMSG_CLOEXEC) as number, "recvmsg");
  const fds: number[] = [];
  const view = new DataView(control.buffer);
  if (message[5]! >= 16n && view.getInt32(8, true) === SOL_SOCKET && view.getInt32(12, true) === 1) {
    const end = Number(view.getBigUint64(0, true));
    for (let at = 16; at + 4 <= end; at += 4) fds.push(view.getInt32(at, true));
  }
  return { length, fds };
}

const SIOCOUTQ = 0x5411;
const outstanding = new Int32Array(1);

/** Bytes that the peer of a unix socket has not read yet (for TCP: not acknowledged). 0 where that cannot be told. */
export function unreadByPeer(fd: number): number {
  return libc.ioctl(fd, SIOCOUTQ, outstanding) < 0 ? 0 : outstanding[0]!;
}
