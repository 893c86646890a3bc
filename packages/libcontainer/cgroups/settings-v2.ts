import { invalidParameter, type LinuxResources, systemError } from "@gantry/spec";
import { isErrno } from "@gantry/sys";
import { cpuWeight, ioWeight, swapOnly } from "./convert.ts";
import { readNumber, refused, tryRead, writeLines, writeValue } from "./file.ts";
import { hugepageSize, rdmaLines } from "./settings-v1.ts";

const DEFAULT_PERIOD = 100_000;

function set(file: string, value: string): void {
  try {
    writeValue(file, value);
  } catch (error) {
    throw refused(file, value, error);
  }
}

/** -1 is v1's way to say no limit. */
const orMax = (value: number) => (value === -1 ? "max" : String(value));

function setMemory(directory: string, memory: NonNullable<LinuxResources["memory"]>): void {
  const limit = memory.limit ?? 0;
  if (memory.checkBeforeUpdate && limit > 0 && limit < readNumber(`${directory}/memory.current`))
    throw invalidParameter("new memory limit is below the current memory usage");
  const swap = swapOnly(memory.swap ?? 0, limit);
  if (swap !== undefined) {
    try {
      writeValue(`${directory}/memory.swap.max`, orMax(swap));
    } catch (error) {
      // Without swap in the kernel there is nothing to be limited.
      if (!isErrno(error, "ENOENT") || swap > 0) throw refused(`${directory}/memory.swap.max`, orMax(swap), error);
    }
  }
  if (limit !== 0) set(`${directory}/memory.max`, orMax(limit));
  if (memory.reservation) set(`${directory}/memory.low`, orMax(memory.reservation));
}

function setCpu(directory: string, cpu: NonNullable<LinuxResources["cpu"]>): void {
  if (cpu.idle !== undefined) set(`${directory}/cpu.idle`, String(cpu.idle));
  if (cpu.shares && !cpu.idle) set(`${directory}/cpu.weight`, String(cpuWeight(cpu.shares)));
  const limits = cpu.quota || cpu.period;
  let burst = cpu.burst;
  if (burst !== undefined) {
    try {
      writeValue(`${directory}/cpu.max.burst`, String(burst));
      burst = undefined;
    } catch (error) {
      // It may only be too much for the old quota.
      if (!isErrno(error, "EINVAL") || !limits) throw refused(`${directory}/cpu.max.burst`, String(burst), error);
    }
  }
  if (limits) {
    const quota = cpu.quota && cpu.quota > 0 ? String(cpu.quota) : cpu.quota ? "max" : currentQuota(directory);
    set(`${directory}/cpu.max`, `${quota} ${cpu.period || DEFAULT_PERIOD}`);
  }
  if (burst !== undefined) set(`${directory}/cpu.max.burst`, String(burst));
}

const currentQuota = (directory: string) => tryRead(`${directory}/cpu.max`)?.split(" ")[0]?.trim() || "max";

function setIo(directory: string, io: NonNullable<LinuxResources["blockIO"]>): void {
  const bfq = (io.weight || io.weightDevice?.length) && tryRead(`${directory}/io.bfq.weight`) !== null;
  if (io.weight)
    set(`${directory}/${bfq ? "io.bfq.weight" : "io.weight"}`, String(bfq ? io.weight : ioWeight(io.weight)));
  for (const { major, minor, weight } of io.weightDevice ?? [])
    if (weight !== undefined)
      set(
        `${directory}/${bfq ? "io.bfq.weight" : "io.weight"}`,
        // 0 lifts a device's own weight.
        `${major}:${minor} ${weight === 0 ? "default" : bfq ? weight : ioWeight(weight)}`,
      );
  const throttles = {
    rbps: io.throttleReadBpsDevice,
    wbps: io.throttleWriteBpsDevice,
    riops: io.throttleReadIOPSDevice,
    wiops: io.throttleWriteIOPSDevice,
  };
  // 0 lifts a limit on v1.
  for (const [name, devices] of Object.entries(throttles))
    for (const { major, minor, rate } of devices ?? [])
      set(`${directory}/io.max`, `${major}:${minor} ${name}=${rate || "max"}`);
}

/** Files written verbatim: lines one by one, as io.max and its like take them. */
function setUnified(directory: string, unified: Record<string, string>, controllers: ReadonlySet<string>): void {
  for (const [name, value] of Object.entries(unified)) {
    if (name.includes("/") || name.includes("\0") || !name.includes("."))
      throw invalidParameter(`unified resource ${JSON.stringify(name)} must be a file name (no slashes)`);
    const file = `${directory}/${name}`;
    try {
      writeLines(
        file,
        value.split("\n").filter((line) => line !== ""),
      );
    } catch (error) {
      const controller = name.slice(0, name.indexOf("."));
      if (isErrno(error, "ENOENT", "EACCES", "EPERM") && controller !== "cgroup" && !controllers.has(controller))
        throw systemError(
          `unified resource ${JSON.stringify(name)} can't be set: controller ${JSON.stringify(controller)} not available`,
          error,
        );
      throw refused(file, value, error);
    }
  }
}

/**
 * Writes limits, all but the devices', to a v2 cgroup. What v2 has no notion of (realtime, swappiness, kernel memory,
 * the OOM killer's switch, leaf weights, net_cls and net_prio) is passed over, as by runc.
 */
export function applyV2(directory: string, resources: LinuxResources, controllers: ReadonlySet<string>): void {
  const { memory, cpu, pids } = resources;
  if (memory) setMemory(directory, memory);
  if (cpu) setCpu(directory, cpu);
  if (cpu?.cpus) set(`${directory}/cpuset.cpus`, cpu.cpus);
  if (cpu?.mems) set(`${directory}/cpuset.mems`, cpu.mems);
  if (pids?.limit) set(`${directory}/pids.max`, pids.limit > 0 ? String(pids.limit) : "max");
  if (resources.blockIO) setIo(directory, resources.blockIO);
  for (const { pageSize, limit } of resources.hugepageLimits ?? []) {
    const stem = `${directory}/hugetlb.${hugepageSize(pageSize)}`;
    set(`${stem}.max`, String(limit));
    if (tryRead(`${stem}.rsvd.max`) !== null) set(`${stem}.rsvd.max`, String(limit));
  }
  for (const line of rdmaLines(resources.rdma ?? {})) set(`${directory}/rdma.max`, line);
  if (resources.unified) setUnified(directory, resources.unified, controllers);
}
