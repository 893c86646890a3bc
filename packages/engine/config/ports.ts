import { invalidParameter } from "@gantry/spec";

/** "80", "80/tcp" or "80-90/udp" as "80/tcp" and so on, and its range. Throws invalidParameter. */
export function parsePortSpec(text: string): { proto: string; start: number; end: number } {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/([a-zA-Z]*))?$/.exec(text);
  const proto = (match?.[3] || "tcp").toLowerCase();
  const start = Number(match?.[1]);
  const end = match?.[2] === undefined ? start : Number(match[2]);
  if (match === null || start > 65535 || end > 65535 || end < start) {
    throw invalidParameter(`invalid port specification: "${text}"`);
  }
  if (proto !== "tcp" && proto !== "udp" && proto !== "sctp") throw invalidParameter(`invalid proto: ${proto}`);
  return { proto, start, end };
}

/** Those of a container's exposed ports that are ports. An image may name others: they mean nothing. */
export function exposedPorts(ports: Record<string, unknown> | null | undefined): string[] {
  return Object.keys(ports ?? {}).filter((text) => {
    try {
      return parsePortSpec(text) !== null;
    } catch {
      return false;
    }
  });
}

/** The key that inspect shows: "80/tcp". */
export function portKey(text: string): string {
  const { proto, start, end } = parsePortSpec(text);
  return start === end ? `${start}/${proto}` : `${start}-${end}/${proto}`;
}
