import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type HostConfig, invalidParameter } from "@gantry/spec";

const MIN_MEMORY = 6 << 20;

/** Checks limits that can also be updated. */
export function validateResources(host: HostConfig, warnings: string[], updating = false): void {
  const memory = host.Memory ?? 0;
  const swap = host.MemorySwap ?? 0;
  const reservation = host.MemoryReservation ?? 0;
  if (memory !== 0 && memory < MIN_MEMORY) throw invalidParameter("Minimum memory limit allowed is 6MB");
  if (memory > 0 && swap > 0 && swap < memory) {
    throw invalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (memory === 0 && swap > 0 && !updating) {
    throw invalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  const swappiness = host.MemorySwappiness ?? -1;
  if (swappiness < -1 || swappiness > 100) {
    throw invalidParameter(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (reservation > 0 && reservation < MIN_MEMORY) throw invalidParameter("Minimum memory reservation allowed is 6MB");
  if (memory > 0 && reservation > memory) {
    throw invalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  const nano = host.NanoCpus ?? 0;
  if (nano > 0 && (host.CpuPeriod ?? 0) > 0) {
    throw invalidParameter("Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (nano > 0 && (host.CpuQuota ?? 0) > 0) {
    throw invalidParameter("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  }
  const cpus = availableParallelism();
  if (nano < 0 || nano > cpus * 1e9) {
    throw invalidParameter(`range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`);
  }
  const period = host.CpuPeriod ?? 0;
  if (period !== 0 && (period < 1000 || period > 1_000_000)) {
    throw invalidParameter("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  }
  const quota = host.CpuQuota ?? 0;
  if (quota > 0 && quota < 1000) throw invalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)");
  if ((host.CpuShares ?? 0) < 0)
    throw invalidParameter(`invalid CPU shares (${host.CpuShares}): value must be a positive integer`);
  for (const [field, what, all] of [
    ["CpusetCpus", "CPUs", `0-${cpus - 1}`],
    ["CpusetMems", "memory nodes", memoryNodes()],
  ] as const) {
    const text = host[field] ?? "";
    if (text === "") continue;
    const asked = parseCpuset(text);
    if (asked === null)
      throw invalidParameter(
        `Invalid value ${text} for ${field === "CpusetCpus" ? "cpuset cpus" : "cpuset mems"}: invalid format: ${text}`,
      );
    const there = new Set(parseCpuset(all) ?? []);
    if (asked.some((one) => !there.has(one))) {
      throw invalidParameter(`Requested ${what} are not available - requested ${text}, available: ${all}`);
    }
  }
  for (const [field, what] of [
    ["IOMaximumIOps", "IOPs"],
    ["IOMaximumBandwidth", "bandwidth"],
  ] as const) {
    if (host[field])
      throw invalidParameter(`invalid option: QoS maximum ${what} configuration is not supported on linux`);
  }
  if ((host.CpuPercent ?? 0) > 0) {
    warnings.push("linux does not support CPU percent. Percent discarded.");
    host.CpuPercent = 0;
  }
  const weight = host.BlkioWeight ?? 0;
  if (weight !== 0 && !blkioWeightSupported()) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    host.BlkioWeight = 0;
  } else if (weight !== 0 && (weight < 10 || weight > 1000))
    throw invalidParameter("Range of blkio weight is from 10 to 1000");
  if ((host.BlkioWeightDevice?.length ?? 0) > 0 && !exists("blkio/blkio.weight_device", "cgroup.controllers")) {
    warnings.push(
      "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.",
    );
    host.BlkioWeightDevice = [];
  }
  for (const { Path, Weight } of host.BlkioWeightDevice ?? []) {
    if (Weight && (Weight < 10 || Weight > 1000)) {
      throw invalidParameter(`invalid weight for device: ${Path}:${Weight}`);
    }
  }
  // Clients before API 1.42 may still ask for it; the kernel has long forgotten it.
  const kernel = host.KernelMemory ?? 0;
  if (kernel > 0 && kernel < MIN_MEMORY) throw invalidParameter("Minimum kernel memory limit allowed is 6MB");
  if (host.OomKillDisable === true && memory === 0) {
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  }
}

const blkioWeightSupported = () => exists("blkio/blkio.weight", "blkio/blkio.bfq.weight", "cgroup.controllers");

const exists = (...files: string[]) => files.some((file) => existsSync(`/sys/fs/cgroup/${file}`));

/** The NUMA nodes that have memory, as the kernel lists them. */
function memoryNodes(): string {
  try {
    return readFileSync("/sys/devices/system/node/has_memory", "utf8").trim() || "0";
  } catch {
    return "0";
  }
}

/** "0-2,4" as numbers; null where malformed. */
export function parseCpuset(text: string): number[] | null {
  const result: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (match === null) return null;
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    if (to < from || to > 8191) return null;
    for (let cpu = from; cpu <= to; cpu++) result.push(cpu);
  }
  return result;
}
