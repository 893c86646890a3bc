import { CliError } from "../errors.ts";
import { csvFields, keyValue } from "./csv.ts";

export interface PublishedPorts {
  exposed: Record<string, object>;
  bindings: Record<string, { HostIp: string; HostPort: string }[]>;
}

/** `-p` and `--expose` options as the API takes them. Throws CliError in Docker's words. */
export function parsePorts(publish: readonly string[], expose: readonly string[]): PublishedPorts {
  const ports: PublishedPorts = { exposed: {}, bindings: {} };
  for (const item of publish) addPublished(item.includes("=") ? fromLongForm(item) : item, ports);
  for (const item of expose) {
    if (item.includes(":")) throw new CliError(`invalid port format for --expose: ${item}`);
    const [range, proto] = splitProto(item);
    let numbers: [number, number];
    try {
      numbers = portRange(range);
    } catch (error) {
      throw new CliError(`invalid range format for --expose: ${(error as Error).message}`);
    }
    for (let port = numbers[0]; port <= numbers[1]; port++) ports.exposed[`${port}/${proto}`] ??= {};
  }
  return ports;
}

/** Ports to close: "80/tcp" (whatever it is published as) or as they were published, "8080:80". */
export function parseRemovedPorts(items: readonly string[]): PublishedPorts["bindings"] {
  const { bindings } = parsePorts(items, []);
  // A bare container port names no binding: all of them.
  return Object.fromEntries(
    Object.entries(bindings).map(([port, list]) => [port, list.filter((one) => one.HostIp || one.HostPort)]),
  );
}

function addPublished(item: string, ports: PublishedPorts): void {
  const parts = item.split(":");
  const container = parts.pop()!;
  const hostPort = parts.pop() ?? "";
  let ip = parts.join(":");
  if (ip.startsWith("[")) {
    if (!ip.endsWith("]")) throw new CliError(`Invalid ip address: ${ip}`);
    ip = ip.slice(1, -1);
  }
  if (ip && !isAddress(ip)) throw new CliError(`Invalid ip address: ${ip}`);
  const [containerPort, proto] = splitProto(container);
  if (!containerPort) throw new CliError(`No port specified: ${item}<empty>`);
  const [first, last] = rangeOr(containerPort, () => `Invalid containerPort: ${containerPort}`);
  let host: [number, number] | undefined;
  if (hostPort) {
    host = rangeOr(hostPort, () => `Invalid hostPort: ${hostPort}`);
    if (last - first !== host[1] - host[0] && first !== last) {
      throw new CliError(`Invalid ranges specified for container and host Ports: ${containerPort} and ${hostPort}`);
    }
  }
  if (!["tcp", "udp", "sctp"].includes(proto)) throw new CliError(`Invalid proto: ${proto}`);
  for (let i = 0; i <= last - first; i++) {
    const name = `${first + i}/${proto}`;
    let text = "";
    if (host) {
      text = String(host[0] + i);
      // One container port with a range of host ports: any free one of them.
      if (first === last && host[0] !== host[1]) text += `-${host[1]}`;
    }
    ports.exposed[name] ??= {};
    ports.bindings[name] = [...(ports.bindings[name] ?? []), { HostIp: ip, HostPort: text }];
  }
}

function fromLongForm(item: string): string {
  let published = "";
  let target = "";
  let protocol = "tcp";
  for (const field of csvFields(item)) {
    const [key, value] = keyValue(field);
    if (value === undefined)
      throw new CliError(`invalid publish opts format (should be name=value but got '${field}')`);
    if (key === "published") published = value;
    else if (key === "target") target = value;
    else if (key === "protocol") protocol = value;
    else if (key !== "mode") throw new CliError(`invalid field key ${key}`);
  }
  return `${published ? `${published}:` : ""}${target}/${protocol}`;
}

function splitProto(text: string): [port: string, proto: string] {
  const [port = "", proto] = text.split("/");
  return [port, proto ? proto.toLowerCase() : "tcp"];
}

function rangeOr(text: string, message: () => string): [number, number] {
  try {
    return portRange(text);
  } catch {
    throw new CliError(message());
  }
}

function portRange(text: string): [number, number] {
  const parts = text.split("-");
  const [first, last] = parts.length === 1 ? [parts[0]!, parts[0]!] : [parts[0]!, parts[1]!];
  for (const part of [first, last]) {
    if (!/^\d+$/.test(part)) throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(part)}: invalid syntax`);
    if (Number(part) > 65535) throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(part)}: value out of range`);
  }
  if (parts.length > 2)
    throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(parts.slice(1).join("-"))}: invalid syntax`);
  if (Number(last) < Number(first)) throw new Error(`invalid range specified for port: ${text}`);
  return [Number(first), Number(last)];
}

/** Whether the text is an IPv4 or IPv6 address. */
export function isAddress(text: string): boolean {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (v4) return v4.slice(1).every((part) => Number(part) < 256 && !/^0\d/.test(part));
  if (!text.includes(":") || !/^[0-9a-fA-F:.]+$/.test(text)) return false;
  try {
    new URL(`http://[${text}]/`);
    return true;
  } catch {
    return false;
  }
}
