import { systemError } from "@gantry/spec";
import { mountField } from "@gantry/sys";
import { readText } from "./file.ts";
import type { CgroupMode } from "./types.ts";

/** One mounted v1 hierarchy: where, and what it controls ("cpu", "cpuacct", "name=systemd"). */
export interface Hierarchy {
  mountPoint: string;
  controllers: string[];
}

export interface CgroupLayout {
  mode: CgroupMode;
  hierarchies: Hierarchy[];
  /** Mount point of the cgroup2 tree; in hybrid mode it controls nothing. */
  unified: string | null;
}

const NOT_CONTROLLERS = new Set(["rw", "ro", "xattr", "noprefix", "clone_children", "all", "none", "favordynmods"]);

/**
 * Reads the cgroup mounts at and below `root` from /proc/self/mountinfo's text. v1 hierarchies may be mounted one by
 * one, together ("cpu,cpuacct"), or not at all; the first mount of a hierarchy counts.
 */
export function cgroupLayout(mountinfo: string, root: string): CgroupLayout {
  const hierarchies = new Map<string, Hierarchy>();
  let unified: string | null = null;
  for (const line of mountinfo.split("\n")) {
    const [before, after] = line.split(" - ");
    const fields = before?.split(" ") ?? [];
    const [type, , options] = after?.split(" ") ?? [];
    if (fields.length < 6 || !type || !options) continue;
    const mountPoint = mountField(fields[4]!);
    if (mountPoint !== root && !mountPoint.startsWith(`${root}/`)) continue;
    if (type === "cgroup2") unified ??= mountPoint;
    if (type !== "cgroup") continue;
    const controllers = options
      .split(",")
      .filter((option) => !NOT_CONTROLLERS.has(option) && !/^release_agent=/.test(option));
    const key = controllers.join(",");
    if (!hierarchies.has(key)) hierarchies.set(key, { mountPoint, controllers });
  }
  const mode = hierarchies.size === 0 ? "v2" : unified ? "hybrid" : "v1";
  return { mode, hierarchies: [...hierarchies.values()], unified };
}

/** The layout of this machine. Throws where no cgroups are mounted at `root`. */
export function detectLayout(root: string): CgroupLayout {
  const layout = cgroupLayout(readText("/proc/self/mountinfo"), root);
  if (layout.hierarchies.length === 0 && !layout.unified)
    throw systemError(`no cgroup file system is mounted at ${root}`);
  return layout;
}
