import { readFileSync } from "node:fs";
import { AF, type LinkInfo, RouteNetlink } from "@gantry/sys";
import { type Cidr, parseCidr } from "./ipam/cidr.ts";
import type { NetworkStore } from "./store.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

/** The host's own network: links, routes, and what turning on forwarding means for it. */
export class Host {
  readonly netlink = RouteNetlink.open();
  private leftovers = new Set<string>();
  private timer: Timer | undefined;
  private sweeping: Promise<void> = Promise.resolve();

  link(name: string): LinkInfo | null {
    return this.netlink.link(name);
  }

  /** Blocks that the host routes somewhere, other than by default routes, loopback and the given links. */
  routedBlocks(exceptLinks: Set<number>): Cidr[] {
    const out: Cidr[] = [];
    for (const family of [AF.INET, AF.INET6]) {
      for (const route of this.netlink.routes(family)) {
        const block = parseCidr(route.destination);
        const unicast = route.type === 1 && !exceptLinks.has(route.link);
        if (block === null || block.prefix === 0 || !unicast || route.destination.startsWith("fe80:")) continue;
        out.push(block);
      }
    }
    return out;
  }

  /**
   * Deletes links without waiting. A link in a namespace goes with it, for which the kernel needs no help; those that are still
   * there after `delay` milliseconds (somebody keeps the namespace) are deleted by another thread, since a deletion
   * takes 10 to 50 ms.
   */
  deleteLinksLater(names: string[], delay = 2000): void {
    for (const name of names) this.leftovers.add(name);
    if (this.leftovers.size === 0) return;
    if (delay === 0) void this.sweep();
    else {
      this.timer ??= setTimeout(() => void this.sweep(), delay);
      this.timer.unref();
    }
  }

  /** Deletes links on another thread and waits for it. */
  async deleteNow(names: string[]): Promise<void> {
    for (const name of names) this.leftovers.add(name);
    await this.sweep();
  }

  /** Deletes what `deleteLinksLater` was told, now, and waits for it. */
  async sweep(): Promise<void> {
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.timer = undefined;
    const names = this.leftovers;
    this.leftovers = new Set();
    this.sweeping = this.sweeping.then(async () => {
      if (names.size === 0) return;
      try {
        const batch = this.netlink.batch();
        for (const link of this.netlink.links()) if (names.has(link.name)) batch.deleteLink(link.index);
        await this.netlink.runElsewhere(batch);
      } catch {
        // No memory for a socket, say. Strays are looked for again at the daemon's next start.
      }
    });
    await this.sweeping;
  }

  /**
   * Turns forwarding on as Docker does. Returns true where it was off: then this daemon is the one that made a router of the
   * host, which holds until the next boot and is remembered.
   */
  enableForwarding(store: NetworkStore, ipv6: boolean): boolean {
    const key = ipv6 ? "forwarding6" : "forwarding4";
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const path = ipv6 ? "ipv6/conf/all/forwarding" : "ipv4/ip_forward";
    if (readSysctl(path) === "1") return store.note(key) === boot;
    if (ipv6) this.keepRouterAdvertisements();
    if (!writeSysctl(path, "1")) return false;
    if (ipv6) writeSysctl("ipv6/conf/default/forwarding", "1");
    store.saveNote(key, boot);
    return true;
  }

  close(): void {
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.netlink.close();
  }

  /** A forwarding host ignores router advertisements unless told otherwise (accept_ra 2), and would lose its own default route. */
  private keepRouterAdvertisements(): void {
    for (const link of this.netlink.links()) {
      const path = `ipv6/conf/${link.name}/accept_ra`;
      if (link.kind === "" && readSysctl(path) === "1") writeSysctl(path, "2");
    }
  }
}

/** The host's resolver settings; systemd-resolved's stub is looked through. */
export interface HostResolver {
  servers: string[];
  search: string[];
  options: string[];
}

export function hostResolver(): HostResolver {
  let text = "";
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
    const servers = text.match(/^\s*nameserver\s+(\S+)/gm) ?? [];
    if (servers.length === 1 && servers[0]!.trim().endsWith("127.0.0.53")) {
      text = readFileSync("/run/systemd/resolve/resolv.conf", "utf8");
    }
  } catch {
    // Without one, or without systemd's, what was read so far is what there is.
  }
  const out: HostResolver = { servers: [], search: [], options: [] };
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined) out.servers.push(values[0]);
    if (keyword === "search") out.search = values;
    if (keyword === "options") out.options.push(...values);
  }
  return out;
}
