import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hostAppArmor, type Runtime, StartError, type Task } from "@gantry/libcontainer";
import type { NetworkController } from "@gantry/network";
import { type Digest, GantryError, invalidParameter, type OciMount } from "@gantry/spec";
import type { Layer, LayerStore } from "@gantry/storage";
import type { RunSettings } from "../contract.ts";
import type { ExecOp } from "../plan/vertex.ts";
import type { CacheMounts } from "./cache-mounts.ts";
import { unmountAt } from "./overlay.ts";
import { type MountInput, prepareMounts } from "./run-mounts.ts";
import { removeFolder, sealOrRemove } from "./seal.ts";
import { stepSpec } from "./spec.ts";
import type { StepLog } from "./step-log.ts";
import { makeStubLayer } from "./stubs.ts";
import { resolveUser, type UserFiles } from "./users.ts";

/** A command of the Dockerfile ended with a code other than 0. */
export class RunFailed extends GantryError {
  readonly code: number;
  constructor(args: string[], code: number) {
    super("system", `The command '${args.join(" ")}' returned a non-zero code: ${code}`);
    this.name = "RunFailed";
    this.code = code;
  }
}

export interface RunnerOptions {
  layers: LayerStore;
  runtime: Runtime;
  network: NetworkController;
  /** Steps' directories, one each; and those for sockets and secrets. */
  directory: string;
  execDirectory: string;
  cacheMounts: CacheMounts;
  cgroupParent: string;
  dns: { servers: string[]; search: string[]; options: string[] };
}

/** What a step's base looks like, found out once for steps that share it. */
export interface StepBase {
  layers: Digest[];
  /** The whole of it as one read-only tree: its root's descriptor, borrowed. */
  root(): Promise<number>;
  users(): Promise<UserFiles>;
}

export interface RunRequest {
  op: ExecOp;
  base: StepBase;
  input(index: number): Promise<MountInput>;
  settings: RunSettings;
  log: StepLog;
  signal: AbortSignal;
}

/** Runs RUN steps, each in a container of its own, and makes layers of what they leave. */
export class StepRunner {
  private readonly leaving = new Set<Promise<void>>();

  constructor(private readonly options: RunnerOptions) {
    mkdirSync(options.directory, { recursive: true, mode: 0o711 });
    mkdirSync(options.execDirectory, { recursive: true, mode: 0o711 });
  }

  /** Returns the step's layer (null where it changed nothing), and the cache mounts it used. Throws RunFailed. */
  async run(request: RunRequest): Promise<{ layer: Layer | null; caches: { key: string; id: string }[] }> {
    const { layers } = this.options;
    const id = randomBytes(32).toString("hex");
    const directory = join(this.options.execDirectory, id);
    const onDisk = join(this.options.directory, id);
    let usesDisk = false;
    const disk = () => {
      if (!usesDisk) mkdirSync(onDisk, { mode: 0o711 });
      usesDisk = true;
      return onDisk;
    };
    mkdirSync(directory, { mode: 0o711 });
    let mounts: Awaited<ReturnType<typeof prepareMounts>> | null = null;
    let ending: Promise<void> = Promise.resolve();
    try {
      void request.log.push({ type: "started", containerId: id });
      mounts = await prepareMounts(request.op, {
        directory,
        disk,
        cacheMounts: this.options.cacheMounts,
        secrets: request.settings.secrets,
        signal: request.signal,
        input: request.input,
      });
      const container = await layers.createContainer(id, request.base.layers);
      const lower = [...container.lower];
      if (mounts.points.length > 0) {
        const stub = join(disk(), "stub");
        if (makeStubLayer(stub, await request.base.root(), mounts.points)) lower.unshift(stub);
      }
      ending = (await this.execute(id, directory, { ...container, lower }, mounts, request)).gone;
      // The container's end and its layer do not wait for each other: nothing writes any more.
      return { layer: await sealOrRemove(layers, id, container.upper), caches: mounts.caches };
    } catch (error) {
      await this.removeLayer(id);
      throw error;
    } finally {
      this.later(
        ending
          .catch(() => {})
          .then(async () => {
            mounts?.release();
            await rm(directory, { recursive: true, force: true });
            if (usesDisk) await rm(onDisk, { recursive: true, force: true });
          }),
      );
    }
  }

  /** Resolves when what finished steps left has been removed. */
  async settled(): Promise<void> {
    while (this.leaving.size > 0) await Promise.allSettled(this.leaving);
  }

  private later(work: Promise<void>): void {
    this.leaving.add(work);
    work.catch(() => {}).finally(() => this.leaving.delete(work));
  }

  private async removeLayer(id: string): Promise<void> {
    const { layers } = this.options;
    try {
      const { upper } = layers.getContainer(id);
      await layers.removeContainer(id);
      removeFolder(dirname(upper));
    } catch {
      // There is none.
    }
  }

