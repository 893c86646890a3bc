import { conflict, invalidParameter, messageOf, notModified, systemError } from "@gantry/spec";
import { parseSignal } from "../config/signals.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { cancelRestart } from "./restart.ts";
import { startLocked } from "./start.ts";

/** Seconds a container has to end by itself where nothing else is said. */
const DEFAULT_TIMEOUT = 10;

export interface StopOptions {
  /** Seconds before SIGKILL; negative waits for ever. */
  timeout?: number | undefined;
  signal?: string | undefined;
}

/** Stops a container. Throws notModified where it does not run. */
export async function stopContainer(_engine: Engine, container: Container, options: StopOptions = {}): Promise<void> {
  const signal = options.signal ? parseSignal(options.signal) : undefined;
  const restarting = () => container.state.status === "restarting";
  if (!container.running && !restarting()) throw notModified("container already stopped");
  // Nobody waits for a restart that is still to come; one that is under way is let through and then stopped.
  if (container.restartTimer !== null) return stopRestarting(container);
  await container.lock.run(async () => {
    if (restarting()) stopRestarting(container);
    else await stopLocked(container, { timeout: options.timeout, signal });
  });
}

function stopRestarting(container: Container): void {
  container.state.manuallyStopped = true;
  cancelRestart(container);
  container.saveState();
  container.emit("stop");
}

async function stopLocked(
  container: Container,
  options: { timeout?: number | undefined; signal?: number | undefined },
): Promise<void> {
  const { task, exited, record, state } = container;
  if (task === null || !container.running) return;
  state.manuallyStopped = true;
  const signal = options.signal ?? parseSignal(record.config.StopSignal || "SIGTERM");
  const timeout = options.timeout ?? record.config.StopTimeout ?? DEFAULT_TIMEOUT;
  if (container.paused) {
    await task.resume();
    state.status = "running";
  }
  await task.kill(signal);
  container.emit("kill", { signal: String(signal) });
  const done = exited ?? Promise.resolve();
  if (!(await within(done, timeout < 0 ? null : timeout * 1000))) {
    await task.kill(9);
    container.emit("kill", { signal: "9" });
    if (!(await within(done, 10_000))) {
      // Processes that keep the stdio open, or hang in the kernel.
      await task.kill(9, true).catch(() => {});
      await within(done, 10_000);
    }
  }
  container.saveState();
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

export async function restartContainer(engine: Engine, container: Container, options: StopOptions = {}): Promise<void> {
  const signal = options.signal ? parseSignal(options.signal) : undefined;
  cancelRestart(container);
  await container.lock.run(async () => {
    const { hostConfig } = container.record;
    const autoRemove = hostConfig.AutoRemove;
    // A restart is no end: the container must outlive the stop in the middle.
    hostConfig.AutoRemove = false;
    try {
      if (container.running) await stopLocked(container, { timeout: options.timeout, signal });
    } finally {
      if (container.exited !== null) await container.exited;
      if (autoRemove !== undefined) hostConfig.AutoRemove = autoRemove;
    }
    await startLocked(engine, container);
    container.emit("restart");
  });
}

/** As `parseSignal`; a number that is none is the kernel's matter in Docker, and refused in other words. */
function killSignal(text: string): number {
  if (/^\d+$/.test(text) && text !== "0" && Number(text) > 64) {
    throw invalidParameter(`the linux daemon does not support signal ${text}`);
  }
  return parseSignal(text);
}

/** Sends a signal. A stop signal by hand keeps restart policies from starting the container anew. */
export async function killContainer(_engine: Engine, container: Container, signalText: string): Promise<void> {
  const signal = killSignal(signalText || "SIGKILL");
  const { task, state, exited } = container;
  if (task === null || !container.running) {
    throw conflict(`container ${container.id} is not running`);
  }
  if (signal === 9 || signal === parseSignal(container.record.config.StopSignal || "SIGTERM")) {
    state.manuallyStopped = true;
    if (signal === 9) cancelRestart(container);
  }
  if (container.paused && signal === 9) {
    await task.resume().catch(() => {});
  }
  try {
    await task.kill(signal);
  } catch (error) {
    throw conflict(messageOf(error));
  }
  container.emit("kill", { signal: String(signal) });
  // Docker answers a SIGKILL once the container is gone.
  if (signal === 9 && exited !== null) await within(exited, 10_000);
}

export async function pauseContainer(_engine: Engine, container: Container): Promise<void> {
  await container.lock.run(async () => {
    const { task, state } = container;
    if (task === null || !container.running) throw conflict(`container ${container.id} is not running`);
    if (state.status === "paused") throw conflict(`Container ${container.id} is already paused`);
    try {
      await task.pause();
    } catch (error) {
      if ((await task.status()) === "stopped") throw conflict(`container ${container.id} is not running`);
      throw error;
    }
    state.status = "paused";
    container.saveState();
    container.emit("pause");
  });
}

export async function unpauseContainer(_engine: Engine, container: Container): Promise<void> {
  await container.lock.run(async () => {
    const { task, state } = container;
    if (task === null || state.status !== "paused") throw systemError(`Container ${container.id} is not paused`);
    await task.resume();
    state.status = "running";
    container.saveState();
    container.emit("unpause");
  });
}
