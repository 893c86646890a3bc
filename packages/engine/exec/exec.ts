import { type AttachRequest, type AttachStream, StartError } from "@gantry/libcontainer";
import {
  conflict,
  type ExecConfig,
  type ExecInspect,
  GantryError,
  invalidParameter,
  messageOf,
  notFound,
  type OciProcess,
  systemError,
} from "@gantry/spec";
import { capabilitySet } from "../config/capabilities.ts";
import { parseDetachKeys } from "../containers/attach.ts";
import type { Container } from "../containers/container.ts";
import { linkedEnv } from "../containers/links.ts";
import { userDatabase } from "../containers/user.ts";
import type { Engine } from "../engine.ts";
import { newId } from "../ids.ts";
import { capabilities, containerEnv, mergeEnv } from "../spec/process.ts";
import { rlimits } from "../spec/resources.ts";
import { security } from "../spec/security.ts";
import { resolveUser } from "../spec/users.ts";
import type { Exec } from "./execs.ts";

function requireRunning(container: Container): void {
  if (container.state.status === "restarting") {
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  }
  if (!container.running || container.task === null) throw conflict(`container ${container.id} is not running`);
  if (container.paused) throw conflict(`Container ${container.name} is paused, unpause the container before exec`);
}

/** Registers a process to be run in a running container. */
export async function createExec(engine: Engine, container: Container, config: ExecConfig): Promise<string> {
  if ((config.Cmd?.length ?? 0) === 0) throw invalidParameter("No exec command specified");
  if (config.DetachKeys) parseDetachKeys(config.DetachKeys);
  for (const text of [...(config.Cmd ?? []), ...(config.Env ?? [])]) {
    if (text.includes("\0")) throw invalidParameter("invalid argument: it contains a NUL byte");
  }
  requireRunning(container);
  if (config.User) resolveUser(await userDatabase(engine, container), config.User, []);
  const id = newId();
  engine.execs.add({
    id,
    container,
    config,
    running: false,
    exitCode: null,
    pid: 0,
    task: null,
    startedAt: Date.now(),
    endedAt: null,
    done: null,
  });
  container.emit(`exec_create: ${(config.Cmd ?? []).join(" ")}`, { execID: id });
  return id;
}

/** Refuses an exec that cannot be started (again). */
export function checkExecStart(exec: Exec): void {
  if (exec.container.removed) throw notFound(`No such container: ${exec.container.id}`);
  if (exec.running) throw conflict(`exec command ${exec.id} is already running`);
  if (exec.exitCode !== null) throw conflict(`exec command ${exec.id} has already run`);
  requireRunning(exec.container);
}

/** The OCI process of an exec: the container's, with what the exec says otherwise. */
async function execProcess(engine: Engine, exec: Exec): Promise<OciProcess> {
  const { container, config } = exec;
  const { record } = container;
  const host = record.hostConfig;
  const privileged = config.Privileged === true;
  const user = resolveUser(
    await userDatabase(engine, container),
    config.User || record.config.User || "",
    config.User ? [] : (host.GroupAdd ?? []),
  );
  const { home, ...ids } = user;
  const set = capabilitySet(host.CapAdd ?? [], host.CapDrop ?? [], privileged || host.Privileged === true);
  const { noNewPrivileges } = security(
    { ...host, Privileged: privileged || host.Privileged === true },
    set,
    engine.config,
  );
  const base = containerEnv(
    { ...record.config, Tty: config.Tty === true },
    record.config.Hostname ?? "",
    home,
    linkedEnv(engine, container, false),
  );
  const limits = rlimits(host, engine.config);
  if (config.WorkingDir && !config.WorkingDir.startsWith("/")) {
    throw invalidParameter("OCI runtime exec failed: exec failed: Cwd must be an absolute path");
  }
  return {
    terminal: config.Tty === true,
    cwd: config.WorkingDir || record.config.WorkingDir || "/",
    env: mergeEnv(base, config.Env ?? []),
    args: config.Cmd ?? [],
    user: ids,
    capabilities: capabilities(set, ids.uid),
    noNewPrivileges,
    ...(limits.length > 0 ? { rlimits: limits } : {}),
  };
}

/**
 * Runs it. `attach` is called between making and starting it, so that no output is missed.
 * Throws in Docker's words; the exit code is kept for inspect (126, 127).
 */
export async function startExec(
  engine: Engine,
  exec: Exec,
  consoleSize: { height: number; width: number } | null,
  request: AttachRequest | null,
  attached: (stream: AttachStream) => void,
): Promise<void> {
  checkExecStart(exec);
  const { container } = exec;
  exec.running = true;
  exec.startedAt = Date.now();
  let stream: AttachStream | null = null;
  try {
    const size = consoleSize ?? sizeOf(exec.config.ConsoleSize);
    const task = await (container.task as NonNullable<Container["task"]>).exec({
      id: exec.id,
      process: await execProcess(engine, exec),
      openStdin: exec.config.AttachStdin === true,
      ...(size === null ? {} : { consoleSize: size }),
    });
    exec.task = task;
    if (request !== null) {
      stream = await task.attach(request);
      attached(stream);
    }
    await task.start();
    exec.pid = task.pid;
    container.emit(`exec_start: ${(exec.config.Cmd ?? []).join(" ")}`, { execID: exec.id });
    exec.done = task.wait().then(
      (status) => {
        engine.execs.ended(exec, status.exitCode);
        container.emit("exec_die", { execID: exec.id, exitCode: String(status.exitCode) });
      },
      () => engine.execs.ended(exec, 255),
    );
  } catch (error) {
    stream?.close();
    engine.execs.ended(exec, error instanceof StartError && error.exitCode !== 125 ? error.exitCode : 128);
    if (error instanceof StartError) {
      throw new GantryError(
        error.exitCode === 125 ? "system" : "invalidParameter",
        `OCI runtime exec failed: exec failed: unable to start container process: ${error.message}`,
        { cause: error },
      );
    }
    if (error instanceof GantryError) throw error;
    throw systemError(`OCI runtime exec failed: exec failed: ${messageOf(error)}`, error);
  }
}

export function sizeOf(size: number[] | null | undefined): { height: number; width: number } | null {
  const [height, width] = size ?? [];
  return height && width ? { height, width } : null;
}

export function inspectExec(exec: Exec): ExecInspect {
  const { config } = exec;
  const [entrypoint = "", ...args] = config.Cmd ?? [];
  return {
    ID: exec.id,
    Running: exec.running,
    ExitCode: exec.running ? null : exec.exitCode,
    ProcessConfig: {
      tty: config.Tty === true,
      entrypoint,
      arguments: args,
      privileged: config.Privileged === true,
      ...(config.User ? { user: config.User } : {}),
    },
    OpenStdin: config.AttachStdin === true,
    OpenStderr: config.AttachStderr === true,
    OpenStdout: config.AttachStdout === true,
    CanRemove: exec.exitCode !== null && !exec.running,
    ContainerID: exec.container.id,
    DetachKeys: config.DetachKeys ?? "",
    Pid: exec.pid,
  };
}
