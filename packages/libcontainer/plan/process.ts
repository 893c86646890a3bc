import { invalidParameter, type LinuxSeccomp, type OciProcess } from "@gantry/spec";
import { capabilityBit, capabilityMask } from "../capabilities/index.ts";
import { compileSeccomp, seccompFlags } from "../seccomp/index.ts";
import { type PlanWriter, ProcessFlag, Rec } from "./format.ts";

const RLIMITS = `CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME`
  .split(" ")
  .map((name) => `RLIMIT_${name}`);

const POLICIES: Record<string, number> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const SCHED_FLAGS: Record<string, number> = {
  SCHED_FLAG_RESET_ON_FORK: 1,
  SCHED_FLAG_RECLAIM: 2,
  SCHED_FLAG_DL_OVERRUN: 4,
  SCHED_FLAG_KEEP_POLICY: 8,
  SCHED_FLAG_KEEP_PARAMS: 16,
  SCHED_FLAG_UTIL_CLAMP_MIN: 32,
  SCHED_FLAG_UTIL_CLAMP_MAX: 64,
};
const IO_CLASSES: Record<string, number> = { IOPRIO_CLASS_RT: 1, IOPRIO_CLASS_BE: 2, IOPRIO_CLASS_IDLE: 3 };

/** linux/personality.h */
const PERSONALITIES: Record<string, number> = { LINUX: 0, LINUX32: 8 };

export interface ProcessExtras {
  seccomp?: LinuxSeccomp;
  personality?: { domain: string };
  /** Take filter and personality from the container's init; for execs. */
  inherit?: boolean;
  /** Make the working directory where it is missing, as Docker does. */
  makeCwd?: boolean;
}

const filters = new WeakMap<LinuxSeccomp, Uint8Array>();
const filtersByText = new Map<string, Uint8Array>();

/** The filter's bytes. Compiling takes milliseconds: results are kept by object, and the last few by content. */
function filterOf(profile: LinuxSeccomp): Uint8Array {
  const known = filters.get(profile);
  if (known) return known;
  const text = JSON.stringify(profile, (_, value) => (typeof value === "bigint" ? `${value}n` : value));
  let bytes = filtersByText.get(text);
  if (!bytes) {
    bytes = compileSeccomp(profile, process.arch === "arm64" ? "arm64" : "x64");
    if (filtersByText.size >= 16) filtersByText.delete(filtersByText.keys().next().value!);
    filtersByText.set(text, bytes);
  }
  filters.set(profile, bytes);
  return bytes;
}

function id(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xfffffffe) throw invalidParameter(`invalid ${what}: ${value}`);
  return value;
}

/** The capabilities a process asks for that nobody knows: config.md has them left out, with a warning. */
export function unknownCapabilities(process: OciProcess | undefined): string[] {
  const names = Object.values(process?.capabilities ?? {}).flatMap((set) => set ?? []);
  return [...new Set(names.filter((name) => capabilityBit(name) < 0))];
}

function limit(value: number): bigint {
  // JSON's -1 and Go's uint64 maximum (which JavaScript rounds up to 2^64) both mean "infinity"
  if (value < 0 || value >= 2 ** 64) return 0xffffffffffffffffn;
  return BigInt(Math.trunc(value));
}

/** CPU list such as "0-3,7" as the kernel's bit mask. Throws invalidParameter. */
export function cpuMask(text: string): Uint8Array {
  const bits = new Uint8Array(128);
  for (const part of text.split(",")) {
    const match = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (!match || from > to || to >= 1024) throw invalidParameter(`invalid CPU list: ${JSON.stringify(text)}`);
    for (let cpu = from; cpu <= to; cpu++) bits[cpu >> 3]! |= 1 << (cpu & 7);
  }
  return bits;
}

