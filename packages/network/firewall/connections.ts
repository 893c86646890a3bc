import { type ConntrackMatch, deleteConntrack } from "@gantry/sys";

/** Soon enough that nobody notices, late enough to gather what belongs together: a sweep takes a thread some milliseconds. */
const DELAY_MS = 200;

/**
 * Makes the kernel forget connections whose translation is no longer true: else a UDP client that keeps sending would keep reaching
 * whatever had the port before, and connections to a removed port would stay open.
 */
export class ConnectionSweeper {
  private wanted = new Map<string, ConntrackMatch>();
  private timer: Timer | undefined;
  private running: Promise<void> = Promise.resolve();
  /** Asked for and not done yet, whether its turn has come or not. */
  private readonly underway = new Set<ConntrackMatch>();

  constructor(
    private readonly warn: (text: string) => void,
    private readonly forget: (match: ConntrackMatch) => Promise<unknown> = deleteConntrack,
  ) {}

  later(matches: ConntrackMatch[]): void {
    for (const match of matches) {
      const key = `${match.to}/${match.family}`;
      const before = this.wanted.get(key);
      // All of an address includes its ports; one walk through the table does for many.
      if (before === undefined || match.flows === undefined) this.wanted.set(key, { ...match });
      else if (before.flows !== undefined) before.flows = before.flows.concat(match.flows);
    }
    if (this.wanted.size === 0) return;
    this.timer ??= setTimeout(() => void this.now(), DELAY_MS);
    this.timer.unref();
  }

  /** Waits where connections to one of the addresses are still to be forgotten: new ones must not be among them. */
  async settle(addresses: string[]): Promise<void> {
    if (this.wanted.size === 0 && this.underway.size === 0) return;
    const pending = [...this.wanted.values(), ...this.underway];
    if (pending.some((match) => match.flows === undefined && addresses.includes(match.to))) await this.now();
  }

  /** Does what was asked for, and waits for it. */
  async now(): Promise<void> {
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.timer = undefined;
    const matches = [...this.wanted.values()];
    this.wanted = new Map();
    for (const match of matches) this.underway.add(match);
    this.running = this.running.then(async () => {
      for (const match of matches) {
        try {
          await this.forget(match);
        } catch (error) {
          this.warn(`cannot drop connections: ${(error as Error).message}`);
          break;
        }
      }
      for (const match of matches) this.underway.delete(match);
    });
    await this.running;
  }
}
