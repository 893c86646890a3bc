import type { Task } from "@gantry/libcontainer";
import { invalidParameter } from "@gantry/spec";
import { parseSignal } from "../config/signals.ts";
import type { Container } from "./container.ts";

/** The signal that asks a container to end: its own, or SIGTERM. */
export const stopSignal = ({ record }: Container): number => parseSignal(record.config.StopSignal || "SIGTERM");

/** As `parseSignal`; a number that is none is the kernel's matter in Docker, and refused in other words. */
export function killSignal(text: string): number {
  if (/^\d+$/.test(text) && text !== "0" && Number(text) > 64) {
    throw invalidParameter(`the linux daemon does not support signal ${text}`);
  }
  return parseSignal(text);
}

/**
 * Sends a signal to a running container's task. With `ends` it is to end the container: restart policies leave it alone
 * from now on, and one that is paused goes on, so that it can.
 */
export async function sendSignal(container: Container, task: Task, signal: number, ends: boolean): Promise<void> {
  if (ends) markStopped(container);
  const { paused } = container;
  const sent = task.kill(signal);
  // Not after it: a shim that waits for what is frozen takes no signal.
  if (ends && paused) await task.resume().catch(() => {});
  await sent;
  container.emit("kill", { signal: String(signal) });
  if (!ends) return;
  // It may have been paused since.
  await container.settled();
  if (!container.paused) return;
  if (!paused) await task.resume().catch(() => {});
  if (signal === 9 || container.task !== task || !container.paused) return;
  container.state.status = "running";
  container.saveState();
  container.emit("unpause");
}

/** A user has stopped it; on disk before it ends, for a daemon that finds it ended. */
export function markStopped(container: Container): void {
  if (container.engine.stopping || container.restartedByHand) return;
  container.state.manuallyStopped = true;
  container.saveState();
}
