/** cgroups v1, hybrid and v2 under one face (the cgroupfs driver). */
import { detectLayout } from "./detect.ts";
import type { CgroupManager } from "./types.ts";
import { CgroupsV1 } from "./v1.ts";
import { CgroupsV2 } from "./v2.ts";

export type { CgroupManager, CgroupMode, OomWatch, PreparedCgroup } from "./types.ts";

/** Opens the cgroups mounted at `root`, whichever version they are. Throws where there are none. */
export function openCgroups(options: { root?: string } = {}): CgroupManager {
  const layout = detectLayout(options.root ?? "/sys/fs/cgroup");
  return layout.mode === "v2" ? new CgroupsV2(layout.unified!) : new CgroupsV1(layout);
}
