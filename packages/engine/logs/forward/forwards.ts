import { GantryError, messageOf } from "@gantry/spec";
import { forwardsLogs } from "../../config/log-config.ts";
import type { Container } from "../../containers/container.ts";
import type { Engine } from "../../engine.ts";
import { forwardDriver } from "./drivers.ts";
import { Forwarder } from "./forwarder.ts";

/** Milliseconds that a removed container's last lines, and all of them at the end of the daemon, have to get away. */
const LAST_LINES = 5000;
const SHUTDOWN = 2000;
/** And an ended one's, before its end is told. */
const EXIT = 250;

/** The logs that are being sent elsewhere. Containers with other drivers have nothing to do with it. */
export class LogForwards {
  private readonly running = new Map<Container, Forwarder>();

  constructor(private readonly engine: Engine) {}

  /**
   * Before a container starts: reads its options and connects. Throws what Docker says where that fails (a driver that
   * need not connect now, or cannot tell, does not fail).
   */
  async open(container: Container): Promise<void> {
    if (!forwards(container)) return;
    try {
      const driver = forwardDriver(container.record);
      await this.forwarder(container, driver).open(driver);
    } catch (error) {
      this.abandon(container);
      throw new GantryError(
        error instanceof GantryError ? error.kind : "system",
        `failed to create task for container: failed to initialize logging driver: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /** After it has started. */
  begin(container: Container): void {
    const forwarder = this.running.get(container);
    if (forwarder === undefined) return;
    container.onExit(() => forwarder.wake());
    forwarder.run(() => {
      if (this.running.get(container) === forwarder) this.running.delete(container);
    });
  }

  /** Where the start failed. What was left to send from before goes on. */
  abandon(container: Container): void {
    const forwarder = this.running.get(container);
    if (forwarder === undefined || forwarder.active) return;
    forwarder.disconnect();
    this.running.delete(container);
  }

  /** After the daemon's start: goes on with every log, where it was left. */
  resume(): void {
    for (const container of this.engine.containers.all()) {
      if (!forwards(container) || !container.state.startedBefore || this.running.has(container)) continue;
      try {
        this.forwarder(container, forwardDriver(container.record));
        this.begin(container);
      } catch (error) {
        this.engine.log("error", `container ${container.id}: log driver: ${messageOf(error)}`);
      }
    }
  }

  /** Whether a container's log is being sent. */
  has(container: Container): boolean {
    return this.running.has(container);
  }

  /** Before a container's end is told: as with Docker, what it wrote has mostly arrived by then. */
  async caughtUp(container: Container): Promise<void> {
    await this.running.get(container)?.caughtUp(EXIT);
  }

  /** Before a container's files are deleted. */
  async finish(container: Container): Promise<void> {
    const forwarder = this.running.get(container);
    if (forwarder === undefined) return;
    forwarder.wake();
    const all = await forwarder.finish(this.engine.stopping ? SHUTDOWN : LAST_LINES);
    this.running.delete(container);
    if (!all) this.engine.log("warn", `container ${container.id}: removed with log lines that its driver had not sent`);
  }

  /** At the daemon's end. */
  async shutdown(): Promise<void> {
    await Promise.all(
      [...this.running.values()].map(async (forwarder) => {
        forwarder.wake();
        // Those of containers that run on have no end to wait for.
        await forwarder.finish(this.engine.config.liveRestore ? 0 : SHUTDOWN);
      }),
    );
  }

  private forwarder(container: Container, driver: ReturnType<typeof forwardDriver>): Forwarder {
    const known = this.running.get(container);
    if (known !== undefined) return known;
    const forwarder = new Forwarder(
      {
        path: container.logPath,
        positionPath: `${container.dir}/log-forward/position.json`,
        ended: () => !container.running && container.state.status !== "restarting",
        log: (level, message) => this.engine.log(level, `container ${container.id}: ${message}`),
      },
      driver,
    );
    this.running.set(container, forwarder);
    return forwarder;
  }
}

const forwards = (container: Container): boolean => forwardsLogs(container.record.hostConfig.LogConfig?.Type ?? "");
