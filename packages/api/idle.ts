import { releaseProgramPages } from "@gantry/sys";

/** Milliseconds without a request after which memory is tidied up. */
const IDLE_MS = 30_000;

/**
 * Tidies memory up once after each burst of requests, when none has come for a while: garbage goes (some 10 MB after a
 * hundred runs), and code pages that only start-up needed are no longer held (some 25 MB). The next request pays about a
 * millisecond of page faults for it.
 */
export class IdleKeeper {
  private last = Date.now();
  private tidy = false;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor() {
    this.timer = setInterval(() => this.check(), IDLE_MS / 2);
    this.timer.unref();
  }

  /** A request came. */
  touch(): void {
    this.last = Date.now();
    this.tidy = false;
  }

  private check(): void {
    if (this.tidy || Date.now() - this.last < IDLE_MS) return;
    this.tidy = true;
    Bun.gc(true);
    releaseProgramPages();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
