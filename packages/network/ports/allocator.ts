import { readFileSync } from "node:fs";
import { systemError } from "@gantry/spec";
import { close, errnoMessage, isErrno, type SysError } from "@gantry/sys";
import { parseAddress } from "../ipam/cidr.ts";
import type { PublishedPort } from "../model.ts";
import type { PortWish } from "./bindings.ts";
import { bindPort } from "./probe.ts";

/**
 * Ports of the host that containers hold.
 *
 * A port is asked for by really binding it, and while there are few enough the socket is kept: then a process of the host
 * that wants a published port is told "address in use" instead of starting up and never hearing anything. It costs a
 * descriptor each, so beyond `HELD_AT_MOST` ports are only tried and let go; the
 * firewall, not the socket, is what serves them in either case.
 */
const HELD_AT_MOST = 4096;

export class PortAllocator {
  /** Addresses in use by "protocol/port". */
  private readonly taken = new Map<string, string[]>();
  private readonly held = new Map<string, number>();
  private readonly begin: number;
  private readonly end: number;
  private cursor: number;

  constructor(range = ephemeralRange()) {
    [this.begin, this.end] = range;
    this.cursor = range[0] - 1;
  }

  /**
   * Gives every wish a port, or none where one cannot be had. `target` describes the container's end for error texts.
   * Throws GantryError in Docker's words.
   */
  allocate(wishes: PortWish[], target: (wish: PortWish) => string): PublishedPort[] {
    const out: PublishedPort[] = [];
    try {
      for (let at = 0; at < wishes.length; ) {
        let end = at + 1;
        while (end < wishes.length && wishes[end]!.pair === wishes[at]!.pair) end++;
        out.push(...this.allocatePair(wishes.slice(at, end), target));
        at = end;
      }
      return out;
    } catch (error) {
      this.release(out);
      throw error;
    }
  }

  /** Takes ports back in that a container held before the daemon's restart. */
  adopt(ports: PublishedPort[]): void {
    const six = new Set(ports.filter((port) => port.hostIp === "::").map(portKey));
    for (const port of ports) {
      if (port.hostPort === 0) continue;
      const shared = port.hostIp === "::" && this.held.has(holdKey({ ...port, hostIp: "0.0.0.0" }));
      this.mark(port);
      if (shared || this.held.size >= HELD_AT_MOST) continue;
      const both = port.hostIp === "0.0.0.0" && six.has(portKey(port));
      try {
        const fd = bindPort(port.protocol, both ? "*" : port.hostIp, port.hostPort);
        if (fd >= 0) this.held.set(holdKey(port), fd);
      } catch {
        // Another process took it meanwhile. The firewall still leads it to the container.
      }
    }
  }

  release(ports: PublishedPort[]): void {
    for (const port of ports) {
      const key = portKey(port);
      const rest = (this.taken.get(key) ?? []).filter((ip) => ip !== port.hostIp);
      if (rest.length === 0) this.taken.delete(key);
      else this.taken.set(key, rest);
      const fd = this.held.get(holdKey(port));
      if (fd === undefined) continue;
      this.held.delete(holdKey(port));
      close(fd);
    }
  }

  close(): void {
    for (const fd of this.held.values()) close(fd);
    this.held.clear();
  }

  private allocatePair(wishes: PortWish[], target: (wish: PortWish) => string): PublishedPort[] {
    const { first, last } = wishes[0]!;
    const ephemeral = first === 0;
    const from = ephemeral ? this.begin : first;
    const count = (ephemeral ? this.end : last) - from + 1;
    let failure: unknown;
    for (let step = 0; step < count; step++) {
      let port = from + step;
      if (ephemeral) {
        this.cursor = this.cursor >= this.end || this.cursor < this.begin ? this.begin : this.cursor + 1;
        port = this.cursor;
      }
      try {
        return this.takeAll(wishes, port, target);
      } catch (error) {
        // Another port helps only where this one was somebody's.
        const cause = (error as Error).cause;
        if (cause !== undefined && !isErrno(cause, "EADDRINUSE", "EACCES")) throw error;
        failure = error;
      }
    }
    if (count > 1) {
      const range = ephemeral ? "" : ` in range ${first}-${last}`;
      throw systemError(
        `Bind for ${show(wishes[0]!.hostIp)}:${first} failed: all ports are allocated${range}`,
        failure,
      );
    }
    throw failure;
  }

  private takeAll(wishes: PortWish[], port: number, target: (wish: PortWish) => string): PublishedPort[] {
    const out: PublishedPort[] = [];
    for (const wish of wishes) {
      const it = { protocol: wish.protocol, containerPort: wish.containerPort, hostIp: wish.hostIp, hostPort: port };
      if (this.conflicts(it))
        throw systemError(`Bind for ${show(it.hostIp)}:${port} failed: port is already allocated`);
      out.push(it);
    }
    const fds = this.bindAll(out, wishes, target);
    out.forEach((it, i) => {
      this.mark(it);
      const fd = fds[i] ?? -1;
      if (fd < 0) return;
      if (this.held.size >= HELD_AT_MOST) close(fd);
      else this.held.set(holdKey(it), fd);
    });
    return out;
  }

  /** Binds all addresses of one port, both unspecific ones with one socket. Returns descriptors in the order of `ports`. */
  private bindAll(ports: PublishedPort[], wishes: PortWish[], target: (wish: PortWish) => string): number[] {
    const [one, two] = ports;
    if (two !== undefined && one!.hostIp === "0.0.0.0" && two.hostIp === "::") {
      try {
        const fd = bindPort(one!.protocol, "*", one!.hostPort);
        if (fd >= 0) return [fd];
      } catch {
        // Each alone then, which says whose fault it is.
      }
    }
    const fds: number[] = [];
    for (let i = 0; i < ports.length; i++) {
      const it = ports[i]!;
      try {
        fds.push(bindPort(it.protocol, it.hostIp, it.hostPort));
      } catch (error) {
        for (const fd of fds) if (fd >= 0) close(fd);
        const reason = errnoMessage((error as SysError).errno);
        const where = `${show(it.hostIp)}:${it.hostPort}:${target(wishes[i]!)}`;
        throw systemError(`failed to bind host port for ${where}: ${reason}`, error);
      }
    }
    return fds;
  }

  private conflicts(port: PublishedPort): boolean {
    const others = this.taken.get(portKey(port));
    if (others === undefined) return false;
    const mine = parseAddress(port.hostIp)!;
    return others.some((ip) => {
      const other = parseAddress(ip)!;
      return other.family === mine.family && (other.value === mine.value || other.value === 0n || mine.value === 0n);
    });
  }

  private mark(port: PublishedPort): void {
    const key = portKey(port);
    const list = this.taken.get(key);
    if (list === undefined) this.taken.set(key, [port.hostIp]);
    else list.push(port.hostIp);
  }
}

const portKey = (port: PublishedPort) => `${port.protocol}/${port.hostPort}`;
const holdKey = (port: PublishedPort) => `${port.protocol}/${port.hostIp}/${port.hostPort}`;

/** An address as it stands before a colon. */
const show = (ip: string) => (ip.includes(":") ? `[${ip}]` : ip);

/** The range the kernel and Docker pick from where no port is asked for. */
function ephemeralRange(): [number, number] {
  try {
    const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    const [begin = 0, end = 0] = text.trim().split(/\s+/).map(Number);
    if (begin > 0 && end >= begin && end <= 65535) return [begin, end];
  } catch {}
  return [49153, 65535];
}
