import { invalidParameter } from "@gantry/spec";
import { parseGoUrl, splitHostPort } from "./go-url.ts";

export interface GelfOptions {
  address: { type: "udp" | "tcp"; host: string; port: string };
  compression: "gzip" | "zlib" | "none";
  /** zlib's: -1 for its default, 0 for none, up to 9. */
  level: number;
  /** Milliseconds between tries to connect (TCP). */
  reconnectDelay: number;
}

/**
 * Reads and checks the options of the driver `gelf`. Throws invalidParameter in Docker's words. gelf-tcp-max-reconnect,
 * after which Docker drops a line, is checked but has no meaning: lines wait on disk.
 */
export function parseGelfOptions(options: Record<string, string>): GelfOptions {
  const address = parseAddress(options["gelf-address"] ?? "");
  const level = options["gelf-compression-level"];
  const type = options["gelf-compression-type"];
  if ((level ?? type) !== undefined && address.type !== "udp") {
    throw invalidParameter("compression is only supported on UDP");
  }
  const unknown = (name: string, value: string) =>
    invalidParameter(
      `unknown value ${JSON.stringify(value)} for log opt "gelf-compression-${name}" for gelf log driver`,
    );
  if (level !== undefined && (!/^[+-]?\d{1,9}$/.test(level) || Number(level) < -1 || Number(level) > 9)) {
    throw unknown("level", level);
  }
  if (type !== undefined && !["gzip", "zlib", "none"].includes(type)) throw unknown("type", type);
  for (const name of ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"]) {
    const value = options[name];
    if (value === undefined) continue;
    if (address.type !== "tcp") throw invalidParameter(`"${name}" is only valid for TCP`);
    if (!/^\+?\d{1,9}$/.test(value)) throw invalidParameter(`"${name}" must be a positive integer`);
  }
  return {
    address,
    compression: (type ?? "gzip") as GelfOptions["compression"],
    level: Number(level ?? 1),
    reconnectDelay: Number(options["gelf-tcp-reconnect-delay"] ?? 1) * 1000,
  };
}

function parseAddress(text: string): GelfOptions["address"] {
  if (text === "") throw invalidParameter("gelf-address is a required parameter");
  const { scheme, host } = parseGoUrl(text);
  if (scheme !== "udp" && scheme !== "tcp") throw invalidParameter("gelf: endpoint needs to be TCP or UDP");
  let parts: { host: string; port: string } | null = null;
  try {
    parts = splitHostPort(host);
  } catch {
    // The same words for all of it.
  }
  if (parts === null) throw invalidParameter("gelf: please provide gelf-address as proto://host:port");
  return { type: scheme, ...parts };
}
