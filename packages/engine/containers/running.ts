import type { Task } from "@gantry/libcontainer";
import { conflict } from "@gantry/spec";
import type { Container } from "./container.ts";

/** The task of a container that runs or is paused. Throws conflict in Docker's words where it does neither. */
export function runningTask(container: Container): Task {
  const { id, task, running, state } = container;
  if (state.status === "restarting") {
    throw conflict(`Container ${id} is restarting, wait until the container is running`);
  }
  if (task === null || !running) throw conflict(`container ${id} is not running`);
  return task;
}