  /** Runs the container. Gives, once its process has ended, the promise that all of it is gone. */
  private async execute(
    id: string,
    directory: string,
    container: { lower: string[]; upper: string; work: string },
    mounts: { mounts: OciMount[]; env: string[] },
    request: RunRequest,
  ): Promise<{ gone: Promise<void> }> {
    const { op, settings, signal } = request;
    const { runtime, network } = this.options;
    const user = resolveUser(await request.base.users(), op.user);
    const networkMode = op.network === "default" ? settings.networkMode || "bridge" : op.network;
    if (networkMode.startsWith("container:"))
      throw invalidParameter(`network mode ${networkMode} is not possible in builds`);
    const hostname = id.slice(0, 12);
    const hostNetwork = networkMode === "host";
    const sandbox = await network.prepare({
      containerId: id,
      containerName: id,
      hostname,
      domainname: "",
      networkMode,
      endpoints:
        hostNetwork || networkMode === "none" ? {} : { [networkMode === "default" ? "bridge" : networkMode]: {} },
      exposedPorts: [],
      portBindings: {},
      publishAll: false,
      dns: this.options.dns.servers,
      dnsSearch: this.options.dns.search,
      dnsOptions: this.options.dns.options,
      extraHosts: settings.extraHosts,
      links: [],
      sysctls: {},
    });
    let task: Task | null = null;
    try {
      const files: OciMount[] = [
        ["/etc/hosts", sandbox.hosts || hostFile("/etc/hosts") + extraHostLines(settings.extraHosts)] as const,
        ["/etc/resolv.conf", sandbox.resolvConf || hostFile("/etc/resolv.conf")] as const,
        ["/etc/hostname", `${hostname}\n`] as const,
      ].map(([destination, text]) => {
        const source = join(directory, destination.slice("/etc/".length));
        writeFileSync(source, text, { mode: 0o644 });
        return { destination, type: "bind", source, options: ["rbind", "rprivate"] };
      });
      signal.throwIfAborted();
      task = await runtime.create({
        id,
        spec: stepSpec({
          id,
          args: op.args,
          env: [...op.env, ...op.quietEnv, ...mounts.env],
          cwd: op.cwd,
          user,
          hostname,
          network: hostNetwork ? "host" : "new",
          mounts: [...files, ...mounts.mounts],
          settings,
          cgroupParent: this.options.cgroupParent,
          // the engine says at its start when there can be none
          apparmor: (await hostAppArmor()?.profile("", false, () => {})) ?? "",
        }),
        rootfs:
          container.lower.length === 0
            ? { type: "directory", path: container.upper }
            : { type: "overlay", ...container, volatile: true },
        stateDir: join(directory, "task"),
        exitFile: join(directory, "exit.json"),
        terminal: false,
        openStdin: false,
        stdinOnce: false,
        log: null,
      });
      if (!hostNetwork) await network.plumb(id, task.pid);
      await this.follow(task, op, request.log, signal);
    } catch (error) {
      if (task) await end(task);
      await network.release(id);
      throw error;
    }
    const ended = task;
    return {
      gone: end(ended).finally(() => network.release(id)),
    };
  }

  /** Starts the task and passes its output on until it ends. */
  private async follow(task: Task, op: ExecOp, log: StepLog, signal: AbortSignal): Promise<void> {
    const stream = await task.attach({ stdin: false, stdout: true, stderr: true });
    const abort = () => void task.kill(9, true).catch(() => {});
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      const output = pass(stream.output, log);
      try {
        await task.start();
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        throw new GantryError("system", error.message, { cause: error });
      }
      const status = await task.wait();
      await output;
      signal.throwIfAborted();
      if (status.exitCode !== 0) throw new RunFailed(op.args, status.exitCode);
    } finally {
      signal.removeEventListener("abort", abort);
      stream.close();
    }
  }

  /** Removes what steps of a killed daemon left. */
  async recover(): Promise<void> {
    const { directory, execDirectory, runtime, network } = this.options;
    for (const id of new Set([...readdirSync(directory), ...readdirSync(execDirectory)])) {
      const task = await runtime.find(id, join(execDirectory, id, "task"));
      if (task) await end(task);
      await network.release(id);
      await this.removeLayer(id);
      const own = join(directory, id);
      for (const name of listDirectories(own)) if (name.startsWith("bind-")) unmountAt(join(own, name));
      rmSync(own, { recursive: true, force: true });
      rmSync(join(execDirectory, id), { recursive: true, force: true });
    }
  }
}

/** Makes sure that nothing of a task runs, and removes it. */
async function end(task: Task): Promise<void> {
  if ((await task.status()) !== "stopped") {
    await task.kill(9, true);
    await task.wait();
  }
  await task.delete();
}

/** Takes Docker's multiplexed stream apart: 8 bytes of header (stream number, length), then the data. */
async function pass(output: ReadableStream<Uint8Array>, log: StepLog): Promise<void> {
  let pending: Uint8Array = new Uint8Array(0);
  for await (const chunk of output) {
    let data = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (data.length >= 8) {
      const length = new DataView(data.buffer, data.byteOffset).getUint32(4);
      if (data.length < 8 + length) break;
      await log.push({
        type: "output",
        stream: data[0] === 2 ? "stderr" : "stdout",
        data: data.slice(8, 8 + length),
      });
      data = data.subarray(8 + length);
    }
    pending = Uint8Array.from(data);
  }
}

function hostFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function extraHostLines(hosts: string[]): string {
  return hosts
    .map((pair) => {
      const separator = pair.search(/[:=]/);
      return `${pair.slice(separator + 1)}\t${pair.slice(0, separator)}\n`;
    })
    .join("");
}

function listDirectories(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
