import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { conflict, invalidParameter, type LinuxDeviceCgroup, type RuntimeSpec } from "@gantry/spec";
import { mknodat, kill as sendSignal, umount } from "@gantry/sys";
import type { PreparedCgroup } from "../cgroups/index.ts";
import { compilePlan } from "../plan/compile.ts";
import { DEFAULT_DEVICES } from "../plan/devices.ts";
import { unknownCapabilities } from "../plan/process.ts";
import { cgroupPathOf } from "../runtime/runtime.ts";
import { last, parseArguments, parseSignal } from "./arguments.ts";
import type { Context } from "./context.ts";
import { runHooks } from "./hooks.ts";
import { type OneShot, runOneShot } from "./shim.ts";
import { type Container, processStat } from "./store.ts";

const AT_FDCWD = -100;
const S_IFIFO = 0o010000;
const SIGKILL = 9;
const MNT_DETACH = 2;
const FLAGS = {
  switches: ["no-pivot", "no-new-keyring", "detach", "keep", "no-subreaper"],
  values: ["bundle", "pid-file", "console-socket", "preserve-fds"],
  short: { b: "bundle", d: "detach" },
};

/** Devices that a container may use whatever its rules say: those it finds in /dev, and its terminals. */
const ALWAYS_ALLOWED: LinuxDeviceCgroup[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...DEFAULT_DEVICES.map(({ type, major, minor }) => ({ allow: true, type, major, minor, access: "rwm" })),
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" },
  { allow: true, type: "c", major: 136, access: "rwm" },
];

function readSpec(bundle: string): RuntimeSpec {
  let text: string;
  try {
    text = readFileSync(`${bundle}/config.json`, "utf8");
  } catch {
    throw invalidParameter(`JSON specification file ${bundle}/config.json not found`);
  }
  const spec = JSON.parse(text) as RuntimeSpec;
  if (!/^1\.\d+\.\d+/.test(spec.ociVersion ?? "")) throw invalidParameter(`unsupported ociVersion: ${spec.ociVersion}`);
  if (!spec.root?.path) throw invalidParameter("config.json has no root");
  if (spec.process && !spec.process.cwd) throw invalidParameter("Cwd property must not be empty");
  return spec;
}

function listenFds(): number {
  return /^\d+$/.test(process.env.LISTEN_FDS ?? "") ? Number(process.env.LISTEN_FDS) : 0;
}

async function make(
  context: Context,
  words: string[],
  detach: boolean,
): Promise<{ container: Container; shot: OneShot }> {
  const { store, cgroups, shimPath } = context;
  const args = parseArguments(words, FLAGS);
  const bundle = resolve(last(args, "bundle") ?? ".");
  const spec = readSpec(bundle);
  const id = args.rest[0]!;
  const consoleSocket = last(args, "console-socket") ?? "";
  const terminal = spec.process?.terminal ?? false;
  const stays = !detach && !args.switches.has("detach");
  if (terminal && !consoleSocket && !stays)
    throw invalidParameter("cannot allocate tty if runc will detach without setting console socket");
  const unknown = unknownCapabilities(spec.process);
  if (unknown.length > 0)
    context.warn(new Error(`ignoring unknown or unavailable capabilities: [${unknown.join(" ")}]`));
  store.claim(id);
  const cgroup = cgroupPathOf(spec.linux?.cgroupsPath, id);
  const preserveFds = Number(last(args, "preserve-fds") ?? 0) + listenFds();
  if (listenFds() && spec.process)
    spec.process.env = [...(spec.process.env ?? []), `LISTEN_FDS=${listenFds()}`, "LISTEN_PID=1"];
  let prepared: PreparedCgroup | null = null;
  try {
    const resources = spec.linux?.resources ?? {};
    prepared = cgroups.prepare(cgroup, { ...resources, devices: [...(resources.devices ?? []), ...ALWAYS_ALLOWED] });
    mknodat(AT_FDCWD, store.fifo(id), S_IFIFO | 0o622);
    const root = isAbsolute(spec.root!.path) ? spec.root!.path : resolve(bundle, spec.root!.path);
    const plan = compilePlan({
      id,
      spec: { ...spec, process: spec.process ?? { args: ["true"], cwd: "/", user: { uid: 0, gid: 0 } } },
      rootfs: { type: "directory", path: root, readonly: spec.root!.readonly },
      mountPoint: root,
      bundle,
      exitFile: "",
      terminal,
      openStdin: true,
      stdinOnce: false,
      log: null,
      cgroup: prepared,
      makeCwd: true,
      oci: { preserveFds, fifo: store.fifo(id), consoleSocket, execPid: 0, detach: !stays },
    });
    const shot = runOneShot(shimPath, plan, preserveFds);
    const container: Container = {
      ociVersion: spec.ociVersion,
      id,
      pid: shot.pid,
      startTime: processStat(shot.pid)?.startTime ?? 0,
      bundle,
      created: new Date().toISOString(),
      annotations: spec.annotations,
      cgroup,
      spec,
    };
    store.save(container);
    const pidFile = last(args, "pid-file");
    if (pidFile) writeFileSync(pidFile, String(shot.pid));
    return { container, shot };
  } catch (error) {
    if (prepared) {
      await cgroups.killAll(cgroup).catch(() => {});
      await cgroups.remove(cgroup).catch(() => {});
    }
    store.remove(id);
    throw error;
  }
}

