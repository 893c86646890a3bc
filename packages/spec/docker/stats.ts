import { type Static, Type } from "@sinclair/typebox";

const count = Type.Optional(Type.Number());

/** Throttling of the CPU quota; times in nanoseconds. */
export const ThrottlingData = Type.Object({
  periods: Type.Number(),
  throttled_periods: Type.Number(),
  throttled_time: Type.Number(),
});
export type ThrottlingData = Static<typeof ThrottlingData>;

/** CPU time in nanoseconds. */
export const CPUStats = Type.Object({
  cpu_usage: Type.Object({
    total_usage: Type.Number(),
    percpu_usage: Type.Optional(Type.Array(Type.Number())),
    usage_in_kernelmode: Type.Number(),
    usage_in_usermode: Type.Number(),
  }),
  system_cpu_usage: count,
  online_cpus: count,
  throttling_data: ThrottlingData,
});
export type CPUStats = Static<typeof CPUStats>;

/** Memory in bytes. */
export const MemoryStats = Type.Object({
  usage: count,
  max_usage: count,
  stats: Type.Optional(Type.Record(Type.String(), Type.Number())),
  failcnt: count,
  limit: count,
});
export type MemoryStats = Static<typeof MemoryStats>;

export const BlkioStatEntry = Type.Object({
  major: Type.Number(),
  minor: Type.Number(),
  op: Type.String(),
  value: Type.Number(),
});
export type BlkioStatEntry = Static<typeof BlkioStatEntry>;

const entries = Type.Union([Type.Array(BlkioStatEntry), Type.Null()]);

export const BlkioStats = Type.Object({
  io_service_bytes_recursive: entries,
  io_serviced_recursive: entries,
  io_queue_recursive: entries,
  io_service_time_recursive: entries,
  io_wait_time_recursive: entries,
  io_merged_recursive: entries,
  io_time_recursive: entries,
  sectors_recursive: entries,
});
export type BlkioStats = Static<typeof BlkioStats>;

export const NetworkStats = Type.Object({
  rx_bytes: Type.Number(),
  rx_packets: Type.Number(),
  rx_errors: Type.Number(),
  rx_dropped: Type.Number(),
  tx_bytes: Type.Number(),
  tx_packets: Type.Number(),
  tx_errors: Type.Number(),
  tx_dropped: Type.Number(),
});
export type NetworkStats = Static<typeof NetworkStats>;

/** One sample of GET /containers/{id}/stats. `precpu_stats` is the sample before, zero in the first. */
export const ContainerStats = Type.Object({
  name: Type.String(),
  id: Type.String(),
  read: Type.String(),
  preread: Type.String(),
  os_type: Type.Optional(Type.String()),
  pids_stats: Type.Object({ current: count, limit: count }),
  blkio_stats: BlkioStats,
  num_procs: Type.Number(),
  storage_stats: Type.Object({}),
  cpu_stats: CPUStats,
  precpu_stats: CPUStats,
  memory_stats: MemoryStats,
  networks: Type.Optional(Type.Record(Type.String(), NetworkStats)),
});
export type ContainerStats = Static<typeof ContainerStats>;
