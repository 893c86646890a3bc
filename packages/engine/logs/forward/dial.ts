import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { GantryError, invalidParameter, systemError } from "@gantry/spec";

/** An address as Go prints it: "1.2.3.4:5", "[::1]:5". */
export const joinHostPort = (host: string, port: string): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

const WORDS: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EPROTOTYPE: "protocol wrong type for socket",
  EAGAIN: "resource temporarily unavailable",
  EADDRNOTAVAIL: "cannot assign requested address",
  EINVAL: "invalid argument",
  ENAMETOOLONG: "invalid argument",
};

/** What Go's net.Dial says; the kind of error is the one that Docker makes of it. */
export function dialError(network: string, address: string, error: unknown): GantryError {
  if (error instanceof GantryError) return error;
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  if (code === "ETIMEDOUT") return systemError(`dial ${network} ${address}: i/o timeout`, error);
  const text = `dial ${network} ${address}: connect: ${WORDS[code] ?? message}`;
  return code === "ENOENT" ? invalidParameter(text, error) : systemError(text, error);
}

/** The IP addresses of a host's name, IPv4 first. Throws systemError in Go's words. */
export async function resolveHost(network: string, host: string): Promise<[string, ...string[]]> {
  if (host === "") return ["127.0.0.1"];
  if (isIP(host.replace(/%.*$/, "")) !== 0) return [host];
  try {
    const found = await lookup(host, { all: true, order: "ipv4first" });
    const addresses = [...new Set(found.map(({ address }) => address))];
    const [first, ...others] = addresses;
    if (first === undefined) throw new Error("no address");
    return [first, ...others];
  } catch (error) {
    throw systemError(`dial ${network}: lookup ${host}: no such host`, error);
  }
}

/** The number of a port, which may be a service's name for Go but is a number here. Throws systemError. */
export function portNumber(network: string, port: string): number {
  if (/^\d{1,5}$/.test(port) && Number(port) <= 65535) return Number(port);
  throw systemError(`dial ${network}: address ${port}: invalid port`);
}