export async function create(context: Context, words: string[]): Promise<number> {
  await make(context, words, true);
  return 0;
}

/** Whether the user's program has taken the place of ours in init; false where init died. */
async function untilExecuted(container: Container): Promise<boolean> {
  for (let wait = 0.2; ; wait = Math.min(wait * 2, 20)) {
    const stat = processStat(container.pid);
    if (!stat || stat.startTime !== container.startTime || stat.state === "Z") return false;
    // dumpable is set anew by exec: only then has /proc/<pid>/comm the user's program behind it
    const name = readFileSync(`/proc/${container.pid}/cmdline`, "utf8");
    if (!name.startsWith("gantry-shim\0")) return true;
    await Bun.sleep(wait);
  }
}

async function startContainer(context: Context, container: Container): Promise<void> {
  const { store, cgroups } = context;
  const status = store.status(container, cgroups);
  if (status === "stopped") throw conflict("cannot start a container that has stopped");
  if (status !== "created") throw conflict("cannot start an already running container");
  if (!container.spec.process?.args?.length) throw invalidParameter("the container has no process to start");
  const fifo = openSync(store.fifo(container.id), constants.O_WRONLY | constants.O_NONBLOCK);
  writeSync(fifo, "0");
  closeSync(fifo);
  unlinkSync(store.fifo(container.id));
  const { hooks } = container.spec;
  if (!hooks?.poststart?.length && !hooks?.startContainer?.length) return;
  // a quick program may have ended already; only a failing hook of ours leaves nothing exec'd
  await untilExecuted(container);
  await runHooks(hooks.poststart, store.state(container, "running")).catch((error) => context.warn(error));
}

export async function start(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, {});
  await startContainer(context, context.store.load(args.rest[0]));
  return 0;
}

export async function run(context: Context, words: string[]): Promise<number> {
  const { container, shot } = await make(context, words, false);
  const args = parseArguments(words, FLAGS);
  await startContainer(context, container);
  if (args.switches.has("detach")) return 0;
  const code = await shot.exited;
  if (!args.switches.has("keep")) await destroy(context, container);
  return code;
}

/** Without a mount namespace of its own, a container's mounts are its host's; they go with it. */
function unmountLeftovers(container: Container): void {
  const { bundle, spec } = container;
  if (spec.linux?.namespaces?.some((one) => one.type === "mount" && !one.path)) return;
  const root = resolve(bundle, spec.root!.path);
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((point) => point === root || point.startsWith(`${root}/`));
  for (const point of points.reverse()) umount(point, MNT_DETACH);
}

async function destroy(context: Context, container: Container): Promise<void> {
  const { store, cgroups } = context;
  if (cgroups.exists(container.cgroup)) await cgroups.killAll(container.cgroup);
  await cgroups.remove(container.cgroup);
  unmountLeftovers(container);
  const state = store.state(container, "stopped");
  store.remove(container.id);
  // all of them run, whatever one of them says (runtime.md, "Lifecycle" 13)
  for (const hook of container.spec.hooks?.poststop ?? [])
    await runHooks([hook], state).catch((error) => context.warn(error));
}

export async function remove(context: Context, words: string[]): Promise<number> {
  const args = parseArguments(words, { switches: ["force"], short: { f: "force" } });
  const force = args.switches.has("force");
  const { store, cgroups } = context;
  const [id] = args.rest;
  if (force && id && !existsSync(`${store.directory(id)}/state.json`)) {
    store.remove(id);
    return 0;
  }
  const container = store.load(id);
  const status = store.status(container, cgroups);
  if (status !== "stopped") {
    if (!force) throw conflict(`cannot delete container ${container.id} that is not stopped: ${status}`);
    sendSignal(container.pid, SIGKILL);
    await cgroups.killAll(container.cgroup);
  }
  await destroy(context, container);
  return 0;
}

export async function kill(context: Context, words: string[]): Promise<number> {
  // a signal may be given as -9 or -KILL too
  const args = parseArguments(words, { switches: ["all"], short: { a: "all" } });
  const { store, cgroups } = context;
  const container = store.load(args.rest[0]);
  const signal = parseSignal(args.rest[1] ?? "SIGTERM");
  const status = store.status(container, cgroups);
  if (args.switches.has("all")) {
    cgroups.signalAll(container.cgroup, signal);
    return 0;
  }
  if (status === "stopped") throw conflict("container not running");
  sendSignal(container.pid, signal);
  if (signal === SIGKILL && status === "paused") await cgroups.thaw(container.cgroup);
  return 0;
}
