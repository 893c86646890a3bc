import { conflict, messageOf, notModified, systemError } from "@gantry/spec";
import { parseSignal } from "../config/signals.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { cancelRestart } from "./restart.ts";
import { runningTask } from "./running.ts";
import { killSignal, markStopped, sendSignal, stopSignal } from "./signal.ts";
import { startLocked } from "./start.ts";

/** Seconds a container has to end by itself where nothing else is said. */
const DEFAULT_TIMEOUT = 10;

export interface StopOptions {
  /** Seconds before SIGKILL; negative waits for ever. */
  timeout?: number | undefined;
  signal?: string | undefined;
}

/**
 * Stops a container. Throws notModified where it does not run. Not under the lock: who waits long for its end keeps
 * nobody from renaming, pausing, or stopping it with less patience.
 */
export async function stopContainer(_engine: Engine, container: Container, options: StopOptions = {}): Promise<void> {
  const signal = options.signal ? parseSignal(options.signal) : undefined;
  await container.settled();
  if (container.state.status === "restarting") return stopRestarting(container);
  if (!container.running) throw notModified("container already stopped");
  await stopRunning(container, { timeout: options.timeout, signal });
}

/** Of a container that waits for its restart. */
function stopRestarting(container: Container): void {
  endRestarting(container);
  container.emit("stop");
}

function endRestarting(container: Container): void {
  markStopped(container);
  cancelRestart(container);
}

async function stopRunning(
  container: Container,
  options: { timeout?: number | undefined; signal?: number | undefined },
): Promise<void> {
  const { task, exited, record } = container;
  if (task === null) return;
  const timeout = options.timeout ?? record.config.StopTimeout ?? DEFAULT_TIMEOUT;
  await sendSignal(container, task, options.signal ?? stopSignal(container), true);
  const done = exited ?? Promise.resolve();
  if (!(await within(done, timeout < 0 ? null : timeout * 1000))) {
    await sendSignal(container, task, 9, true);
    if (!(await within(done, 10_000))) {
      // Processes that keep the stdio open, or hang in the kernel.
      await task.kill(9, true).catch(() => {});
      await within(done, 10_000);
    }
  }
  container.emit("stop");
}

/** Whether the work ends in time. */
async function within(work: Promise<unknown>, ms: number | null): Promise<boolean> {
  if (ms === null) {
    await work;
    return true;
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const result = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return result;
}

/** Stops a container that runs, and starts it. */
export async function restartContainer(engine: Engine, container: Container, options: StopOptions = {}): Promise<void> {
  const signal = options.signal ? parseSignal(options.signal) : undefined;
  await container.lock.run(async () => {
    container.restartedByHand = true;
    try {
      if (container.state.status === "restarting") stopRestarting(container);
      else if (container.running) await stopRunning(container, { timeout: options.timeout, signal });
    } finally {
      if (container.exited !== null) await container.exited;
      container.restartedByHand = false;
    }
    await startLocked(engine, container);
    container.emit("restart");
  });
}

/** Sends a signal. A stop signal by hand keeps restart policies from starting the container anew. */
export async function killContainer(_engine: Engine, container: Container, signalText: string): Promise<void> {
  const signal = killSignal(signalText || "SIGKILL");
  await container.settled();
  const ends = signal === 9 || signal === stopSignal(container);
  if (container.state.status === "restarting") {
    // There is nobody to send it to. It ends what waits for its restart.
    if (ends) endRestarting(container);
    return;
  }
  const { task, exited } = container;
  if (task === null || !container.running) {
    throw conflict(`container ${container.id} is not running`);
  }
  try {
    await sendSignal(container, task, signal, ends);
  } catch (error) {
    throw conflict(messageOf(error));
  }
  // Docker answers a SIGKILL once the container is gone.
  if (signal === 9 && exited !== null) await within(exited, 10_000);
}

export async function pauseContainer(_engine: Engine, container: Container): Promise<void> {
  await container.lock.run(async () => {
    const { state } = container;
    const task = runningTask(container);
    if (state.status === "paused") throw conflict(`Container ${container.id} is already paused`);
    await container.change(async () => {
      try {
        await task.pause();
      } catch (error) {
        if ((await task.status()) === "stopped") throw conflict(`container ${container.id} is not running`);
        throw error;
      }
      // It may have ended meanwhile: then there is nothing that could go on.
      if (container.task !== task) throw conflict(`container ${container.id} is not running`);
      state.status = "paused";
      container.saveState();
      container.emit("pause");
    });
  });
}

export async function unpauseContainer(_engine: Engine, container: Container): Promise<void> {
  await container.lock.run(async () => {
    const { task, state } = container;
    const paused = () => container.task === task && state.status === "paused";
    if (task === null || !paused()) throw systemError(`Container ${container.id} is not paused`);
    await container.change(async () => {
      await task.resume();
      // Ended, or gone on by a signal that ends it.
      if (!paused()) return;
      state.status = "running";
      container.saveState();
      container.emit("unpause");
    });
  });
}
