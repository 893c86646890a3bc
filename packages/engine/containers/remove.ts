import { rm } from "node:fs/promises";
import { conflict, messageOf, notFound } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import { cancelRestart } from "./restart.ts";
import { sendSignal } from "./signal.ts";

export interface RemoveOptions {
  /** Kill it if it runs. */
  force: boolean;
  /** Anonymous volumes too. */
  volumes: boolean;
  /** Leftovers of its task to wait for before its files go. */
  after?: Promise<unknown>;
  /** What the container was called by whoever wants it gone; its name where not given. */
  calledBy?: string;
}

/** Removes a container. Throws conflict where it runs (or is paused) and `force` is not set. */
export async function removeContainer(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  if (!options.force) await container.settled();
  if (container.removed) throw notFound(`No such container: ${options.calledBy ?? container.id}`);
  if (container.removing) {
    throw conflict(`removal of container ${container.id} is already in progress`);
  }
  if (!options.force) refuseRunning(container, options.calledBy ?? container.name);
  // Not under the lock: a forced removal does not wait for a slow stop.
  container.removing = true;
  try {
    cancelRestart(container);
    if (container.running) await killAndWait(container);
    await container.lock.run(async () => {
      if (container.running) await killAndWait(container);
      if (container.removed) return;
      await removeLocked(engine, container, options);
    });
  } catch (error) {
    container.removing = false;
    throw error;
  }
}

function refuseRunning(container: Container, name: string): void {
  const { status } = container.state;
  if (container.running) {
    throw conflict(
      `cannot remove container "${name}": container is ${status}: stop the container before removing or force remove`.replace(
        "container is paused: stop the container before removing or force remove",
        "container is paused and must be unpaused first",
      ),
    );
  }
  if (status === "restarting") {
    throw conflict(
      `cannot remove container "${name}": container is restarting: stop the container before removing or force remove`,
    );
  }
}

async function killAndWait(container: Container): Promise<void> {
  const { task, exited } = container;
  if (task === null) return;
  await sendSignal(container, task, 9, true);
  if (exited !== null) await exited;
}

/**
 * Takes a stopped container off the lists and the disk. Whoever holds the lock calls it; it returns once the
 * container is gone for everyone, while its files are still being deleted.
 */
export async function removeLocked(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  if (container.removed) throw notFound(`No such container: ${container.id}`);
  container.removing = true;
  container.state.status = "removing";
  container.dropPendingAttach();
  // With volumes to remove too, it is remembered until they are gone: nothing else knows that nobody wants them.
  engine.containers.forget(container, options.volumes && anonymousVolumes(container).length > 0);
  engine.execs.forget(container);
  container.emit("destroy");
  container.notifyExit({ exitCode: container.state.exitCode });
  container.notifyRemoval({ exitCode: container.state.exitCode });
  engine.later(`removing container ${container.id}`, removeFiles(engine, container, options));
}

async function removeFiles(engine: Engine, container: Container, options: RemoveOptions): Promise<void> {
  // Each step for itself: on a full disk one may fail, and the next makes room.
  for (const step of [
    async () => await options.after,
    async () => await container.prepared?.discard(),
    () => engine.logForwards.finish(container),
    () => engine.network.release(container.id),
    () => engine.storage.layers.removeContainer(container.id),
    () => rm(container.dir, { recursive: true, force: true }),
    async () => (options.volumes ? removeVolumes(engine, container) : undefined),
    async () => engine.containers.store.delete(container.id),
  ]) {
    try {
      await step();
    } catch (error) {
      engine.log("error", `removing container ${container.id}: ${messageOf(error)}`);
    }
  }
}

async function removeVolumes(engine: Engine, container: Container): Promise<void> {
  for (const name of anonymousVolumes(container)) {
    if (volumeUsers(engine, name).length > 0) continue;
    try {
      await engine.storage.volumes.remove(name);
      engine.events.emit("volume", "destroy", name, { driver: "local" });
    } catch (error) {
      engine.log("warn", `volume ${name}: ${messageOf(error)}`);
    }
  }
}

/** Names of the volumes that were made for this container alone. */
function anonymousVolumes({ record }: Container): string[] {
  return record.mounts.flatMap(({ type, anonymous, name }) =>
    type === "volume" && anonymous === true && name !== undefined ? [name] : [],
  );
}

/** The containers, running or not, that mount a volume. */
export function volumeUsers(engine: Engine, name: string): Container[] {
  return engine.containers
    .all()
    .filter((other) => other.record.mounts.some((mount) => mount.type === "volume" && mount.name === name));
}
