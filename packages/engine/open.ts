import { readFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import type { ExitStatus, Task } from "@gantry/libcontainer";
import { messageOf } from "@gantry/spec";
import type { Container } from "./containers/container.ts";
import { afterExit, watchExit } from "./containers/exit.ts";
import { abandon } from "./containers/prepare.ts";
import { removeLocked } from "./containers/remove.ts";
import { restart, wantsRestart } from "./containers/restart.ts";
import { containerShm } from "./containers/shm.ts";
import { ensureExecRoot, ownsNetwork, startContainer } from "./containers/start.ts";
import { stopContainer } from "./containers/stop.ts";
import { Engine, type EngineParts } from "./engine.ts";
import { startHealth } from "./health/monitor.ts";
import { compressLogs } from "./logs/compress.ts";
import { now } from "./time.ts";
import { releaseHostMounts } from "./volumes/host-mounts.ts";
import { sweepHostMounts } from "./volumes/sweep.ts";

/** Whether cgroup v2 is mounted alone (type 0x63677270 is cgroup2's magic). */
function hasCgroupV2(): boolean {
  try {
    return readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .some((line) => / \/sys\/fs\/cgroup .* - cgroup2 /.test(line));
  } catch {
    return false;
  }
}

/**
 * Puts an engine together and makes its state true: containers whose tasks live on are adopted, exits that came while
 * no daemon ran are recorded, networks of the dead are given back. Then restart policies have their say.
 */
export async function openEngine(parts: EngineParts): Promise<Engine> {
  const engine = new Engine(parts, hasCgroupV2());
  ensureExecRoot(engine);
  engine.later("loading the AppArmor profile", engine.appArmorProfile({}));
  const containers = engine.containers.loadAll();
  engine.later("sweeping container directories", sweep(engine, new Set(containers.map(({ id }) => id))));
  const live: { containerId: string; pid: number }[] = [];
  const ended: { container: Container; task: Task | null; status: ExitStatus }[] = [];
  await Promise.all(
    containers.map(async (container) => {
      const task = await findTask(engine, container);
      if (container.state.status === "removing") {
        // The daemon died while it removed it; the rest follows below.
        if (task !== null) await abandon(task);
        return;
      }
      const status = task === null ? "gone" : await task.status().catch(() => "gone" as const);
      if (task !== null && (status === "running" || status === "paused")) {
        adopt(container, task, status);
        if (ownsNetwork(container)) live.push({ containerId: container.id, pid: task.pid });
        return;
      }
      const { state } = container;
      const began = state.status === "running" || state.status === "paused";
      if (task !== null && (status === "created" || ((await task.neverStarted().catch(() => null)) ?? !began))) {
        // The daemon died while it made it, before it started it, or while it did away with it: it never ran.
        await task.kill(9, true).catch(() => {});
        await task.wait().catch(() => {});
        await task.delete().catch(() => {});
        return;
      }
      if (task !== null || began) {
        const exit = task !== null ? await task.wait().catch(() => lastExit(container)) : lastExit(container);
        ended.push({ container, task, status: exit });
      }
    }),
  );
  engine.later("sweeping tasks", sweepTasks(engine, new Set(containers.map(({ id }) => id))));
  await engine.network.restore(live);
  for (const container of containers) if (container.task !== null) resume(engine, container);
  for (const { container, task, status } of ended) {
    if (task !== null) await afterExit(engine, container, task, status);
    else await recordExit(container, status);
  }
  for (const container of engine.containers.all()) {
    if (container.task !== null) continue;
    if (
      container.state.status === "removing" ||
      (container.record.hostConfig.AutoRemove === true && container.state.startedBefore)
    ) {
      await removeLocked(engine, container, { force: true, volumes: true }).catch(() => {});
    }
  }
  sweepHostMounts(engine);
  engine.logForwards.resume();
  compressLogs(engine);
  return engine;
}

/** Deletes layers and directories of containers that are on no list: a create, a build or a removal was cut off there. */
async function sweep(engine: Engine, known: Set<string>): Promise<void> {
  const { dataRoot } = engine.config;
  const { layers } = engine.storage;
  // A layer may have lost its directory already; its row alone would keep an image's layers for ever.
  const layered = layers.containerIds();
  for (const id of new Set([...layered, ...(await readdir(`${dataRoot}/containers`).catch(() => []))])) {
    if (known.has(id) || !/^[0-9a-f]{64}$/.test(id) || engine.containers.find(id) !== null) continue;
    await layers.removeContainer(id);
    await rm(`${dataRoot}/containers/${id}`, { recursive: true, force: true });
  }
}

/** Ends and deletes tasks of containers that are on no list: their removal was cut off after its first step. */
async function sweepTasks(engine: Engine, known: Set<string>): Promise<void> {
  const root = `${engine.config.execRoot}/containers`;
  for (const id of await readdir(root).catch(() => [])) {
    if (known.has(id) || !/^[0-9a-f]{64}$/.test(id) || engine.containers.find(id) !== null) continue;
    for (const runtime of engine.runtimes.values()) {
      const task = await runtime.find(id, `${root}/${id}`).catch(() => null);
      if (task === null) continue;
      await task.kill(9, true).catch(() => {});
      await task.wait().catch(() => {});
      await task.delete().catch((error) => engine.log("warn", `task ${id}: ${messageOf(error)}`));
    }
    await rm(`${root}/${id}`, { recursive: true, force: true });
  }
}

async function findTask(engine: Engine, container: Container): Promise<Task | null> {
  try {
    const { id, stateDir, state } = container;
    const task = await engine.runtime(container.record.runtime).find(id, stateDir, container.running ? state.pid : 0);
    // Where there is no record of one, nothing runs: a kill came before it was written, or after it was removed.
    if (task === null) await rm(container.stateDir, { recursive: true, force: true });
    return task;
  } catch (error) {
    engine.log("warn", `container ${container.id}: finding its task: ${messageOf(error)}`);
    return null;
  }
}

function adopt(container: Container, task: Task, status: "running" | "paused"): void {
  const { state } = container;
  container.task = task;
  if (state.status !== "running" && state.status !== "paused") {
    // It was started, but the daemon died before it could write so.
    state.startedAt = now();
    state.startedBefore = true;
  }
  state.status = status;
  state.pid = task.pid;
  container.saveState();
}

function resume(engine: Engine, container: Container): void {
  startHealth(engine, container, container.state.health);
  watchExit(engine, container, container.task as Task);
}

/** The exit status that the shim left, or 255 where even that is missing (the machine went down). */
function lastExit(container: Container): ExitStatus {
  try {
    const exit = JSON.parse(readFileSync(container.exitFile, "utf8")) as ExitStatus;
    if (typeof exit.exitCode === "number" && typeof exit.exitedAt === "string") return exit;
  } catch {
    // None.
  }
  return { exitCode: 255, oomKilled: false, exitedAt: now() };
}

async function recordExit(container: Container, status: ExitStatus): Promise<void> {
  const { state } = container;
  state.status = "exited";
  state.pid = 0;
  state.exitCode = status.exitCode;
  state.oomKilled = status.oomKilled;
  state.finishedAt = status.exitedAt;
  container.saveState();
  container.emit("die", { exitCode: String(status.exitCode) });
  containerShm.release(container);
  releaseHostMounts(container.engine, container);
  await rm(container.stateDir, { recursive: true, force: true }).catch(() => {});
}

/** Starts what restart policies want running after a daemon start. Not awaited by the first request. */
export async function applyRestartPolicies(engine: Engine): Promise<void> {
  const wanted = engine.containers.all().filter((container) => {
    const { state, record } = container;
    if (container.running || container.restartTimer !== null || container.removed) return false;
    if (state.status === "restarting") return true;
    const name = record.hostConfig.RestartPolicy?.Name;
    if (name === "always") return state.startedBefore;
    if (name === "unless-stopped") return state.startedBefore && !state.manuallyStopped;
    return (
      name === "on-failure" &&
      state.startedBefore &&
      state.status === "exited" &&
      wantsRestart(container, state.exitCode)
    );
  });
  await Promise.all(
    wanted.map(async (container) => {
      try {
        if (container.state.status === "restarting") await restart(engine, container);
        else await startContainer(engine, container, { restart: true });
      } catch (error) {
        engine.log("error", `container ${container.id}: start after daemon start: ${messageOf(error)}`);
      }
    }),
  );
}

/**
 * Ends the engine as dockerd does: containers are stopped with their time-outs (within the daemon's), unless
 * live-restore leaves them running. What was stopped this way is started again by its policy next time.
 */
export async function shutdownEngine(engine: Engine): Promise<void> {
  engine.stopping = true;
  for (const container of engine.containers.all()) {
    if (container.restartTimer !== null) clearTimeout(container.restartTimer);
    container.stopHealth?.();
  }
  await Promise.all(
    engine.containers.all().map(async (container) => {
      // A start that is under way leaves a container that runs.
      await container.settled();
      if (engine.config.liveRestore || !container.running) return;
      const limit = engine.config.shutdownTimeout;
      const own = container.record.config.StopTimeout ?? 10;
      const timeout = limit >= 0 ? Math.min(own < 0 ? limit : own, limit) : own;
      try {
        await stopContainer(engine, container, { timeout });
        await container.exited;
      } catch {
        // It ended by itself in the meantime.
      }
    }),
  );
  await Promise.all(engine.containers.all().map((container) => container.prepared?.discard()));
  await Promise.all([engine.logForwards.shutdown(), ...engine.background]);
  await engine.network.shutdown();
}
