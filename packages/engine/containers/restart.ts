import type { ExitStatus } from "@gantry/libcontainer";
import { messageOf } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { startLocked } from "./start.ts";

const FIRST_DELAY_MS = 100;
const LAST_DELAY_MS = 60_000;
/** A run of this length counts as a success: the delay begins anew. */
const GOOD_RUN_MS = 10_000;

/** Whether the container's policy wants another start after this exit; if so, it is set up. */
export function considerRestart(engine: Engine, container: Container, status: ExitStatus, ranMs: number): boolean {
  const { state } = container;
  if (engine.stopping || container.removing || container.restartedByHand) return false;
  if (!wantsRestart(container, status.exitCode)) return false;
  container.restartDelayMs =
    ranMs >= GOOD_RUN_MS || container.restartDelayMs === 0
      ? FIRST_DELAY_MS
      : Math.min(container.restartDelayMs * 2, LAST_DELAY_MS);
  state.restartCount++;
  container.restartTimer = setTimeout(() => {
    container.restartTimer = null;
    engine.later(`restarting container ${container.id}`, restart(engine, container));
  }, container.restartDelayMs);
  return true;
}

/** The policy's word on an exit. */
export function wantsRestart(container: Container, exitCode: number): boolean {
  const policy = container.record.hostConfig.RestartPolicy;
  const { manuallyStopped, restartCount } = container.state;
  switch (policy?.Name) {
    case "always":
    case "unless-stopped":
      return !manuallyStopped;
    case "on-failure": {
      const most = policy.MaximumRetryCount ?? 0;
      return !manuallyStopped && exitCode !== 0 && (most === 0 || restartCount < most);
    }
    default:
      return false;
  }
}

/** Starts a container whose state is "restarting", unless it was told otherwise by the time its lock is free. */
export async function restart(engine: Engine, container: Container): Promise<void> {
  await container.lock.run(async () => {
    if (container.state.status !== "restarting" || container.removing || engine.stopping) return;
    const { restartCount } = container.state;
    // "restarting" until it runs: to nobody is it a container that has ended for good.
    try {
      await startLocked(engine, container, { restart: true });
    } catch (error) {
      engine.log("warn", `container ${container.id}: restart failed: ${messageOf(error)}`);
      container.state.restartCount = restartCount;
    }
  });
}

/** Ends a restart that is still to come: the container has ended for good. One that is under way goes on. */
export function cancelRestart(container: Container): void {
  if (container.restartTimer !== null) clearTimeout(container.restartTimer);
  container.restartTimer = null;
  const { state } = container;
  if (state.status !== "restarting" || container.changing !== null) return;
  state.status = "exited";
  container.saveState();
  container.notifyExit({ exitCode: state.exitCode });
}
