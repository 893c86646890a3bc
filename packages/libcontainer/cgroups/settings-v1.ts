import { invalidParameter, type LinuxBlockIo, type LinuxResources, systemError } from "@gantry/spec";
import { isErrno } from "@gantry/sys";
import { readNumber, refused, tryRead, writeLines, writeValue } from "./file.ts";

/** The directory of a cgroup in the hierarchy of a controller; throws where there is no such hierarchy. */
type DirectoryOf = (controller: string) => string;

function set(file: string, value: string): void {
  try {
    writeValue(file, value);
  } catch (error) {
    throw refused(file, value, error);
  }
}

function setLines(file: string, lines: string[]): void {
  try {
    writeLines(file, lines);
  } catch (error) {
    throw refused(file, lines.join("; "), error);
  }
}

/** Which controllers a set of resources has something to say to. */
export function neededControllers(resources: LinuxResources): Set<string> {
  const needed = new Set<string>();
  const { memory, cpu, pids, blockIO, network } = resources;
  const any = (part: object | undefined, keys: string[]) =>
    keys.some((key) => (part as Record<string, unknown> | undefined)?.[key] !== undefined);
  if (any(memory, ["limit", "reservation", "swap", "swappiness", "disableOOMKiller"])) needed.add("memory");
  if (any(cpu, ["shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "idle"])) needed.add("cpu");
  if (cpu?.cpus || cpu?.mems) needed.add("cpuset");
  if (pids) needed.add("pids");
  if (blockIO && Object.values(blockIO).some((part) => (Array.isArray(part) ? part.length : part))) needed.add("blkio");
  if (resources.hugepageLimits?.length) needed.add("hugetlb");
  if (network?.classID) needed.add("net_cls");
  if (network?.priorities?.length) needed.add("net_prio");
  if (resources.rdma && Object.keys(resources.rdma).length) needed.add("rdma");
  return needed;
}

function setMemoryLimit(directory: string, limit: number): void {
  const file = `${directory}/memory.limit_in_bytes`;
  try {
    writeValue(file, String(limit));
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw refused(file, String(limit), error);
    const usage = readNumber(`${directory}/memory.usage_in_bytes`);
    const peak = readNumber(`${directory}/memory.max_usage_in_bytes`);
    throw systemError(`unable to set memory limit to ${limit} (current usage: ${usage}, peak usage: ${peak})`, error);
  }
}

function setMemory(directory: string, memory: NonNullable<LinuxResources["memory"]>): void {
  const swapFile = `${directory}/memory.memsw.limit_in_bytes`;
  const limit = memory.limit ?? 0;
  let swap = memory.swap ?? 0;
  if (limit === -1 && swap === 0 && tryRead(swapFile) !== null) swap = -1;
  // Of the two limits memory's must never be the greater, so that the one which makes room goes first.
  const swapFirst =
    limit !== 0 && swap !== 0 && (swap === -1 || readNumber(`${directory}/memory.limit_in_bytes`) < swap);
  if (swapFirst) set(swapFile, String(swap));
  if (limit !== 0) setMemoryLimit(directory, limit);
  if (swap !== 0 && !swapFirst) set(swapFile, String(swap));
  // kernel and kernelTCP are gone from current kernels, and ignored by runc too.
  if (memory.reservation) set(`${directory}/memory.soft_limit_in_bytes`, String(memory.reservation));
  if (memory.disableOOMKiller) set(`${directory}/memory.oom_control`, "1");
  if (memory.swappiness !== undefined && memory.swappiness !== -1) {
    if (memory.swappiness < 0 || memory.swappiness > 100)
      throw invalidParameter(`invalid memory swappiness value: ${memory.swappiness} (valid range is 0-100)`);
    set(`${directory}/memory.swappiness`, String(memory.swappiness));
  }
}

function setCpu(directory: string, cpu: NonNullable<LinuxResources["cpu"]>): void {
  if (cpu.idle !== undefined) set(`${directory}/cpu.idle`, String(cpu.idle));
  if (cpu.shares) {
    const file = `${directory}/cpu.shares`;
    set(file, String(cpu.shares));
    // The kernel takes any number and cuts it to its bounds.
    const got = readNumber(file, cpu.shares);
    if (cpu.shares > got) throw invalidParameter(`the maximum allowed cpu-shares is ${got}`);
    if (cpu.shares < got) throw invalidParameter(`the minimum allowed cpu-shares is ${got}`);
  }
  if (cpu.realtimePeriod) set(`${directory}/cpu.rt_period_us`, String(cpu.realtimePeriod));
  if (cpu.realtimeRuntime) set(`${directory}/cpu.rt_runtime_us`, String(cpu.realtimeRuntime));
  const knobs: [string, number][] = [];
  if (cpu.burst !== undefined) knobs.push(["cpu.cfs_burst_us", cpu.burst]);
  if (cpu.period) knobs.push(["cpu.cfs_period_us", cpu.period]);
  if (cpu.quota) knobs.push(["cpu.cfs_quota_us", cpu.quota]);
  setInAnyOrder(directory, knobs);
}

/** Each of these is checked against the current values of the others: what is refused is tried again after them. */
function setInAnyOrder(directory: string, knobs: [string, number][]): void {
  const again: [string, number][] = [];
  for (const [name, value] of knobs) {
    try {
      writeValue(`${directory}/${name}`, String(value));
    } catch (error) {
      if (!isErrno(error, "EINVAL") || knobs.length === 1) throw refused(`${directory}/${name}`, String(value), error);
      again.push([name, value]);
    }
  }
  if (again.length === 0) return;
  if (again.length === knobs.length) {
    const [name, value] = again[0]!;
    throw refused(`${directory}/${name}`, String(value), new Error("invalid argument"));
  }
  setInAnyOrder(directory, again);
}

function setBlockIo(directory: string, io: LinuxBlockIo): void {
  // CFQ's files went with Linux 5.0; BFQ has its own.
  const plain = io.weight || io.weightDevice?.length ? tryRead(`${directory}/blkio.weight`) !== null : true;
  const weight = plain ? "blkio.weight" : "blkio.bfq.weight";
  if (io.weight) set(`${directory}/${weight}`, String(io.weight));
  if (io.leafWeight) set(`${directory}/blkio.leaf_weight`, String(io.leafWeight));
  for (const { major, minor, weight: own, leafWeight } of io.weightDevice ?? []) {
    // 0 lifts a device's own weight; BFQ has a word for it.
    const text = own === 0 && !plain ? "default" : own;
    if (text !== undefined) set(`${directory}/${weight}_device`, `${major}:${minor} ${text}`);
    if (leafWeight) set(`${directory}/blkio.leaf_weight_device`, `${major}:${minor} ${leafWeight}`);
  }
  const throttles = {
    read_bps: io.throttleReadBpsDevice,
    write_bps: io.throttleWriteBpsDevice,
    read_iops: io.throttleReadIOPSDevice,
    write_iops: io.throttleWriteIOPSDevice,
  };
  for (const [name, devices] of Object.entries(throttles))
    if (devices?.length)
      setLines(
        `${directory}/blkio.throttle.${name}_device`,
        devices.map((one) => `${one.major}:${one.minor} ${one.rate}`),
      );
}

/** A page size as the kernel's file names have it ("2MB"); nothing else may get into a path. */
export function hugepageSize(size: string): string {
  if (!/^[1-9][0-9]*[KMG]B$/.test(size)) throw invalidParameter(`invalid huge page size ${JSON.stringify(size)}`);
  return size;
}

/** Lines for rdma.max. */
export function rdmaLines(rdma: NonNullable<LinuxResources["rdma"]>): string[] {
  return Object.entries(rdma).map(([device, limit]) => {
    if (!/^[\w.-]+$/.test(device)) throw invalidParameter(`invalid rdma device ${JSON.stringify(device)}`);
    const parts = [device];
    if (limit.hcaHandles !== undefined) parts.push(`hca_handle=${limit.hcaHandles}`);
    if (limit.hcaObjects !== undefined) parts.push(`hca_object=${limit.hcaObjects}`);
    return parts.join(" ");
  });
}

/** Writes limits, all but the devices', to the v1 cgroup of each controller they concern. */
export function applyV1(directoryOf: DirectoryOf, resources: LinuxResources): void {
  if (resources.unified && Object.keys(resources.unified).length)
    throw invalidParameter("invalid configuration: cannot use unified on cgroup v1");
  const needed = neededControllers(resources);
  const { cpu, pids } = resources;
  if (needed.has("memory")) setMemory(directoryOf("memory"), resources.memory!);
  if (needed.has("cpu")) setCpu(directoryOf("cpu"), cpu!);
  if (cpu?.cpus) set(`${directoryOf("cpuset")}/cpuset.cpus`, cpu.cpus);
  if (cpu?.mems) set(`${directoryOf("cpuset")}/cpuset.mems`, cpu.mems);
  if (pids?.limit) set(`${directoryOf("pids")}/pids.max`, pids.limit > 0 ? String(pids.limit) : "max");
  if (needed.has("blkio")) setBlockIo(directoryOf("blkio"), resources.blockIO!);
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const stem = `${directoryOf("hugetlb")}/hugetlb.${hugepageSize(pageSize)}`;
    set(`${stem}.limit_in_bytes`, String(limit));
    // Without the limit of reservations a program is killed at its page fault instead of refused its mmap.
    if (tryRead(`${stem}.rsvd.limit_in_bytes`) !== null) set(`${stem}.rsvd.limit_in_bytes`, String(limit));
  }
  if (resources.network?.classID) set(`${directoryOf("net_cls")}/net_cls.classid`, String(resources.network.classID));
  if (needed.has("net_prio"))
    setLines(
      `${directoryOf("net_prio")}/net_prio.ifpriomap`,
      resources.network!.priorities!.map((one) => `${one.name} ${one.priority}`),
    );
  if (needed.has("rdma")) setLines(`${directoryOf("rdma")}/rdma.max`, rdmaLines(resources.rdma!));
}
