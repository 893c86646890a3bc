import { readFileSync } from "node:fs";
import { hostname as hostName } from "node:os";
import type { CreateRequest, Rootfs } from "@gantry/libcontainer";
import type { PreparedSandbox } from "@gantry/network";
import { conflict, invalidParameter, systemError } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { logTarget } from "../logs/target.ts";
import { containerSpec, type Sharing } from "../spec/container-spec.ts";
import type { NetworkFiles } from "../spec/mounts.ts";
import { mountedAt } from "../volumes/host-mounts.ts";
import { volumeReady } from "../volumes/ready.ts";
import type { Container } from "./container.ts";
import { linkedEnv } from "./links.ts";
import { containerShm } from "./shm.ts";
import { containerUser } from "./user.ts";
import { writeInPlace } from "./write-in-place.ts";

/** Puts together what the runtime needs to make a container; `files` as `writeFiles` gave them. */
export async function runtimeRequest(
  engine: Engine,
  container: Container,
  files: NetworkFiles,
): Promise<CreateRequest> {
  const { record } = container;
  const { config, hostConfig: host } = record;
  const sharing = namespaces(engine, container);
  const hostname = hostnameOf(container);
  const links = linkedEnv(engine, container, true);
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
  // Among the processes of others it would not be the first, to whom orphans come.
  const useInit = sharing.pid === "new" && (host.Init ?? engine.config.init);
  const mounts = record.mounts.map((mount, index) => ({
    ...mount,
    source: mountedAt(engine, container, mount, index),
  }));
  container.state.appArmorProfile = await engine.appArmorProfile(host);
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
    apparmor: container.state.appArmorProfile,
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
  const join = (mode: string | null | undefined, type: SharedNamespace): string => {
    if (mode === "host") return "host";
    if (!mode?.startsWith("container:")) return "new";
    const other = engine.containers.find(mode.slice(10));
    if (other === null) throw noPeer(type, mode);
    if (!other.running) throw idlePeer(type, other);
    if (type === "ipc" && ["private", "none"].includes(other.record.hostConfig.IpcMode ?? "")) {
      throw invalidParameter(
        `failed to join IPC namespace: container ${other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
      );
    }
    return `/proc/${other.state.pid}/ns/${type === "network" ? "net" : type}`;
  };
  return {
    network: join(host.NetworkMode, "network"),
    ipc: join(host.IpcMode, "ipc"),
    pid: join(host.PidMode, "pid"),
    uts: host.UTSMode === "host" ? "host" : "new",
  };
}

type SharedNamespace = "network" | "ipc" | "pid";

function noPeer(type: SharedNamespace, mode: string): Error {
  const reason = `No such container: ${mode.slice(10)}`;
  if (type === "network") return systemError(`joining network namespace of container: ${reason}`);
  if (type === "ipc") return invalidParameter(`failed to join IPC namespace: ${reason}`);
  return systemError(`failed to join PID namespace: ${reason}`);
}

function idlePeer(type: SharedNamespace, { id, name, state }: Container): Error {
  if (type === "network")
    return conflict(`cannot join network namespace of a non running container: container ${name} is ${state.status}`);
  if (type === "ipc") return conflict(`failed to join IPC namespace: container ${id} is not running`);
  return systemError(`failed to join PID namespace: container ${id} is not running`);
}

const hostnameOf = (container: Container) => container.record.config.Hostname || hostName();

/**
 * Writes the container's own /etc/hosts, /etc/resolv.conf and /etc/hostname; without a sandbox as the host has them, until there is
 * one. They stay the files that they were, so that where they are mounted already the change is seen.
 */
export function writeFiles(engine: Engine, container: Container, sandbox: PreparedSandbox | null): NetworkFiles {
  const mode = container.record.hostConfig.NetworkMode ?? "";
  if (mode.startsWith("container:")) {
    const other = engine.containers.find(mode.slice(10));
    if (other === null) throw noPeer("network", mode);
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
  writeInPlace(files.hosts, sandbox?.hosts || host("/etc/hosts"));
  writeInPlace(files.resolvConf, sandbox?.resolvConf || host("/etc/resolv.conf"));
  writeInPlace(files.hostname, `${hostnameOf(container)}\n`);
  return files;
}
