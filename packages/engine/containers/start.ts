import { existsSync, mkdirSync } from "node:fs";
import { type AttachStream, StartError, type Task } from "@gantry/libcontainer";
import { conflict, GantryError, invalidParameter, messageOf, notModified, systemError } from "@gantry/spec";
import { exposedPorts } from "../config/ports.ts";
import type { Engine } from "../engine.ts";
import { startHealth } from "../health/monitor.ts";
import { networkName } from "../networks/names.ts";
import { now } from "../time.ts";
import { acquireHostMounts, emitVolumeEvents, releaseHostMounts } from "../volumes/host-mounts.ts";
import type { Container } from "./container.ts";
import { watchExit } from "./exit.ts";
import { abandon } from "./prepare.ts";
import { removeLocked } from "./remove.ts";
import { runtimeRequest, writeFiles } from "./request.ts";
import { containerShm } from "./shm.ts";

export interface StartOptions {
  /** The restart manager starts it: the restart count is kept. */
  restart?: boolean;
}

/** Starts a container that does not run. Throws notModified where it runs already. */
export async function startContainer(engine: Engine, container: Container, options: StartOptions = {}): Promise<void> {
  await container.lock.run(() => startLocked(engine, container, options));
}

/** The same, for who holds the container's lock. */
export async function startLocked(engine: Engine, container: Container, options: StartOptions = {}): Promise<void> {
  refuseStart(engine, container, options);
  await container.change(async () => {
    // A task that has just ended may still be on its way out.
    if (container.exited !== null) await container.exited;
    await begin(engine, container, options).finally(() => {
      container.beginning = null;
    });
  });
}

function refuseStart(engine: Engine, container: Container, options: StartOptions): void {
  const { status } = container.state;
  if (container.removing || container.removed || status === "dead") {
    throw conflict("container is marked for removal and cannot be started");
  }
  if (status === "paused") throw conflict("cannot start a paused container, try unpause instead");
  // As with Docker: one that waits for its restart goes on waiting.
  if (status === "running" || (status === "restarting" && options.restart !== true)) {
    throw notModified("container already started");
  }
  // Nobody would stop it any more.
  if (engine.stopping) throw systemError("the daemon is shutting down");
}

async function begin(engine: Engine, container: Container, options: StartOptions): Promise<void> {
  const { state } = container;
  state.manuallyStopped = false;
  if (options.restart !== true) {
    state.restartCount = 0;
    container.restartDelayMs = 0;
  }
  let task: Task | null = null;
  let sandboxed = false;
  let begun = "";
  try {
    await engine.logForwards.open(container);
    task = (await container.prepared?.take()) ?? null;
    const sandbox = await engine.network.prepare(sandboxRequest(container));
    sandboxed = true;
    if (task === null) await acquireHostMounts(engine, container);
    const files = writeFiles(engine, container, sandbox);
    if (task === null) {
      const request = await runtimeRequest(engine, container, files);
      task = await engine.runtime(container.record.runtime).create(request);
    }
    emitVolumeEvents(container, "mount");
    await attachEarly(container, task);
    if (ownsNetwork(container)) await plumb(engine, container, task);
    // Taken before it runs: whoever asks for the log since then is to see its first line.
    begun = now();
    await task.start();
  } catch (error) {
    if (task !== null) {
      await abandon(task);
      emitVolumeEvents(container, "unmount");
    }
    if (sandboxed) await engine.network.release(container.id).catch(() => {});
    containerShm.release(container);
    releaseHostMounts(engine, container);
    engine.logForwards.abandon(container);
    const failure = translate(error);
    container.dropPendingAttach();
    state.status = state.startedBefore ? "exited" : "created";
    state.exitCode = failure.exitCode;
    state.error = failure.error.message;
    state.pid = 0;
    if (state.startedBefore) state.finishedAt = now();
    container.saveState();
    container.notifyExit({ exitCode: state.exitCode });
    if (container.record.hostConfig.AutoRemove === true)
      await removeLocked(engine, container, { force: true, volumes: true });
    throw failure.error;
  }
  container.task = task;
  state.status = "running";
  state.pid = task.pid;
  state.exitCode = 0;
  state.error = "";
  state.oomKilled = false;
  state.startedAt = begun;
  state.startedBefore = true;
  startHealth(engine, container);
  container.saveState();
  container.emit("start");
  engine.logForwards.begin(container);
  watchExit(engine, container, task);
}

