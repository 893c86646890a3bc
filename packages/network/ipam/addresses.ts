import { forbidden, systemError } from "@gantry/spec";
import { type Cidr, contains, formatAddress, last, parseAddress } from "./cidr.ts";

/** Longer than a neighbour's entry stays reachable unasked (30 s on average, 45 at most). */
const REMEMBERED_MS = 120_000;

/**
 * The addresses of one subnet. Free ones are given out in ascending order from behind the one given last, so that an address comes
 * back into use as late as possible. Docker gives the lowest; but then each start would have to wait until the kernel has done away
 * with the interface of whoever had it just before.
 */
export class AddressSet {
  private readonly used = new Set<bigint>();
  /** When addresses were given back, in milliseconds of the monotonic clock. */
  private readonly freed = new Map<bigint, number>();
  private cursor: bigint;

  /** `range` is where unasked-for addresses come from; the whole subnet where it is left out. */
  constructor(
    readonly subnet: Cidr,
    private readonly range: Cidr = subnet,
  ) {
    this.cursor = range.base - 1n;
  }

  /** How many addresses of the subnet nobody can be given: those in use, and those that are nobody's. */
  get inUse(): bigint {
    let taken = 0n;
    for (const value of this.used) if (!this.isNobodys(value)) taken++;
    const { family, prefix } = this.subnet;
    if (family === 6) return prefix < 127 ? taken + 1n : taken;
    return prefix < 31 ? taken + 2n : taken;
  }

  /** How many addresses the range still has. */
  get available(): bigint {
    let taken = 0n;
    for (const value of this.used) if (value >= this.first && value <= this.end) taken++;
    return this.end - this.first + 1n - taken;
  }

  /** Takes one address of the subnet. Throws forbidden (`Address already in use`) where it is taken. */
  take(text: string): void {
    const address = parseAddress(text);
    if (address === null || !contains(this.subnet, address)) {
      throw forbidden(`no configured subnet or ip-range contain the IP address ${text}`);
    }
    if (this.used.has(address.value) || this.isNobodys(address.value)) throw forbidden("Address already in use");
    this.used.add(address.value);
  }

  /** As `take` for one of the range; false where it is taken or none of them. */
  tryTake(text: string): boolean {
    const address = parseAddress(text);
    if (address === null || !contains(this.range, address)) return false;
    if (this.used.has(address.value) || this.isNobodys(address.value)) return false;
    this.used.add(address.value);
    return true;
  }

  /** As `take`, for addresses that several may claim (auxiliary ones, the gateway after a restart). Never throws for a taken one. */
  reserve(text: string): void {
    const address = parseAddress(text);
    if (address !== null && contains(this.subnet, address)) this.used.add(address.value);
  }

  /** Moves the point that the search starts behind, after a restart. */
  advance(text: string): void {
    const address = parseAddress(text);
    if (address !== null && contains(this.range, address) && address.value > this.cursor) this.cursor = address.value;
  }

  /** The next free address, or `null` where the range is full. */
  next(): string | null {
    const count = this.end - this.first + 1n;
    if (count <= 0n) return null;
    let value = this.cursor < this.first || this.cursor >= this.end ? this.first : this.cursor + 1n;
    // At most one step more than there are addresses in use finds a free one.
    for (let steps = 0n; steps < count && steps <= BigInt(this.used.size); steps++) {
      if (!this.used.has(value)) {
        this.used.add(value);
        this.cursor = value;
        return formatAddress(this.subnet.family, value);
      }
      value = value >= this.end ? this.first : value + 1n;
    }
    return null;
  }

  free(text: string): void {
    const address = parseAddress(text);
    if (address === null || address.family !== this.subnet.family) throw systemError(`not an address: ${text}`);
    if (!this.used.delete(address.value)) return;
    const now = performance.now();
    // In the order of time, so the oldest come first.
    for (const [value, when] of this.freed) {
      if (now - when < REMEMBERED_MS) break;
      this.freed.delete(value);
    }
    this.freed.delete(address.value);
    this.freed.set(address.value, now);
  }

  /** Whether neighbours may still know another MAC for the address. */
  isFresh(text: string): boolean {
    const when = this.freed.get(parseAddress(text)?.value ?? -1n);
    return when === undefined || performance.now() - when >= REMEMBERED_MS;
  }

  /** The network's own address and IPv4's broadcast address; point-to-point blocks have neither. */
  private isNobodys(value: bigint): boolean {
    const { family, prefix, base } = this.subnet;
    if (family === 6) return prefix < 127 && value === base;
    return prefix < 31 && (value === base || value === last(this.subnet));
  }
  /** Of the range, but for what is nobody's. */
  private get first(): bigint {
    const wide = this.subnet.family === 4 ? this.subnet.prefix < 31 : this.subnet.prefix < 127;
    return wide && this.range.base === this.subnet.base ? this.range.base + 1n : this.range.base;
  }
  private get end(): bigint {
    const end = last(this.range);
    return this.subnet.family === 4 && this.subnet.prefix < 31 && end === last(this.subnet) ? end - 1n : end;
  }
}
