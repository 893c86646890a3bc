import { invalidParameter, type OciHook, type OciProcess, type RuntimeSpec } from "@gantry/spec";
import type { PreparedCgroup } from "../cgroups/index.ts";
import type { LogTarget, Rootfs } from "../contract.ts";
import { Config, PLAN_MAGIC, PlanWriter, Rec } from "./format.ts";
import { planNamespaces, writeNamespaces } from "./namespaces.ts";
import { writeProcess } from "./process.ts";
import { writeRootfs } from "./rootfs.ts";

export interface PlanInput {
  id: string;
  spec: RuntimeSpec;
  rootfs: Rootfs;
  /** Where the root file system is mounted in the container's mount namespace before pivot_root. */
  mountPoint: string;
  bundle: string;
  exitFile: string;
  terminal: boolean;
  openStdin: boolean;
  stdinOnce: boolean;
  consoleSize?: { height: number; width: number };
  log: LogTarget | null;
  cgroup: PreparedCgroup | null;
  /** Make the working directory where it is missing. */
  makeCwd: boolean;
  /** The command line runtime: no supervision, init inherits the caller's stdio. */
  oci?: OciMode;
}

export interface OciMode {
  preserveFds: number;
  fifo: string;
  consoleSocket: string;
  /** Join this process's container instead of making one; 0 to make one. */
  execPid: number;
  detach: boolean;
}

const STAGES = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] as const;

function writeHooks(out: PlanWriter, spec: RuntimeSpec): void {
  STAGES.forEach((stage, index) => {
    for (const hook of spec.hooks?.[stage] ?? []) {
      checkHook(hook, stage);
      out.record(Rec.hook, (body) =>
        body
          .u32(index + 1)
          .u32(hook.timeout ?? 0)
          .string(hook.path)
          .list(hook.args?.length ? hook.args : [hook.path])
          .list(hook.env ?? []),
      );
    }
  });
}

function checkHook(hook: OciHook, stage: string): void {
  if (!hook.path?.startsWith("/")) throw invalidParameter(`${stage} hook: path must be absolute: ${hook.path}`);
  if (hook.timeout !== undefined && hook.timeout <= 0)
    throw invalidParameter(`${stage} hook: timeout must be positive`);
}

/** The beginning of the state that hooks get; the shim adds status and pid and closes it. */
function stateHead(input: PlanInput): string {
  const { spec, id, bundle } = input;
  const head = { ociVersion: spec.ociVersion, id, bundle, annotations: spec.annotations ?? {} };
  return JSON.stringify(head).slice(0, -1);
}

function writeOci(out: PlanWriter, { preserveFds, execPid, detach, fifo, consoleSocket }: OciMode): void {
  out.record(Rec.oci, (body) =>
    body
      .u32(preserveFds)
      .u32(execPid)
      .u32(detach ? 1 : 0)
      .string(fifo)
      .string(consoleSocket),
  );
}

export function writeCgroup(out: PlanWriter, cgroup: PreparedCgroup): void {
  const own = cgroup.joinFiles.length ? cgroup.joinFiles : cgroup.procsFiles;
  for (const file of own) out.record(Rec.cgroupProcs, (body) => body.string(file));
  if (cgroup.directory) out.record(Rec.cgroupDir, (body) => body.string(cgroup.directory!));
  if (cgroup.oom) out.record(Rec.oom, (body) => body.u32(0).string(cgroup.oom!.file));
}

/** Compiles a container's description into the shim's plan. Pure. Throws invalidParameter for what cannot be. */
export function compilePlan(input: PlanInput): Uint8Array {
  const { spec, log, cgroup } = input;
  if (!spec.process) throw invalidParameter("config.json has no process");
  const namespaces = planNamespaces(spec, input.oci !== undefined);
  const out = new PlanWriter(16384);
  out.u32(PLAN_MAGIC);
  const flags =
    namespaces.configFlags |
    (input.terminal ? Config.terminal : 0) |
    (input.openStdin ? Config.openStdin : 0) |
    (input.stdinOnce ? Config.stdinOnce : 0);
  const size = input.consoleSize ?? spec.process.consoleSize;
  out.record(Rec.config, (body) =>
    body
      .u32(flags)
      .u32(namespaces.cloneFlags)
      .u16(size?.height ?? 0)
      .u16(size?.width ?? 0)
      .string(`_ses.${input.id}`),
  );
  if (input.exitFile) out.record(Rec.exitFile, (body) => body.string(input.exitFile));
  if (log)
    out.record(Rec.log, (body) =>
      body
        .u64(log.maxSize)
        .u32(Math.max(1, log.maxFile))
        .string(log.path)
        .string(log.attrs ?? ""),
    );
  writeNamespaces(out, spec, namespaces);
  if (cgroup) writeCgroup(out, cgroup);
  writeHooks(out, spec);
  if (spec.hooks || spec.linux?.seccomp?.listenerPath)
    out.record(Rec.stateJson, (body) => body.string(stateHead(input)));
  if (input.oci) writeOci(out, input.oci);
  out.record(Rec.rootfs, (body) =>
    writeRootfs(body, spec, input.rootfs, {
      mountPoint: input.mountPoint,
      terminal: input.terminal,
      cgroups: cgroup?.directories ?? new Map(),
    }),
  );
  const { linux } = spec;
  writeProcess(out, spec.process, {
    seccomp: linux?.seccomp,
    personality: linux?.personality,
    makeCwd: input.makeCwd,
  });
  return out.bytes();
}

/** The plan of a process that joins a running container, under the filter its init has. */
export function compileExec(process: OciProcess): Uint8Array {
  const out = new PlanWriter();
  writeProcess(out, process, { inherit: true });
  return out.bytes();
}

/** The plan by which the command line runtime starts a process in a container: one-shot, stdio inherited. */
export function compileOciExec(
  process: OciProcess,
  spec: RuntimeSpec,
  cgroup: PreparedCgroup | null,
  id: string,
  oci: OciMode,
): Uint8Array {
  const out = new PlanWriter();
  out.u32(PLAN_MAGIC);
  const size = process.consoleSize;
  out.record(Rec.config, (body) =>
    body
      .u32(process.terminal ? Config.terminal : 0)
      .u32(0)
      .u16(size?.height ?? 0)
      .u16(size?.width ?? 0)
      .string(`_ses.${id}`),
  );
  if (cgroup) writeCgroup(out, cgroup);
  writeOci(out, oci);
  writeProcess(out, process, { seccomp: spec.linux?.seccomp, personality: spec.linux?.personality });
  return out.bytes();
}
