import type { BlkioEntry, CgroupStats } from "../contract.ts";
import { readFlatKeyed, readNumber, tryRead, UNLIMITED } from "./file.ts";

/** io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. The operations are named as Docker does on v2. */
function ioEntries(text: string | null): CgroupStats["blkio"] {
  const serviceBytes: BlkioEntry[] = [];
  const serviced: BlkioEntry[] = [];
  const kinds: Record<string, [BlkioEntry[], string]> = {
    rbytes: [serviceBytes, "read"],
    wbytes: [serviceBytes, "write"],
    rios: [serviced, "read"],
    wios: [serviced, "write"],
  };
  for (const line of text?.split("\n") ?? []) {
    const [device, ...pairs] = line.split(" ");
    const match = /^(\d+):(\d+)$/.exec(device ?? "");
    if (!match) continue;
    for (const pair of pairs) {
      const [key, value] = pair.split("=");
      const kind = Object.hasOwn(kinds, key!) ? kinds[key!]! : null;
      kind?.[0].push({ major: Number(match[1]), minor: Number(match[2]), op: kind[1], value: Number(value) });
    }
  }
  return { serviceBytes, serviced };
}

/** Reads a v2 cgroup. A file that its kernel or its controllers do not have counts as zero. */
export function statsV2(directory: string): CgroupStats {
  const cpu = readFlatKeyed(`${directory}/cpu.stat`);
  const events = readFlatKeyed(`${directory}/memory.events`);
  const usage = readNumber(`${directory}/memory.current`);
  return {
    readAt: new Date().toISOString(),
    cpu: {
      usageNs: (cpu.usage_usec ?? 0) * 1000,
      userNs: (cpu.user_usec ?? 0) * 1000,
      systemNs: (cpu.system_usec ?? 0) * 1000,
      perCpuNs: [],
      periods: cpu.nr_periods ?? 0,
      throttledPeriods: cpu.nr_throttled ?? 0,
      throttledNs: (cpu.throttled_usec ?? 0) * 1000,
    },
    memory: {
      usage,
      maxUsage: readNumber(`${directory}/memory.peak`),
      limit: readNumber(`${directory}/memory.max`, UNLIMITED),
      failcnt: events.oom ?? 0,
      stats: readFlatKeyed(`${directory}/memory.stat`),
      oomKills: events.oom_kill ?? 0,
    },
    pids: { current: readNumber(`${directory}/pids.current`), limit: readNumber(`${directory}/pids.max`, 0, 0) },
    blkio: ioEntries(tryRead(`${directory}/io.stat`)),
  };
}