/** Those who attached to the created container are connected before its first byte of output; who comes now, to its task. */
async function attachEarly(container: Container, task: Task): Promise<void> {
  container.beginning = task;
  const pending = container.pendingAttach.splice(0);
  await Promise.all(
    pending.map(async ({ request, resolve }) => {
      let stream: AttachStream | null = null;
      try {
        stream = await task.attach(request);
      } catch {
        // The container comes first: whoever wanted to look on is told there is nothing to see.
      }
      resolve(stream);
    }),
  );
}

export function ownsNetwork(container: Container): boolean {
  const mode = container.record.hostConfig.NetworkMode ?? "bridge";
  return mode !== "host" && !mode.startsWith("container:");
}

/** The network mode; where its network was disconnected since, another one that was connected, or null for none at all. */
function effectiveNetwork(container: Container): string | null {
  const { hostConfig, endpoints } = container.record;
  const mode = hostConfig.NetworkMode ?? "bridge";
  if (mode === "host" || mode === "none" || mode.startsWith("container:")) return mode;
  const name = endpoints[mode] !== undefined ? mode : networkName(container.engine, mode);
  return endpoints[name] !== undefined ? name : (Object.keys(endpoints)[0] ?? null);
}

function sandboxRequest(container: Container) {
  const { config, hostConfig: host, endpoints, name, id } = container.record;
  const daemon = container.engine.config;
  const networkMode = config.NetworkDisabled === true ? "none" : effectiveNetwork(container);
  const or = (own: string[] | null | undefined, fallback: string[]) => (own?.length ? own : fallback);
  return {
    containerId: id,
    containerName: name,
    hostname: config.Hostname ?? "",
    domainname: config.Domainname ?? "",
    networkMode: networkMode ?? "none",
    endpoints,
    unconnected: networkMode === null,
    exposedPorts: exposedPorts(config.ExposedPorts),
    portBindings: Object.fromEntries(Object.entries(host.PortBindings ?? {}).map(([port, list]) => [port, list ?? []])),
    publishAll: host.PublishAllPorts === true,
    dns: or(host.Dns, daemon.dns),
    dnsSearch: or(host.DnsSearch, daemon.dnsSearch),
    dnsOptions: or(host.DnsOptions, daemon.dnsOptions),
    extraHosts: host.ExtraHosts ?? [],
    links: host.Links ?? [],
    sysctls: host.Sysctls ?? {},
  };
}

/** Docker's status, exit code and words for a start that failed. */
function translate(error: unknown): { exitCode: number; error: GantryError } {
  if (error instanceof StartError) {
    const message = `failed to create task for container: failed to create shim task: OCI runtime create failed: runtime create failed: unable to start container process: error during container init: ${error.message}`;
    const exitCode = error.exitCode === 125 ? 128 : error.exitCode;
    return {
      exitCode,
      error: exitCode === 128 ? systemError(message, error) : invalidParameter(message, error),
    };
  }
  if (error instanceof GantryError) return { exitCode: 128, error };
  return {
    exitCode: 128,
    error: systemError(
      `failed to create task for container: failed to create shim task: OCI runtime create failed: ${messageOf(error)}`,
      error,
    ),
  };
}

export function ensureExecRoot(engine: Engine): void {
  for (const dir of ["containers", "shm"])
    mkdirSync(`${engine.config.execRoot}/${dir}`, { recursive: true, mode: 0o711 });
}

/** Makes the container's interfaces. Where its init has died meanwhile, the reason is what it says of itself. */
async function plumb(engine: Engine, container: Container, task: Task): Promise<void> {
  try {
    await engine.network.plumb(container.id, task.pid);
  } catch (error) {
    // Its shim may not have reaped it yet.
    for (let tries = 0; tries < 100 && !existsSync(`/proc/${task.pid}/ns/net`); tries++) {
      if ((await task.status()) === "stopped") await task.start();
      await Bun.sleep(10);
    }
    throw error;
  }
}
