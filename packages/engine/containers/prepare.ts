import type { Task } from "@gantry/libcontainer";
import type { Engine } from "../engine.ts";
import { acquireHostMounts, needsHostMount, releaseHostMounts } from "../volumes/host-mounts.ts";
import type { Container } from "./container.ts";
import { runtimeRequest, writeFiles } from "./request.ts";
import { containerShm } from "./shm.ts";

/** How long what was made ahead waits for the start. Clients that attach first ask for it within milliseconds. */
const PATIENCE_MS = 2000;

/**
 * A container's task, made while its client is still on its way from `attach` to `start`: namespaces, cgroup and root file system are
 * there, and its init waits. It has no network yet, and nobody sees it: the container stays "created" or "exited" until its start takes
 * it, or something else (a removal, a copy into its files, two seconds) does away with it.
 */
export class PreparedStart {
  private readonly timer: Timer;
  private gone: Promise<void> | null = null;

  constructor(
    private readonly engine: Engine,
    private readonly container: Container,
    private readonly task: Task,
    /** What it was made from. */
    private readonly record: string,
  ) {
    this.timer = setTimeout(() => void this.discard(), PATIENCE_MS);
    this.timer.unref();
  }

  /** The task, which is the caller's from here on; null where it is gone, or the container is to be another by now. */
  async take(): Promise<Task | null> {
    if (this.gone === null && recordOf(this.container) !== this.record) this.discard();
    if (this.gone !== null) {
      await this.gone;
      return null;
    }
    clearTimeout(this.timer);
    this.container.prepared = null;
    return this.task;
  }

  /** Takes everything back; resolves when it is gone. Idempotent. */
  discard(): Promise<void> {
    clearTimeout(this.timer);
    this.gone ??= abandon(this.task).then(() => {
      releaseHostMounts(this.engine, this.container);
      if (this.container.prepared === this) this.container.prepared = null;
    });
    return this.gone;
  }
}

const recordOf = (container: Container) => JSON.stringify(container.record);

/** Makes the task of a container that is about to be started, where that needs nothing but the container itself. */
export function prepareStart(engine: Engine, container: Container): void {
  if (container.lock.busy || !mayPrepare(engine, container)) return;
  void container.lock.run(async () => {
    if (!mayPrepare(engine, container)) return;
    const record = recordOf(container);
    try {
      await acquireHostMounts(engine, container);
      const request = await runtimeRequest(engine, container, writeFiles(engine, container, null));
      const task = await engine.runtime(container.record.runtime).create(request);
      container.prepared = new PreparedStart(engine, container, task, record);
      // It was being made while everything else was put away.
      if (engine.stopping) await container.prepared.discard();
    } catch {
      // The start will meet the same, and tell it.
      containerShm.release(container);
      releaseHostMounts(engine, container);
    }
  });
}

function mayPrepare(engine: Engine, container: Container): boolean {
  const { state, record } = container;
  const { hostConfig: host, mounts } = record;
  const joins = [host.NetworkMode, host.IpcMode, host.PidMode].some((mode) => mode?.startsWith("container:"));
  return (
    (state.status === "created" || state.status === "exited") &&
    container.prepared === null &&
    container.exited === null &&
    container.restartTimer === null &&
    !container.removing &&
    !container.removed &&
    !engine.stopping &&
    engine.runtime(record.runtime).name === "gantry" &&
    !joins &&
    host.IpcMode !== "shareable" &&
    !host.Links?.length &&
    !mounts.some((mount) => needsHostMount(engine, mount))
  );
}

/** Ends and deletes a task that is not to run. */
export async function abandon(task: Task): Promise<void> {
  try {
    await task.kill(9, true);
    await task.wait();
  } catch {
    // It never ran.
  }
  await task.delete().catch(() => {});
}
