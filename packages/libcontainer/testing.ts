/** Helpers of this room's tests: a busybox root, Docker-like specs, and a runtime that leaves nothing behind. */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RuntimeSpec } from "@gantry/spec";
import { DEFAULT_CAPABILITIES } from "./capabilities/index.ts";
import { type CgroupManager, openCgroups } from "./cgroups/index.ts";
import type { AttachStream, CreateRequest, Runtime, Task } from "./contract.ts";
import { defaultMounts, MASKED_PATHS, READONLY_PATHS, shmMount } from "./defaults.ts";
import { openRuntime } from "./runtime/runtime.ts";
import { defaultSeccomp } from "./seccomp/index.ts";

/** GANTRY_SHIM puts another build to the test, one with sanitizers for instance. */
export const shimPath = process.env.GANTRY_SHIM ?? new URL("./shim/build/gantry-shim", import.meta.url).pathname;
/** Test runs at the same time must not take each other's away. */
export const testCgroup = `/gantry-test-${process.pid}`;

/** Where it is on this machine: on v2, or below v1's hierarchy of pids. */
export const testCgroupDirectory = `/sys/fs/cgroup${existsSync("/sys/fs/cgroup/cgroup.procs") ? "" : "/pids"}${testCgroup}`;
export const busybox = "/usr/bin/busybox";
export const canRun = process.getuid?.() === 0 && existsSync(shimPath) && existsSync(busybox);

const APPLETS = `sh cat echo true false ls id sleep head tail dd wc sed grep mount umount mkdir rm touch ln readlink
  stat test kill ps hostname env printf stty tty seq yes date chmod chown tr sync nproc cut sort md5sum find expr
  dirname basename mknod unshare ip awk trap usleep`.split(/\s+/);

/** Waits for what must come true, however busy the machine; throws after thirty seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within 30 s: ${condition}`);
    await Bun.sleep(5);
  }
}

/** Makes a root file system of busybox below `directory`. */
export function makeBusybox(directory: string): string {
  for (const name of ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "var", "home/user"])
    mkdirSync(join(directory, name), { recursive: true });
  copyFileSync(busybox, join(directory, "bin/busybox"));
  for (const applet of APPLETS) linkSync(join(directory, "bin/busybox"), join(directory, "bin", applet));
  writeFileSync(join(directory, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n");
  return directory;
}

const caps = [...DEFAULT_CAPABILITIES];

/** A spec such as Docker makes by default, without a network of its own to speak of. */
export function dockerSpec(args: string[], change: (spec: RuntimeSpec) => void = () => {}): RuntimeSpec {
  const spec: RuntimeSpec = {
    ociVersion: "1.2.0",
    hostname: "box",
    process: {
      args,
      cwd: "/",
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box"],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      oomScoreAdj: 0,
    },
    mounts: [...defaultMounts("ro"), shmMount(64 << 20)],
    linux: {
      namespaces: [
        { type: "mount" },
        { type: "network" },
        { type: "uts" },
        { type: "pid" },
        { type: "ipc" },
        { type: "cgroup" },
      ],
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
      seccomp: defaultSeccomp(caps, "x64"),
      resources: {
        devices: [
          { allow: false, access: "rwm" },
          ...["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*"].map((one) => {
            const [major, minor] = one.split(":");
            return {
              allow: true,
              type: "c",
              major: Number(major),
              ...(minor === "*" ? {} : { minor: Number(minor) }),
              access: "rwm",
            };
          }),
          { allow: true, type: "c", access: "m" },
          { allow: true, type: "b", access: "m" },
        ],
      },
    },
  };
  change(spec);
  return spec;
}

export interface Box {
  task: Task;
  stateDir: string;
  logPath: string;
  exitFile: string;
  upper: string;
}

/** A place for containers, and what it needs to clear up after them. */
export class Bench {
  readonly root = mkdtempSync(join(tmpdir(), "gantry-task-"));
  readonly cgroups: CgroupManager = openCgroups();
  readonly runtime: Runtime;
  readonly lower: string;
  #count = 0;
  readonly boxes: Box[] = [];

  constructor(runtime?: Runtime) {
    this.runtime = runtime ?? openRuntime({ shimPath, cgroups: this.cgroups });
    this.lower = makeBusybox(join(this.root, "lower"));
  }

  async create(spec: RuntimeSpec, change: Partial<CreateRequest> = {}): Promise<Box> {
    const id = `t${process.pid}-${++this.#count}`;
    const base = join(this.root, id);
    for (const name of ["upper", "work", "state"]) mkdirSync(join(base, name), { recursive: true });
    const stateDir = join(base, "state", "task");
    const logPath = join(base, `${id}-json.log`);
    const exitFile = join(base, "exit.json");
    const linux = { ...spec.linux, cgroupsPath: `${testCgroup}/${id}` };
    const task = await this.runtime.create({
      id,
      spec: { ...spec, linux },
      rootfs: { type: "overlay", lower: [this.lower], upper: join(base, "upper"), work: join(base, "work") },
      stateDir,
      exitFile,
      terminal: false,
      openStdin: false,
      stdinOnce: false,
      log: { path: logPath, maxSize: 0, maxFile: 1 },
      ...change,
    });
    const box = { task, stateDir, logPath, exitFile, upper: join(base, "upper") };
    this.boxes.push(box);
    return box;
  }

  /** Runs to the end with all output collected: exit code, stdout and stderr apart. */
  async run(spec: RuntimeSpec, change: Partial<CreateRequest> = {}) {
    const box = await this.create(spec, change);
    const stream = await box.task.attach({ stdin: false, stdout: true, stderr: true });
    const output = collect(stream, change.terminal ?? false);
    await box.task.start();
    const status = await box.task.wait();
    const result = { ...(await output), exitCode: status.exitCode, status, box };
    await box.task.delete();
    return result;
  }

  async close(): Promise<void> {
    for (const { task } of this.boxes) {
      if ((await task.status()) === "stopped") continue;
      await task.kill(9);
      await task.wait();
    }
    for (const { task } of this.boxes) await task.delete();
    await this.cgroups.remove(testCgroup);
    try {
      // runc joins the unified tree beside v1 too, which our cgroups leave alone.
      rmdirSync(`/sys/fs/cgroup/unified${testCgroup}`);
    } catch {
      // no runc, or no such tree
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Takes Docker's multiplexed stream apart. */
export function demultiplex(bytes: Uint8Array): { stdout: string; stderr: string } {
  const parts: [string, string] = ["", ""];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at + 4, false);
    parts[bytes[at]! - 1] += new TextDecoder().decode(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return { stdout: parts[0], stderr: parts[1] };
}

export async function collect(stream: AttachStream, terminal = false): Promise<{ stdout: string; stderr: string }> {
  const bytes = await bytesOf(stream.output);
  return terminal ? { stdout: new TextDecoder().decode(bytes), stderr: "" } : demultiplex(bytes);
}

export function logLines(
  path: string,
): { log: string; stream: string; time: string; attrs?: Record<string, string> }[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
