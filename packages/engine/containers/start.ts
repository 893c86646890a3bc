import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname as hostName } from "node:os";
import { type AttachStream, type CreateRequest, type Rootfs, StartError, type Task } from "@gantry/libcontainer";
import type { PreparedSandbox } from "@gantry/network";
import { conflict, GantryError, invalidParameter, messageOf, notFound, notModified, systemError } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { startHealth } from "../health/monitor.ts";
import { logTarget } from "../logs/target.ts";
import { containerSpec, type Sharing } from "../spec/container-spec.ts";
import type { NetworkFiles } from "../spec/mounts.ts";
import { now } from "../time.ts";
import { acquireHostMounts, imagePath, releaseHostMounts } from "../volumes/host-mounts.ts";
import { volumeReady } from "../volumes/ready.ts";
import type { Container } from "./container.ts";
import { watchExit } from "./exit.ts";
import { linkedEnv } from "./links.ts";
import { removeLocked } from "./remove.ts";
import { containerShm } from "./shm.ts";
import { containerUser } from "./user.ts";

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
  const { state } = container;
  if (container.removing || container.removed || state.status === "dead") {
    throw conflict("container is marked for removal and cannot be started");
  }
  if (state.status === "paused") throw conflict("cannot start a paused container, try unpause instead");
  if (state.status === "running") throw notModified("container already started");
  if (container.restartTimer !== null) clearTimeout(container.restartTimer);
  container.restartTimer = null;
  // A task that has just ended may still be on its way out.
  if (container.exited !== null) await container.exited;

  state.manuallyStopped = false;
  if (options.restart !== true) {
    state.restartCount = 0;
    container.restartDelayMs = 0;
  }
  let task: Task | null = null;
  let sandboxed = false;
  let begun = "";
  try {
    const sandbox = await engine.network.prepare(sandboxRequest(container));
    sandboxed = true;
    await acquireHostMounts(engine, container);
    const request = await buildRequest(engine, container, sandbox);
    task = await engine.runtime(container.record.runtime).create(request);
    await attachEarly(container, task);
    if (ownsNetwork(container)) await plumb(engine, container, task);
    // Taken before it runs: whoever asks for the log since then is to see its first line.
    begun = now();
    await task.start();
  } catch (error) {
    if (task !== null) await abandon(task);
    if (sandboxed) await engine.network.release(container.id).catch(() => {});
    containerShm.release(container);
    releaseHostMounts(engine, container);
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
  delete state.health;
  startHealth(engine, container);
  container.saveState();
  container.emit("start");
  watchExit(engine, container, task);
}

async function abandon(task: Task): Promise<void> {
  try {
    await task.kill(9, true);
    await task.wait();
  } catch {
    // It never ran.
  }
  await task.delete().catch(() => {});
}

