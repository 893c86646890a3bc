/** What a linking container is told of the one linked to. */
export interface LinkedContainer {
  /** Its name by the link: `/parent/alias`. */
  name: string;
  alias: string;
  /** IPv4 address on the default bridge. */
  address: string;
  /** Exposed ports, such as `80/tcp`. */
  ports: string[];
  /** Its own environment. */
  env: string[];
}

interface Port {
  number: number;
  protocol: string;
}

/**
 * The environment variables of a legacy link: `ALIAS_PORT` with the lowest port (TCP before others), for each port its URL,
 * address, number and protocol, for ports in a row where they start and end, `ALIAS_NAME`, and the other's own variables as
 * `ALIAS_ENV_…`.
 */
export function linkEnv({ name, alias, address, ports: exposed, env: theirs }: LinkedContainer): string[] {
  const prefix = alias.replaceAll("-", "_").toUpperCase();
  const env: string[] = [];
  const ports = exposed.map(parsePort).sort(byProtocol);
  const url = (port: Port) => `${port.protocol}://${address}:${port.number}`;
  const key = (port: Port) => `${prefix}_PORT_${port.number}_${port.protocol.toUpperCase()}`;

  const [first] = ports;
  if (first !== undefined) env.push(`${prefix}_PORT=${url(first)}`);
  for (let i = 0; i < ports.length; i++) {
    const start = ports[i] as Port;
    let end = start;
    while (follows(ports[i + 1], end)) end = ports[++i] as Port;
    if (end === start) continue;
    env.push(
      `${key(start)}_START=${url(start)}`,
      `${key(start)}_ADDR=${address}`,
      `${key(start)}_PROTO=${start.protocol}`,
      `${key(start)}_PORT_START=${start.number}`,
      `${key(start)}_END=${url(end)}`,
      `${key(start)}_PORT_END=${end.number}`,
    );
  }
  for (const port of ports) {
    env.push(
      `${key(port)}=${url(port)}`,
      `${key(port)}_ADDR=${address}`,
      `${key(port)}_PORT=${port.number}`,
      `${key(port)}_PROTO=${port.protocol}`,
    );
  }
  env.push(`${prefix}_NAME=${name}`);
  for (const entry of theirs) {
    const variable = entry.split("=", 1)[0] as string;
    if (variable === entry || variable === "HOME" || variable === "PATH") continue;
    env.push(`${prefix}_ENV_${entry}`);
  }
  return env;
}

function parsePort(text: string): Port {
  const [number = "", protocol = "tcp"] = text.split("/");
  return { number: Number(number), protocol };
}

function byProtocol(a: Port, b: Port): number {
  if (a.protocol === b.protocol) return a.number - b.number;
  if (a.protocol === "tcp") return -1;
  return b.protocol === "tcp" ? 1 : a.protocol < b.protocol ? -1 : 1;
}

function follows(next: Port | undefined, port: Port): boolean {
  return next !== undefined && next.protocol === port.protocol && next.number === port.number + 1;
}
