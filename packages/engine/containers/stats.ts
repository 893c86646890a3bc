import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { CgroupStats } from "@gantry/libcontainer";
import type { ContainerStats, CPUStats, MemoryStats } from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { ZERO_TIME } from "../time.ts";
import type { Container } from "./container.ts";

const EMPTY_CPU: CPUStats = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};
const EMPTY_BLKIO = {
  io_service_bytes_recursive: null,
  io_serviced_recursive: null,
  io_queue_recursive: null,
  io_service_time_recursive: null,
  io_wait_time_recursive: null,
  io_merged_recursive: null,
  io_time_recursive: null,
  sectors_recursive: null,
};

/** What a cgroup v1 without the old elevator's counters gives. */
const NO_BLKIO = Object.fromEntries(Object.keys(EMPTY_BLKIO).map((key) => [key, []])) as unknown as typeof EMPTY_BLKIO;

/** Nanoseconds all CPUs have worked since boot. */
function systemCpu(): number {
  const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.trim().split(/\s+/).slice(1, 9) ?? [];
  return fields.reduce((sum, field) => sum + Number(field), 0) * 10_000_000;
}

/** One sample; `previous` becomes its precpu. A container that does not run gives zeros. */
export async function sampleStats(
  engine: Engine,
  container: Container,
  previous: ContainerStats | null,
): Promise<ContainerStats> {
  const base = {
    name: `/${container.name}`,
    id: container.id,
    preread: previous?.read ?? ZERO_TIME,
    precpu_stats: previous?.cpu_stats ?? EMPTY_CPU,
    num_procs: 0,
    storage_stats: {},
    os_type: "linux",
  };
  const { task } = container;
  let reading: CgroupStats | null = null;
  if (task !== null && container.running) reading = await task.stats().catch(() => null);
  if (reading === null) {
    return {
      ...base,
      read: ZERO_TIME,
      pids_stats: {},
      blkio_stats: EMPTY_BLKIO,
      cpu_stats: EMPTY_CPU,
      memory_stats: {},
    };
  }
  const networks = await engine.network.stats(container.id).catch(() => ({}));
  return {
    ...base,
    read: reading.readAt,
    pids_stats: { current: reading.pids.current, ...(reading.pids.limit > 0 ? { limit: reading.pids.limit } : {}) },
    blkio_stats: {
      ...(engine.cgroupV2 ? EMPTY_BLKIO : NO_BLKIO),
      io_service_bytes_recursive: reading.blkio.serviceBytes,
      io_serviced_recursive: engine.cgroupV2 && reading.blkio.serviced.length === 0 ? null : reading.blkio.serviced,
    },
    cpu_stats: {
      cpu_usage: {
        total_usage: reading.cpu.usageNs,
        ...(reading.cpu.perCpuNs.length > 0 ? { percpu_usage: reading.cpu.perCpuNs } : {}),
        usage_in_kernelmode: reading.cpu.systemNs,
        usage_in_usermode: reading.cpu.userNs,
      },
      system_cpu_usage: systemCpu(),
      online_cpus: availableParallelism(),
      throttling_data: {
        periods: reading.cpu.periods,
        throttled_periods: reading.cpu.throttledPeriods,
        throttled_time: reading.cpu.throttledNs,
      },
    },
    memory_stats: memoryStats(reading),
    ...(Object.keys(networks).length > 0 ? { networks } : {}),
  };
}

let total = 0;

function memoryStats(reading: CgroupStats): MemoryStats {
  total ||= Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) * 1024;
  const { limit, usage, maxUsage, failcnt, stats } = reading.memory;
  return {
    usage,
    ...(maxUsage > 0 ? { max_usage: maxUsage } : {}),
    stats,
    ...(failcnt > 0 ? { failcnt } : {}),
    limit: limit > 0 && limit < total ? limit : total,
  };
}