/** Those who attached to the created container are connected before its first byte of output. */
async function attachEarly(container: Container, task: Task): Promise<void> {
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

/** The network mode; where its network was disconnected since, another one that was connected, or none. */
function effectiveNetwork(container: Container): string {
  const { hostConfig, endpoints } = container.record;
  const mode = hostConfig.NetworkMode ?? "bridge";
  if (mode === "host" || mode === "none" || mode.startsWith("container:")) return mode;
  return endpoints[mode] !== undefined ? mode : (Object.keys(endpoints)[0] ?? "none");
}

function sandboxRequest(container: Container) {
  const { config, hostConfig: host, endpoints, name, id } = container.record;
  const daemon = container.engine.config;
  const or = (own: string[] | null | undefined, fallback: string[]) => (own?.length ? own : fallback);
  return {
    containerId: id,
    containerName: name,
    hostname: config.Hostname ?? "",
    domainname: config.Domainname ?? "",
    networkMode: config.NetworkDisabled === true ? "none" : effectiveNetwork(container),
    endpoints,
    exposedPorts: Object.keys(config.ExposedPorts ?? {}),
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

/** Writes the container's own files and puts together what the runtime needs. */
async function buildRequest(engine: Engine, container: Container, sandbox: PreparedSandbox): Promise<CreateRequest> {
  const { record } = container;
  const { config, hostConfig: host } = record;
  const sharing = namespaces(engine, container);
  const hostname = config.Hostname || hostName();
  const links = linkedEnv(engine, container, true);
  const files = writeFiles(engine, container, sandbox, hostname);
  sandbox.onHostsChange?.((hosts) => writeFileSync(files.hosts, hosts));
  for (const mount of record.mounts) await volumeReady(engine, mount);
  const layer = engine.storage.layers.getContainer(record.id);
  const readonly = host.ReadonlyRootfs === true ? { readonly: true } : {};
  const rootfs: Rootfs =
    layer.lower.length === 0
      ? { type: "directory", path: layer.upper, ...readonly }
      : {
          type: "overlay",
          lower: layer.lower,
          upper: layer.upper,
          work: layer.work,
          ...(host.AutoRemove === true ? { volatile: true } : {}),
          ...readonly,
        };
  const useInit = host.Init ?? engine.config.init;
  // Images are mounted anew at each start, at a place of the container's own.
  const mounts = record.mounts.map((mount, index) =>
    mount.type === "image" ? { ...mount, source: imagePath(engine, container, index) } : mount,
  );
  const spec = containerSpec({
    record: { ...record, mounts },
    engine: engine.config,
    hostname,
    links,
    user: await containerUser(engine, container),
    files,
    shm: containerShm.acquire(container),
    sharing,
    cgroupV2: engine.cgroupV2,
    init: useInit === true ? engine.initBinary : null,
  });
  const [height, width] = host.ConsoleSize ?? [];
  return {
    id: record.id,
    spec,
    rootfs,
    stateDir: container.stateDir,
    exitFile: container.exitFile,
    terminal: config.Tty === true,
    openStdin: config.OpenStdin === true,
    stdinOnce: config.StdinOnce === true,
    ...(config.Tty === true && height && width ? { consoleSize: { height, width } } : {}),
    log: logTarget(container),
  };
}

function namespaces(engine: Engine, container: Container): Sharing {
  const { hostConfig: host } = container.record;
  const join = (mode: string | null | undefined, type: string): string => {
    if (mode === "host") return "host";
    if (!mode?.startsWith("container:")) return "new";
    const name = mode.slice(10);
    const other = engine.containers.find(name);
    const what = type === "network" ? "network namespace" : type === "ipc" ? "IPC namespace" : "PID namespace";
    if (other === null) throw notFound(`joining ${what} of container: No such container: ${name}`);
    if (!other.running)
      throw conflict(
        `cannot join ${what} of a non running container: container ${other.name} is ${other.state.status}`,
      );
    return `/proc/${other.state.pid}/ns/${type === "network" ? "net" : type}`;
  };
  return {
    network: join(host.NetworkMode, "network"),
    ipc: join(host.IpcMode, "ipc"),
    pid: join(host.PidMode, "pid"),
    uts: host.UTSMode === "host" ? "host" : "new",
  };
}

function writeFiles(engine: Engine, container: Container, sandbox: PreparedSandbox, hostname: string): NetworkFiles {
  const mode = container.record.hostConfig.NetworkMode ?? "";
  if (mode.startsWith("container:")) {
    const other = engine.containers.get(mode.slice(10));
    return { hosts: `${other.dir}/hosts`, hostname: `${other.dir}/hostname`, resolvConf: `${other.dir}/resolv.conf` };
  }
  const { dir } = container;
  const files = { hosts: `${dir}/hosts`, hostname: `${dir}/hostname`, resolvConf: `${dir}/resolv.conf` };
  const host = (path: string) => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  writeFileSync(files.hosts, sandbox.hosts || host("/etc/hosts"));
  writeFileSync(files.resolvConf, sandbox.resolvConf || host("/etc/resolv.conf"));
  writeFileSync(files.hostname, `${hostname}\n`);
  return files;
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
    if ((await task.status()) === "stopped") await task.start();
    throw error;
  }
}
