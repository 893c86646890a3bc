import type { BlkioEntry, CgroupStats } from "../contract.ts";
import { readFlatKeyed, readNumber, tryRead } from "./file.ts";

/** Lines such as `8:0 Read 4096`; the total of all devices has no device and is left out. */
function blkioEntries(text: string | null): BlkioEntry[] {
  const entries: BlkioEntry[] = [];
  for (const line of text?.split("\n") ?? []) {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (match)
      entries.push({ major: Number(match[1]), minor: Number(match[2]), op: match[3]!, value: Number(match[4]) });
  }
  return entries;
}

/** BFQ counts what goes through it, the throttle layer what passes by it. */
function blkio(directory: string | undefined, name: string): BlkioEntry[] {
  if (!directory) return [];
  const bfq = blkioEntries(tryRead(`${directory}/blkio.bfq.${name}_recursive`));
  if (bfq.length) return bfq;
  return blkioEntries(
    tryRead(`${directory}/blkio.throttle.${name}_recursive`) ?? tryRead(`${directory}/blkio.throttle.${name}`),
  );
}

function cpu(cpuacct: string | undefined, directory: string | undefined): CgroupStats["cpu"] {
  const throttling = directory ? readFlatKeyed(`${directory}/cpu.stat`) : {};
  const perCpu = cpuacct ? (tryRead(`${cpuacct}/cpuacct.usage_percpu`) ?? "") : "";
  return {
    usageNs: cpuacct ? readNumber(`${cpuacct}/cpuacct.usage`) : 0,
    userNs: cpuacct ? readNumber(`${cpuacct}/cpuacct.usage_user`) : 0,
    systemNs: cpuacct ? readNumber(`${cpuacct}/cpuacct.usage_sys`) : 0,
    perCpuNs: perCpu.trim().split(" ").filter(Boolean).map(Number),
    periods: throttling.nr_periods ?? 0,
    throttledPeriods: throttling.nr_throttled ?? 0,
    throttledNs: throttling.throttled_time ?? 0,
  };
}

function memory(directory: string | undefined): CgroupStats["memory"] {
  if (!directory) return { usage: 0, maxUsage: 0, limit: 0, failcnt: 0, stats: {}, oomKills: 0 };
  return {
    usage: readNumber(`${directory}/memory.usage_in_bytes`),
    maxUsage: readNumber(`${directory}/memory.max_usage_in_bytes`),
    limit: readNumber(`${directory}/memory.limit_in_bytes`),
    failcnt: readNumber(`${directory}/memory.failcnt`),
    stats: readFlatKeyed(`${directory}/memory.stat`),
    oomKills: readFlatKeyed(`${directory}/memory.oom_control`).oom_kill ?? 0,
  };
}

/** Reads a container's v1 cgroups, given its directory per controller; what has none counts as zero. */
export function statsV1(directories: ReadonlyMap<string, string>): CgroupStats {
  const pids = directories.get("pids");
  return {
    readAt: new Date().toISOString(),
    cpu: cpu(directories.get("cpuacct"), directories.get("cpu")),
    memory: memory(directories.get("memory")),
    pids: {
      current: pids ? readNumber(`${pids}/pids.current`) : 0,
      limit: pids ? readNumber(`${pids}/pids.max`, 0, 0) : 0,
    },
    blkio: {
      serviceBytes: blkio(directories.get("blkio"), "io_service_bytes"),
      serviced: blkio(directories.get("blkio"), "io_serviced"),
    },
  };
}
