import type { ExitStatus, Task } from "@gantry/libcontainer";
import { messageOf } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { now } from "../time.ts";
import { emitVolumeEvents, releaseHostMounts } from "../volumes/host-mounts.ts";
import type { Container } from "./container.ts";
import { removeLocked } from "./remove.ts";
import { considerRestart } from "./restart.ts";
import { containerShm } from "./shm.ts";

/** Waits for a task's end and does what follows from it. Several may be in progress; each knows its own task. */
export function watchExit(engine: Engine, container: Container, task: Task): void {
  container.exited = task
    .wait()
    .catch((error): ExitStatus => {
      engine.log("error", `container ${container.id}: waiting failed: ${messageOf(error)}`);
      return { exitCode: 255, oomKilled: false, exitedAt: now() };
    })
    .then((status) => afterExit(engine, container, task, status))
    .catch((error) => engine.log("error", `container ${container.id}: after its exit: ${messageOf(error)}`))
    .finally(() => {
      if (container.task === null) container.exited = null;
    });
}

/** What follows an exit: state, events, waiters; removal or a restart; then the task's leftovers. */
export async function afterExit(engine: Engine, container: Container, task: Task, status: ExitStatus): Promise<void> {
  const { state, record } = container;
  const ranMs = Date.now() - Date.parse(state.startedAt);
  if (engine.logForwards.has(container)) await engine.logForwards.caughtUp(container);
  container.stopHealth?.();
  container.stopHealth = null;
  // As with Docker: what is not watched is not healthy.
  if (state.health !== undefined) state.health.Status = "unhealthy";
  container.task = null;
  state.status = "exited";
  state.pid = 0;
  state.exitCode = status.exitCode;
  state.oomKilled = status.oomKilled;
  state.finishedAt = status.exitedAt || now();
  state.error = "";
  if (status.oomKilled) container.emit("oom");
  engine.execs.containerExited(container);
  const joined = keepNetworkIds(engine, container);

  // Addresses and ports are given back before anyone is told, so that the next container can have them.
  const released = engine.network.release(container.id).catch((error) => {
    engine.log("error", `container ${container.id}: releasing its network: ${messageOf(error)}`);
  });
  const cleaned = released
    .then(() => deleteTask(engine, container, task))
    .then(() => {
      containerShm.release(container);
      releaseHostMounts(engine, container);
    });

  const again = considerRestart(engine, container, status, ranMs);
  const kept = again || container.restartedByHand || engine.stopping;
  const autoRemove = record.hostConfig.AutoRemove === true && !kept;
  if (again) state.status = "restarting";
  emitVolumeEvents(container, "unmount");
  container.emit("die", {
    exitCode: String(status.exitCode),
    execDuration: String(Math.max(0, Math.floor(ranMs / 1000))),
  });
  if (!autoRemove) joined ? container.save() : container.saveState();
  container.notifyExit({ exitCode: status.exitCode });
  if (autoRemove && !container.removing) {
    await removeLocked(engine, container, { force: true, volumes: true, after: cleaned });
    return;
  }
  await cleaned;
}

/** A stopped container still says which networks it was in. Tells whether that is news. */
function keepNetworkIds(engine: Engine, container: Container): boolean {
  const { endpoints } = container.record;
  let changed = false;
  for (const [name, { NetworkID }] of Object.entries(engine.network.endpoints(container.id))) {
    const asked = endpoints[name];
    if (!NetworkID || asked === undefined || asked.NetworkID === NetworkID) continue;
    endpoints[name] = { ...asked, NetworkID };
    changed = true;
  }
  return changed;
}

async function deleteTask(engine: Engine, container: Container, task: Task): Promise<void> {
  try {
    await task.delete();
  } catch (error) {
    engine.log("error", `container ${container.id}: deleting its task: ${messageOf(error)}`);
  }
}
