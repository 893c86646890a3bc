import type { PortSummary } from "@gantry/spec";

/** A container's ports in one line: neighbours of the same kind as ranges, published ones with where. */
export function displayPorts(ports: readonly PortSummary[]): string {
  const sorted = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compare(a.IP ?? "", b.IP ?? "") ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compare(a.Type, b.Type),
  );
  const groups = new Map<string, { ip: string; type: string; first: number; last: number }>();
  const done: string[] = [];
  const mapped: string[] = [];
  for (const { PrivatePort: port, PublicPort, IP: ip = "", Type: type } of sorted) {
    if (ip && PublicPort !== port) {
      mapped.push(`${hostPort(ip, String(PublicPort ?? 0))}->${port}/${type}`);
      continue;
    }
    const key = `${ip}/${type}`;
    const group = groups.get(key);
    if (group && port === group.last + 1) {
      group.last = port;
      continue;
    }
    if (group) done.push(groupText(group));
    // A group that begins anew keeps its place in the order.
    if (group) Object.assign(group, { first: port, last: port });
    else groups.set(key, { ip, type, first: port, last: port });
  }
  return [...done, ...[...groups.values()].map(groupText), ...mapped].join(", ");
}

/** Address and port; an IPv6 address in brackets. */
export function hostPort(ip: string, port: string): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function groupText({ ip, type, first, last }: { ip: string; type: string; first: number; last: number }): string {
  const range = first === last ? String(first) : `${first}-${last}`;
  return `${ip ? `${hostPort(ip, range)}->${range}` : range}/${type}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
