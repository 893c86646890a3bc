import { GantryError, messageOf, systemError, unavailable } from "@gantry/spec";
import { Nftables, NftElements, type SetElement } from "@gantry/sys";
import { besideIptables } from "./beside.ts";
import { elementKey } from "./elements.ts";
import { elementCommands, type FirewallNetwork, networkElements, skeleton } from "./ruleset.ts";

/**
 * The daemon's one table. What it should hold is kept here in memory; each change goes to the kernel as one transaction, and
 * where the kernel's table is not what it should be (flushed, edited), it is written anew from here.
 */
export class Firewall {
  private nft: Nftables | undefined;
  private elements: NftElements | undefined;
  private readonly networks = new Map<string, FirewallNetwork>();
  private readonly ports = new Map<string, SetElement>();
  /** Ports that were already there when the table was last written anew, and whose counters began again. */
  private recounted = new Set<string>();
  private guard = false;
  /** Nothing goes to the kernel before the first `rebuild`, so that a restart replaces the table in one step. */
  private written = false;
  /** Of the kernel's table as we last knew it. */
  private generation = 0;
  private identity: string | null = null;
  /** Of iptables' filter tables when our rules in them were last looked at. */
  private settled = "";

  /** `enabled` false (`--iptables=false`): nothing is ever written; published ports then need the user's own rules. */
  constructor(
    readonly table: string,
    readonly enabled: boolean,
    /** Names of the links that the host has. */
    private readonly links: () => ReadonlySet<string>,
  ) {}

  /** Whether packets between the host's own network cards are dropped (forwarding was our doing). */
  setGuard(on: boolean): void {
    this.guard = on;
  }

  /** Writes the whole table. Throws GantryError where the host cannot have it. */
  rebuild(): void {
    if (!this.enabled) return;
    this.written = true;
    const networks = [...this.networks.values()].flatMap(networkElements);
    this.run(skeleton(this.table, this.guard) + elementCommands("add", this.table, networks));
    try {
      this.raw().change([...this.ports.values()], []);
      this.recounted = new Set(this.ports.keys());
      this.identity = this.raw().identity();
    } catch (error) {
      throw firewallError(error);
    }
    this.settleBeside();
  }

  /**
   * Looks whether another program changed the ruleset, and sets right what of it was ours. Costs 20 µs where nobody did. Returns
   * whether the table had to be written again.
   */
  repair(): boolean {
    if (!this.written) return false;
    const generation = this.raw().generation();
    if (generation === this.generation) return false;
    const whole = this.isWhole();
    if (!whole) this.rebuild();
    else if (this.iptables() !== this.settled) this.settleBeside();
    this.generation = this.raw().generation();
    return !whole;
  }

  /** Opens a network's place in the table. Replaces what was there for the bridge. */
  addNetwork(network: FirewallNetwork): void {
    const before = this.networks.get(network.bridge);
    this.networks.set(network.bridge, network);
    if (!this.written) return;
    const commands =
      (before === undefined ? "" : elementCommands("delete", this.table, networkElements(before))) +
      elementCommands("add", this.table, networkElements(network));
    this.orRebuild(() => this.run(commands));
    this.settleBeside();
  }

  removeNetwork(bridge: string): void {
    const network = this.networks.get(bridge);
    if (network === undefined) return;
    this.networks.delete(bridge);
    if (!this.written) return;
    this.orRebuild(() => this.run(elementCommands("delete", this.table, networkElements(network))));
    this.settleBeside();
  }

  /** Takes networks and ports in without writing them, for a `rebuild` that follows. */
  stage(networks: FirewallNetwork[], ports: SetElement[]): void {
    for (const network of networks) this.networks.set(network.bridge, network);
    for (const port of ports) this.ports.set(elementKey(port), port);
  }

  /** Whether connections may have been made through these port elements. */
  wereUsed(elements: SetElement[]): boolean {
    const counting = elements.filter((element) => element.set.startsWith("dnat"));
    if (!this.written || counting.length === 0) return false;
    if (counting.length > 1000 || counting.some((element) => this.recounted.has(elementKey(element)))) return true;
    try {
      return this.raw().packets(counting) > 0;
    } catch {
      return true;
    }
  }

  /** Adds and removes port elements in one transaction. */
  changePorts(add: SetElement[], remove: SetElement[]): void {
    const gone = remove.filter((element) => {
      this.recounted.delete(elementKey(element));
      return this.ports.delete(elementKey(element));
    });
    for (const element of add) this.ports.set(elementKey(element), element);
    if (this.written && add.length + gone.length > 0) this.orRebuild(() => this.raw().change(add, gone));
  }

  /**
   * The daemon ends and no container is left: takes back the rules beside iptables, and the table, but where that keeps the host from
   * routing between its network cards. A restart writes it anew.
   */
  retire(): void {
    if (!this.written) return;
    this.networks.clear();
    this.settleBeside();
    if (!this.guard) this.run(`table inet ${this.table}\ndelete table inet ${this.table}\n`);
    this.written = false;
  }

  close(): void {
    this.nft?.close();
    this.elements?.close();
    this.nft = undefined;
    this.elements = undefined;
  }

  private orRebuild(change: () => void): void {
    try {
      change();
    } catch {
      this.rebuild();
    }
  }

  private isWhole(): boolean {
    const raw = this.raw();
    if (this.identity === null || raw.identity() !== this.identity) return false;
    const wanted = new Map<string, number>();
    for (const network of this.networks.values()) {
      for (const [set] of networkElements(network)) wanted.set(set, (wanted.get(set) ?? 0) + 1);
    }
    for (const port of this.ports.values()) wanted.set(port.set, (wanted.get(port.set) ?? 0) + 1);
    // Intervals are stored as two elements each, sometimes more: of those sets only emptiness is told.
    for (const [set, count] of wanted) {
      const found = raw.count(set);
      if (/^(?:home|masq|snat)/.test(set) ? found === 0 : found !== count) return false;
    }
    return true;
  }

  private iptables(): string {
    return this.raw().rulesOf("ip", "filter") + this.raw().rulesOf("ip6", "filter");
  }

  private settleBeside(): void {
    this.nft ??= new Nftables();
    try {
      if (this.iptables() === "") return;
      besideIptables(this.nft, this.table, [...this.networks.keys()], this.links());
      this.settled = this.iptables();
    } catch {
      // Another program changed those chains meanwhile; the next change of ours looks again.
    }
  }

  private run(commands: string): void {
    this.nft ??= new Nftables();
    try {
      this.nft.run(commands);
    } catch (error) {
      throw firewallError(error);
    }
  }

  private raw(): NftElements {
    this.elements ??= new NftElements(this.table);
    return this.elements;
  }
}

function firewallError(error: unknown): GantryError {
  if (error instanceof GantryError) return error;
  const message = messageOf(error);
  if (/not supported|Protocol error|Permission denied|not permitted/i.test(message)) {
    return unavailable(
      "nftables is needed for container networks, but the kernel refuses it (is nf_tables there, and CAP_NET_ADMIN?); " +
        `an iptables-legacy host can run the daemon with --iptables=false and its own rules: ${message}`,
      error,
    );
  }
  return systemError(`firewall: ${message}`, error);
}
