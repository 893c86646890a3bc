import { statSync } from "node:fs";
import {
  type HostConfig,
  invalidParameter,
  type LinuxBlockIo,
  type LinuxCpu,
  type LinuxDeviceCgroup,
  type LinuxMemory,
  type LinuxResources,
  type OciRlimit,
  splitDevice,
} from "@gantry/spec";
import type { EngineConfig } from "../config/engine-config.ts";

/** What every container may use: the harmless character devices and tun, as with Docker; nodes may be made, not opened. */
export const DEFAULT_DEVICE_RULES: LinuxDeviceCgroup[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...(
    [
      [1, 3],
      [1, 5],
      [1, 7],
      [1, 8],
      [1, 9],
      [5, 0],
      [5, 1],
      [5, 2],
      [10, 200],
    ] as const
  ).map(([major, minor]) => ({ allow: true, type: "c", major, minor, access: "rwm" })),
  { allow: true, type: "c", major: 136, access: "rwm" },
];

/** The limits of HostConfig as cgroup resources; only what was asked for is set. */
export function linuxResources(host: HostConfig): LinuxResources {
  const resources: LinuxResources = {};
  const memory: LinuxMemory = {};
  if (host.Memory) memory.limit = host.Memory;
  if (host.MemoryReservation) memory.reservation = host.MemoryReservation;
  if (host.MemorySwap) memory.swap = host.MemorySwap;
  if (host.MemorySwappiness !== null && host.MemorySwappiness !== undefined && host.MemorySwappiness >= 0) {
    memory.swappiness = host.MemorySwappiness;
  }
  if (host.OomKillDisable === true) memory.disableOOMKiller = true;
  if (host.KernelMemoryTCP) memory.kernelTCP = host.KernelMemoryTCP;
  if (Object.keys(memory).length > 0) resources.memory = memory;

  const cpu: LinuxCpu = {};
  if (host.CpuShares) cpu.shares = host.CpuShares;
  if (host.NanoCpus) {
    cpu.period = 100_000;
    cpu.quota = Math.round((host.NanoCpus * 100_000) / 1e9);
  }
  if (host.CpuPeriod) cpu.period = host.CpuPeriod;
  if (host.CpuQuota) cpu.quota = host.CpuQuota;
  if (host.CpuRealtimePeriod) cpu.realtimePeriod = host.CpuRealtimePeriod;
  if (host.CpuRealtimeRuntime) cpu.realtimeRuntime = host.CpuRealtimeRuntime;
  if (host.CpusetCpus) cpu.cpus = host.CpusetCpus;
  if (host.CpusetMems) cpu.mems = host.CpusetMems;
  if (Object.keys(cpu).length > 0) resources.cpu = cpu;

  if (host.PidsLimit !== null && host.PidsLimit !== undefined && host.PidsLimit !== 0) {
    resources.pids = { limit: host.PidsLimit };
  }
  const block = blockIo(host);
  if (Object.keys(block).length > 0) resources.blockIO = block;
  return resources;
}

function blockIo(host: HostConfig): LinuxBlockIo {
  const block: LinuxBlockIo = {};
  if (host.BlkioWeight) block.weight = host.BlkioWeight;
  if (host.BlkioWeightDevice?.length) {
    block.weightDevice = host.BlkioWeightDevice.map((entry) => ({
      ...device(entry.Path ?? ""),
      weight: entry.Weight ?? 0,
    }));
  }
  const throttle = (list: HostConfig["BlkioDeviceReadBps"]) =>
    (list ?? []).map((entry) => ({ ...device(entry.Path ?? ""), rate: entry.Rate ?? 0 }));
  if (host.BlkioDeviceReadBps?.length) block.throttleReadBpsDevice = throttle(host.BlkioDeviceReadBps);
  if (host.BlkioDeviceWriteBps?.length) block.throttleWriteBpsDevice = throttle(host.BlkioDeviceWriteBps);
  if (host.BlkioDeviceReadIOps?.length) block.throttleReadIOPSDevice = throttle(host.BlkioDeviceReadIOps);
  if (host.BlkioDeviceWriteIOps?.length) block.throttleWriteIOPSDevice = throttle(host.BlkioDeviceWriteIOps);
  return block;
}

function device(path: string): { major: number; minor: number } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw invalidParameter(`stat ${path}: no such file or directory`);
  return splitDevice(stat.rdev);
}

/** A rule such as "c 42:* rmw". Throws invalidParameter. */
export function parseDeviceRule(text: string): LinuxDeviceCgroup {
  const match = /^([acb]) ([0-9]{1,7}|\*):([0-9]{1,7}|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) throw invalidParameter(`invalid device cgroup rule format: '${text}'`);
  const rule: LinuxDeviceCgroup = { allow: true, type: match[1] as string, access: match[4] as string };
  if (match[2] !== "*") rule.major = Number(match[2]);
  if (match[3] !== "*") rule.minor = Number(match[3]);
  return rule;
}

/** The ulimits of the container, over those of the daemon. */
export function rlimits(host: HostConfig, engine: EngineConfig): OciRlimit[] {
  const byName = new Map<string, { soft: number; hard: number }>();
  for (const limit of [...Object.values(engine.defaultUlimits), ...(host.Ulimits ?? [])]) {
    byName.set((limit.Name ?? "").toLowerCase(), { soft: limit.Soft ?? 0, hard: limit.Hard ?? 0 });
  }
  return [...byName].map(([name, { soft, hard }]) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    // No number here is as large as the kernel's "no limit": the runtime knows -1 for it.
    soft: Math.max(soft, -1),
    hard: Math.max(hard, -1),
  }));
}