function writeScheduler(out: PlanWriter, scheduler: NonNullable<OciProcess["scheduler"]>): void {
  const policy = POLICIES[scheduler.policy];
  if (policy === undefined) throw invalidParameter(`invalid scheduler policy: ${scheduler.policy}`);
  let flags = 0;
  for (const name of scheduler.flags ?? []) {
    const flag = SCHED_FLAGS[name];
    if (flag === undefined) throw invalidParameter(`invalid scheduler flag: ${name}`);
    flags |= flag;
  }
  out.record(Rec.scheduler, (body) =>
    body
      .u32(policy)
      .u32(scheduler.nice ?? 0)
      .u32(scheduler.priority ?? 0)
      .u64(flags)
      .u64(scheduler.runtime ?? 0)
      .u64(scheduler.deadline ?? 0)
      .u64(scheduler.period ?? 0),
  );
}

/** Writes the records of one process: of init, or of one exec'd later. Throws invalidParameter for what cannot be. */
export function writeProcess(out: PlanWriter, process: OciProcess, extras: ProcessExtras = {}): void {
  const { user, capabilities } = process;
  if (!process.args?.length) throw invalidParameter("no command specified");
  if (!process.cwd.startsWith("/")) throw invalidParameter(`Cwd must be an absolute path: ${process.cwd}`);
  out.record(Rec.args, (body) => body.list(process.args!));
  out.record(Rec.env, (body) => body.list(process.env ?? []));
  const flags =
    (extras.makeCwd ? ProcessFlag.mkdirCwd : 0) |
    (process.noNewPrivileges ? ProcessFlag.noNewPrivileges : 0) |
    (extras.inherit ? ProcessFlag.inherit : 0);
  out.record(Rec.cwd, (body) => body.u32(flags).string(process.cwd));
  const gids = user.additionalGids ?? [];
  out.record(Rec.user, (body) => {
    body.u32(id(user.uid, "uid")).u32(id(user.gid, "gid"));
    body.u32(user.umask ?? -1).u32(gids.length);
    for (const gid of gids) body.u32(id(gid, "gid"));
  });
  if (capabilities)
    out.record(Rec.caps, (body) => {
      const { bounding, effective, inheritable, permitted, ambient } = capabilities;
      for (const set of [bounding, effective, inheritable, permitted, ambient]) body.u64(capabilityMask(set ?? []));
    });
  for (const { type, soft, hard } of process.rlimits ?? []) {
    const resource = RLIMITS.indexOf(type);
    if (resource < 0) throw invalidParameter(`wrong rlimit value: ${type}`);
    if (limit(soft) > limit(hard))
      throw invalidParameter(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
    out.record(Rec.rlimit, (body) => body.u32(resource).u64(limit(soft)).u64(limit(hard)));
  }
  if (extras.seccomp) {
    const { seccomp } = extras;
    const filter = filterOf(seccomp);
    out.record(Rec.seccomp, (body) =>
      body
        .u32(seccompFlags(seccomp))
        .string(seccomp.listenerPath ?? "")
        .string(JSON.stringify(seccomp.listenerMetadata ?? ""))
        .blob(filter),
    );
  }
  if (process.oomScoreAdj !== undefined) out.record(Rec.oomScore, (body) => body.u32(process.oomScoreAdj!));
  if (extras.personality) {
    const persona = PERSONALITIES[extras.personality.domain];
    if (persona === undefined) throw invalidParameter(`invalid personality: ${extras.personality.domain}`);
    out.record(Rec.personality, (body) => body.u64(persona));
  }
  if (process.scheduler) writeScheduler(out, process.scheduler);
  if (process.ioPriority) {
    const level = IO_CLASSES[process.ioPriority.class];
    if (level === undefined) throw invalidParameter(`invalid I/O priority class: ${process.ioPriority.class}`);
    out.record(Rec.ioPriority, (body) => body.u32((level << 13) | (process.ioPriority!.priority & 0x1fff)));
  }
  if (process.apparmorProfile || process.selinuxLabel)
    out.record(Rec.labels, (body) => body.string(process.apparmorProfile ?? "").string(process.selinuxLabel ?? ""));
  const affinity = process.execCPUAffinity?.final ?? process.execCPUAffinity?.initial;
  if (affinity) out.record(Rec.affinity, (body) => body.blob(cpuMask(affinity)));
}
