import { type AttachRequest, type AttachStream, type ExecTask, StartError, type Task } from "@gantry/libcontainer";
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
import { hasEnded } from "../containers/ended.ts";
import { linkedEnv } from "../containers/links.ts";
import { runningTask } from "../containers/running.ts";
import { userDatabase } from "../containers/user.ts";
import type { Engine } from "../engine.ts";
import { newId } from "../ids.ts";
import { capabilities, containerEnv, mergeEnv } from "../spec/process.ts";
import { rlimits } from "../spec/resources.ts";
import { security } from "../spec/security.ts";
import { resolveUser } from "../spec/users.ts";
import type { Exec } from "./execs.ts";
import { PreparedExec } from "./prepare.ts";

/** `name` is what messages call the container. */
function requireRunning(container: Container, name: string): void {
  runningTask(container);
  if (container.paused) throw conflict(`Container ${name} is paused, unpause the container before exec`);
}

/** Registers a process to be run in a running container, found by name or ID. */
export async function createExec(engine: Engine, name: string, config: ExecConfig): Promise<string> {
  const container = engine.containers.get(name);
  if ((config.Cmd?.length ?? 0) === 0) throw invalidParameter("No exec command specified");
  if (config.DetachKeys) {
    try {
      parseDetachKeys(config.DetachKeys);
    } catch (error) {
      throw invalidParameter(`Invalid escape keys (${config.DetachKeys}) provided`, error);
    }
  }
  for (const text of [...(config.Cmd ?? []), ...(config.Env ?? [])]) {
    if (text.includes("\0")) throw invalidParameter("invalid argument: it contains a NUL byte");
  }
  await container.settled();
  requireRunning(container, name);
  if (config.User) resolveUser(await userDatabase(engine, container), config.User, []);
  const id = newId();
  const exec: Exec = {
    id,
    container,
    config,
    running: false,
    exitCode: null,
    pid: 0,
    task: null,
    done: null,
    prepared: null,
  };
  engine.execs.add(exec);
  container.emit(`exec_create: ${commandText(config)}`, { execID: id });
  // After the answer has gone out.
  setImmediate(() => prepare(engine, exec));
  return id;
}

/** A command in events: its name, a space, and what follows. */
export function commandText({ Cmd }: ExecConfig): string {
  const [name = "", ...args] = Cmd ?? [];
  return `${name} ${args.join(" ")}`;
}

/** A terminal's size is known only at its start; everything else is. */
function prepare(engine: Engine, exec: Exec): void {
  const { container, config } = exec;
  const { task } = container;
  if (config.Tty === true || exec.running || exec.exitCode !== null || task === null) return;
  if (!container.running || container.paused) return;
  const request = attachRequest(config);
  const make = async () => {
    const process = await execProcess(engine, exec);
    requireRunning(container, container.id);
    const made = await task.exec({ id: exec.id, process, openStdin: config.AttachStdin === true, early: true });
    try {
      return { task: made, stream: request === null ? null : await made.attach(request) };
    } catch (error) {
      await made.discard().catch(() => {});
      throw error;
    }
  };
  exec.prepared = new PreparedExec(exec, make());
}

/** What a client that created an exec so will attach to; null for nothing. */
function attachRequest(config: ExecConfig): AttachRequest | null {
  const request = {
    stdin: config.AttachStdin === true,
    stdout: config.AttachStdout === true,
    stderr: config.AttachStderr === true,
  };
  return request.stdin || request.stdout || request.stderr ? request : null;
}

/** Refuses an exec that cannot be started (again). */
export function checkExecStart(exec: Exec): void {
  if (exec.container.removed) throw notFound(`No such container: ${exec.container.id}`);
  if (exec.running) throw conflict(`exec command ${exec.id} is already running`);
  if (exec.exitCode !== null) throw conflict(`exec command ${exec.id} has already run`);
  requireRunning(exec.container, exec.container.id);
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
    host.GroupAdd ?? [],
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
  const apparmor = await engine.appArmorProfile(host);
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
    ...(apparmor ? { apparmorProfile: apparmor } : {}),
    ...(limits.length > 0 ? { rlimits: limits } : {}),
    ...(host.OomScoreAdj ? { oomScoreAdj: host.OomScoreAdj } : {}),
  };
}

async function makeExec(
  engine: Engine,
  exec: Exec,
  consoleSize: { height: number; width: number } | null,
): Promise<ExecTask> {
  const size = consoleSize ?? sizeOf(exec.config.ConsoleSize);
  const process = await execProcess(engine, exec);
  // It may have ended while its users were read.
  requireRunning(exec.container, exec.container.id);
  return await (exec.container.task as Task).exec({
    id: exec.id,
    process,
    openStdin: exec.config.AttachStdin === true,
    ...(size === null ? {} : { consoleSize: size }),
  });
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
  let stream: AttachStream | null = null;
  try {
    const prepared = (await exec.prepared?.take(request)) ?? null;
    stream = prepared?.stream ?? null;
    const task = prepared?.task ?? (await makeExec(engine, exec, consoleSize));
    exec.task = task;
    if (request !== null) {
      stream ??= await task.attach(request);
      attached(stream);
    }
    await task.start();
    exec.pid = task.pid;
    container.emit(`exec_start: ${commandText(exec.config)}`, { execID: exec.id });
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
    if (!(error instanceof StartError && error.exitCode !== 125) && (await hasEnded(container))) {
      throw conflict(`container ${container.id} is not running`);
    }
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
    CanRemove: false,
    ContainerID: exec.container.id,
    DetachKeys: config.DetachKeys ?? "",
    Pid: exec.pid,
  };
}
