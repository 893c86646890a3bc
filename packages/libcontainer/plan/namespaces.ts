import { invalidParameter, type LinuxIdMapping, type LinuxNamespaceType, type RuntimeSpec } from "@gantry/spec";
import { Config, type PlanWriter, Rec } from "./format.ts";

/** CLONE_NEW* (sched.h). */
export const CloneFlag: Record<LinuxNamespaceType, number> = {
  time: 0x80,
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
};

/** Joined in this order: the mount namespace changes what paths mean, and the user namespace takes rights away. */
const JOIN_ORDER: LinuxNamespaceType[] = ["ipc", "uts", "network", "pid", "cgroup", "time", "mount", "user"];

export interface NamespacePlan {
  cloneFlags: number;
  configFlags: number;
  joins: { type: LinuxNamespaceType; path: string }[];
}

/**
 * What to make and what to join. Throws invalidParameter for what contradicts itself, and unless `anyMounts` for
 * containers without a mount namespace of their own.
 */
export function planNamespaces(spec: RuntimeSpec, anyMounts = false): NamespacePlan {
  const seen = new Set<LinuxNamespaceType>();
  const joins: NamespacePlan["joins"] = [];
  let cloneFlags = 0;
  for (const { type, path } of spec.linux?.namespaces ?? []) {
    if (!(type in CloneFlag)) throw invalidParameter(`namespace ${JSON.stringify(type)} does not exist`);
    if (seen.has(type)) throw invalidParameter(`malformed spec file: duplicated ns ${type}`);
    seen.add(type);
    if (path) joins.push({ type, path });
    // a cgroup namespace is made after joining the cgroups, as a step
    else if (type !== "cgroup") cloneFlags |= CloneFlag[type];
  }
  if (!anyMounts && (!seen.has("mount") || joins.some((one) => one.type === "mount")))
    throw invalidParameter("a container needs a mount namespace of its own");
  joins.sort((a, b) => JOIN_ORDER.indexOf(a.type) - JOIN_ORDER.indexOf(b.type));
  const mappings = (spec.linux?.uidMappings?.length ?? 0) + (spec.linux?.gidMappings?.length ?? 0);
  if (mappings && !seen.has("user"))
    throw invalidParameter("user namespace mappings specified, but user namespace isn't enabled in the config");
  if (cloneFlags & CloneFlag.user && !mappings) throw invalidParameter("user namespaces enabled, but no user mappings");
  if (spec.linux?.timeOffsets && !(cloneFlags & CloneFlag.time))
    throw invalidParameter("time namespace offsets specified, but time namespace isn't enabled in the config");
  const staged = joins.length > 0 || (cloneFlags & (CloneFlag.user | CloneFlag.time)) !== 0;
  return {
    cloneFlags,
    joins,
    configFlags: (staged ? Config.staged : 0) | (cloneFlags & CloneFlag.pid ? Config.newPidNamespace : 0),
  };
}

const idMap = (entries: LinuxIdMapping[] = []) =>
  entries.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

export function writeNamespaces(out: PlanWriter, spec: RuntimeSpec, plan: NamespacePlan): void {
  for (const { type, path } of plan.joins) out.record(Rec.join, (body) => body.u32(CloneFlag[type]).string(path));
  if (plan.cloneFlags & CloneFlag.user) {
    out.record(Rec.uidMap, (body) => body.string(idMap(spec.linux?.uidMappings)));
    out.record(Rec.gidMap, (body) => body.string(idMap(spec.linux?.gidMappings)));
  }
  const offsets = Object.entries(spec.linux?.timeOffsets ?? {});
  if (offsets.length)
    out.record(Rec.timeOffsets, (body) =>
      body.string(offsets.map(([clock, at]) => `${clock} ${at?.secs ?? 0} ${at?.nanosecs ?? 0}\n`).join("")),
    );
}
