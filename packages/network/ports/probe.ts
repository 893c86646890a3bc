import { AF, bind, close, inetAddress, isErrno, parseIp, SO, SOCK, SOL_SOCKET, setsockopt, socket } from "@gantry/sys";
import type { Protocol } from "../model.ts";

const IPPROTO_SCTP = 132;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

/**
 * Asks the kernel for a port by binding it, which says whether any process of the host has it. The returned descriptor keeps it
 * from other processes until it is closed; -1 where the kernel does not speak the protocol. Throws SysError
 * (EADDRINUSE, EADDRNOTAVAIL, EACCES).
 */
export function bindPort(protocol: Protocol, ip: string, port: number): number {
  const bytes = parseIp(ip)!;
  const family = bytes.length === 4 ? AF.INET : AF.INET6;
  let fd: number;
  try {
    fd = socket(family, protocol === "udp" ? SOCK.DGRAM : SOCK.STREAM, protocol === "sctp" ? IPPROTO_SCTP : 0);
  } catch (error) {
    if (isErrno(error, "EPROTONOSUPPORT", "EAFNOSUPPORT")) return -1;
    throw error;
  }
  try {
    if (family === AF.INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    // Else connections of earlier owners in TIME_WAIT would count as users of the port.
    if (protocol === "tcp") setsockopt(fd, SOL_SOCKET, SO.REUSEADDR, 1);
    bind(fd, inetAddress(bytes, port), `${ip}:${port}`);
    // And with it left on, another process could share the port as long as nobody listens.
    if (protocol === "tcp") setsockopt(fd, SOL_SOCKET, SO.REUSEADDR, 0);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
