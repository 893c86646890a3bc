import { type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";
import { messageOf } from "@gantry/spec";
import type { Connection, ForwardDriver } from "./driver.ts";
import type { Frames } from "./frames.ts";
import { type LogMessage, ownText, parseMessages } from "./message.ts";
import { type LogPosition, loadPosition, savePosition } from "./position.ts";
import { LogTail, type Piece } from "./tail.ts";
import { SendWindow } from "./window.ts";

/** Bytes that may be under way. */
const UNDER_WAY = 2 << 20;
/** Milliseconds between looks while something is under way, and between saves. */
const TICK = 200;
const SAVE = 900;
/** Between connections of which the last did not last longer than that. */
const PAUSE = 500;
const SHORT = 1000;
/** After an error that was none of the target's. */
const ERROR = 2000;
/** Where someone waits for the last of it to arrive. */
const SOON = 5;
/** And until one looks though nothing told of a change. */
const UNSEEN = 30_000;
/** Milliseconds of encoding after which others have their turn. */
const TURN = 3;

/** What a forwarder has to know about the container whose log it sends. */
export interface LogSource {
  /** The log's current file. */
  path: string;
  /** Where to keep how far it was sent. */
  positionPath: string;
  /** Whether nothing more will be written to it for now. */
  ended(): boolean;
  log(level: "info" | "warn", message: string): void;
}

/**
 * Sends a container's log to its driver's target as it grows: at least once, in order. It reads what the shim writes on
 * disk and keeps on disk how far it has come, so that neither a target that is away nor the end of the daemon loses a
 * line; the container never waits for it. After either, lines may be sent again: those of the last half second, or what a
 * target that died had not read. Only what rotation takes off the disk before it was sent is lost; that is counted and
 * logged.
 */
export class Forwarder {
  private connection: Connection | null = null;
  private window = new SendWindow();
  private position: LogPosition = {
    key: "",
    ino: 0,
    offset: 0,
    time: "",
    begun: {},
    lostBytes: 0,
    losses: 0,
  };
  private changed = false;
  private savedAt = 0;
  private tries = 0;
  private connectedAt = 0;
  private away = false;
  private stopped = false;
  private loop: Promise<void> | null = null;
  private again = false;
  private waiting: (() => void)[] = [];
  private woken = false;
  private onWake: (() => void) | null = null;

  constructor(
    private readonly source: LogSource,
    private driver: ForwardDriver,
  ) {}

  /** Takes another driver (its container was renamed, say) for what is read from here on, and connects where it has to. */
  async open(driver: ForwardDriver): Promise<void> {
    this.driver = driver;
    if (!driver.mustConnect || (this.connection !== null && this.connection.failed() === null)) return;
    const connection = await driver.connect();
    this.dropBroken();
    if (this.connection !== null) connection.close();
    else this.use(connection);
  }

  /** Begins to send, unless it does already. `done` is called when all was sent and the container has ended. */
  run(done: () => void): void {
    if (this.loop !== null) {
      // It may be about to end.
      this.again = true;
      this.wake();
      return;
    }
    this.loop = this.work()
      .catch(async (error) => {
        this.source.log("warn", `log driver ${this.driver.name}: ${messageOf(error)}`);
        this.again = true;
        if (!this.stopped) await Bun.sleep(ERROR);
      })
      .then(() => {
        this.loop = null;
        if (this.again && !this.stopped) {
          this.again = false;
          this.run(done);
          return;
        }
        this.disconnect();
        done();
      });
  }

  /** Resolves when all that is on disk by now has arrived, or it is plain that this takes longer than so many milliseconds. */
  async caughtUp(ms: number): Promise<void> {
    if (this.loop === null || this.away) return;
    const all = new Promise<void>((resolve) => this.waiting.push(resolve));
    this.wake();
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    await Promise.race([all, late, this.loop]);
    clearTimeout(timer);
  }

  get active(): boolean {
    return this.loop !== null;
  }

  /** Tells that the log has grown, or that its container has ended. */
  wake(): void {
    this.woken = true;
    this.onWake?.();
  }

  /** Gives a connection back that no start came to use. */
  disconnect(): void {
    if (this.loop !== null) return;
    this.connection?.close();
    this.connection = null;
  }

  /**
   * Waits until all was sent, but not longer than so many milliseconds, and not longer than a second for a target that is
   * away; then ends. Returns whether all was sent.
   */
  async finish(ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    let lastSeen = performance.now();
    while (this.loop !== null && performance.now() < end) {
      if (!this.away) lastSeen = performance.now();
      else if (performance.now() - lastSeen > 1000) break;
      await Promise.race([this.loop, Bun.sleep(50)]);
    }
    const all = this.loop === null;
    await this.stop();
    return all;
  }

  /** Ends, with its place kept on disk. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.wake();
    await this.loop;
  }

  private async work(): Promise<void> {
    const saved = await loadPosition(this.source.positionPath);
    if (saved !== null) this.position = saved;
    this.window = new SendWindow();
    const tail = new LogTail(this.source.path, saved, (bytes) => this.lost(bytes));
    // What is read is further than what has arrived.
    let read = this.position;
    let watcher: FSWatcher | null = null;
    try {
      watcher = watch(dirname(this.source.path), () => this.wake());
      watcher.on("error", () => {});
    } catch {
      // No more inotify watches: the clock does.
    }
    this.woken = true;
    try {
      while (!this.stopped) {
        const ended = this.source.ended();
        const waiting = this.waiting.splice(0);
        const piece = this.woken ? await this.read(tail) : null;
        if (piece !== null) {
          this.waiting.push(...waiting);
          const begun = { ...read.begun };
          const messages = parseMessages(piece.text, begun);
          const { lostBytes, losses } = this.position;
          const time = ownText(messages.at(-1)?.time ?? read.time);
          read = { ...piece.place, time, begun, lostBytes, losses };
          await this.send(messages, read, tail);
        } else {
          await this.flush(tail);
          if (this.window.empty) for (const resolve of waiting) resolve();
          else this.waiting.push(...waiting);
          if (ended && this.window.empty && !this.again) break;
          this.again = false;
          await this.pause(ended, watcher === null);
          if (watcher === null) this.woken = true;
        }
        await this.saveSometimes();
      }
      this.confirm();
    } finally {
      watcher?.close();
      tail.close();
      await this.save().catch((error) =>
        this.source.log("warn", `log driver ${this.driver.name}: its place was not saved: ${messageOf(error)}`),
      );
    }
  }

  /** The next lines. As long as there are some, one looks for more. */
  private async read(tail: LogTail): Promise<Piece | null> {
    this.woken = false;
    const piece = await tail.next();
    if (piece !== null) this.woken = true;
    return piece;
  }

  /** Waits for a change, or for the time of what is to be done without one. */
  private async pause(ended: boolean, unwatched: boolean): Promise<void> {
    if (this.woken || this.stopped) return;
    const times = [unwatched ? TICK : UNSEEN, this.window.keepsFor ?? UNSEEN];
    if (!this.window.empty) times.push(ended || this.waiting.length > 0 ? SOON : TICK);
    if (this.changed) times.push(Math.max(1, this.savedAt + SAVE - performance.now()));
    const ms = Math.min(...times);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        if (ms === UNSEEN) this.woken = true;
        resolve();
      }, ms);
      this.onWake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.onWake = null;
    this.window.expire();
  }

  private async send(messages: LogMessage[], position: LogPosition, tail: LogTail): Promise<void> {
    const frames = this.window.frames();
    await encodeAll(messages, this.driver, frames);
    this.window.add(frames, position);
    await this.flush(tail);
    // The kernel takes more than it sends.
    while (!this.stopped && this.window.bytes > UNDER_WAY) {
      await Bun.sleep(5);
      await this.flush(tail);
      await this.saveSometimes();
    }
  }

  /** Writes what has not been written to this connection; to another one, where it is broken. */
  private async flush(tail: LogTail): Promise<void> {
    while (!this.stopped) {
      this.confirm();
      this.dropBroken();
      const next = this.window.next();
      if (next === null) return;
      const connection = this.connection ?? (await this.reconnect(tail));
      if (connection === null) return;
      try {
        await this.during(connection.write(next.frames), tail);
        // The start of its container may have made another meanwhile.
        if (this.connection === connection && !this.stopped) this.window.wrote(next);
      } catch {
        // `failed` tells.
      }
    }
  }

  /**
   * Waits for a target. Where that takes long, what follows on disk is noted; not longer than until the end, which gives
   * null.
   */
  private async during<T>(work: Promise<T>, tail: LogTail): Promise<T | null> {
    let settled = false;
    const settling = work.finally(() => {
      settled = true;
    });
    settling.catch(() => {});
    for (;;) {
      let timer: Timer | undefined;
      const tick = new Promise<null>((resolve) => {
        timer = setTimeout(() => resolve(null), TICK);
      });
      try {
        const result = await Promise.race([settling, tick]);
        if (settled) return result;
      } finally {
        clearTimeout(timer);
      }
      if (this.stopped) return null;
      this.confirm();
      await tail.look();
      await this.saveSometimes();
    }
  }

  private use(connection: Connection): void {
    this.connection = connection;
    connection.onFailure = () => this.onWake?.();
    this.connectedAt = performance.now();
    this.window.restart(false);
  }

  private async reconnect(tail: LogTail): Promise<Connection | null> {
    while (!this.stopped) {
      // One that ends as soon as it is there is not asked for without a pause.
      const least = performance.now() - this.connectedAt < SHORT ? PAUSE : 0;
      const delay = Math.max(this.driver.retryDelay(this.tries++), least);
      for (const end = performance.now() + delay; !this.stopped && performance.now() < end; ) {
        await Bun.sleep(Math.min(TICK, end - performance.now()));
        await tail.look();
        await this.saveSometimes();
      }
      // The start of its container may have made one meanwhile.
      if (this.connection !== null) return this.connection;
      if (this.stopped) break;
      const connecting = this.driver.connect();
      try {
        const connection = await this.during(connecting, tail);
        if (connection === null) {
          connecting.then((late) => late.close()).catch(() => {});
          break;
        }
        if (this.away) this.source.log("info", `log driver ${this.driver.name}: its target is back`);
        this.away = false;
        if (this.connection !== null) connection.close();
        else this.use(connection);
        return this.connection;
      } catch (error) {
        if (!this.away) this.complain(messageOf(error));
        await tail.look();
      }
    }
    return null;
  }

  private complain(reason: string): void {
    this.away = true;
    this.source.log("warn", `log driver ${this.driver.name}: ${reason}; lines wait on disk`);
  }

  /** What has arrived is the place to go on from. */
  private confirm(): void {
    // Without a connection there is what needs none: lines that are nothing to this driver.
    const arrived = this.connection?.delivered() ?? 0;
    const position = this.window.confirm(arrived, this.connection?.certain ?? true);
    if (position === null) return;
    const { lostBytes, losses } = this.position;
    this.position = { ...position, lostBytes, losses };
    this.changed = true;
    this.tries = 0;
  }

  private dropBroken(): void {
    const failure = this.connection?.failed() ?? null;
    if (failure === null) return;
    this.connection = null;
    // A target that died may have had unread what its kernel had taken.
    this.window.restart(!failure.clean);
  }

  private lost(bytes: number): void {
    this.position = {
      ...this.position,
      lostBytes: this.position.lostBytes + bytes,
      losses: this.position.losses + 1,
    };
    this.changed = true;
    const size = bytes > 0 ? `at least ${bytes} bytes` : "an unknown number of bytes";
    const { losses, lostBytes, time } = this.position;
    this.source.log(
      "warn",
      `log driver ${this.driver.name}: rotation took ${size} of the log before they were sent, after ${time || "its beginning"} (${losses} times so far, ${lostBytes} bytes or more)`,
    );
  }

  private async saveSometimes(): Promise<void> {
    if (performance.now() - this.savedAt >= SAVE) await this.save();
  }

  private async save(): Promise<void> {
    if (!this.changed) return;
    this.changed = false;
    this.savedAt = performance.now();
    await savePosition(this.source.positionPath, this.position);
  }
}

/** Encodes messages, with turns for others in between. */
async function encodeAll(messages: LogMessage[], driver: ForwardDriver, frames: Frames): Promise<void> {
  let started = performance.now();
  for (const [i, message] of messages.entries()) {
    if (i % 16 === 15 && performance.now() - started > TURN) {
      await new Promise((resolve) => setImmediate(resolve));
      started = performance.now();
    }
    driver.encode(message, frames);
  }
}
