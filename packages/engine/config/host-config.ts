import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type ContainerConfig, type HostConfig, invalidParameter, type RestartPolicy } from "@gantry/spec";
import { normaliseCapability } from "./capabilities.ts";
import type { EngineConfig } from "./engine-config.ts";
import { parsePortSpec } from "./ports.ts";

const MIN_MEMORY = 6 << 20;

/** Paths that containers without privileges do not see, and those they see but cannot write (Docker's lists). */
export const MASKED_PATHS = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
export const READONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/** Fills in what Docker shows in inspect though nobody asked for it. */
export function defaultHostConfig(host: HostConfig, engine: EngineConfig, cgroupV2: boolean): void {
  host.NetworkMode =
    host.NetworkMode === undefined ||
    host.NetworkMode === "" ||
    host.NetworkMode === "default" ||
    host.NetworkMode === null
      ? "bridge"
      : host.NetworkMode;
  host.IpcMode ||= engine.defaultIpcMode;
  host.CgroupnsMode ||= engine.defaultCgroupnsMode || (cgroupV2 && host.Privileged !== true ? "private" : "host");
  host.ShmSize ||= engine.defaultShmSize;
  host.Runtime ||= engine.defaultRuntime;
  host.RestartPolicy = {
    Name: host.RestartPolicy?.Name || "no",
    MaximumRetryCount: host.RestartPolicy?.MaximumRetryCount ?? 0,
  };
  const log = host.LogConfig;
  if (!log?.Type) {
    const wanted = log?.Config ?? {};
    host.LogConfig = { Type: engine.logDriver, Config: { ...engine.logOpts, ...wanted } };
  } else if (log.Type === engine.logDriver) {
    host.LogConfig = { Type: log.Type, Config: { ...engine.logOpts, ...log.Config } };
  } else host.LogConfig = { Type: log.Type, Config: log.Config ?? {} };
  if (host.Privileged === true) {
    host.MaskedPaths ??= null;
    host.ReadonlyPaths ??= null;
  } else {
    host.MaskedPaths ??= MASKED_PATHS;
    host.ReadonlyPaths ??= READONLY_PATHS;
  }
  // Docker takes --memory alone to mean as much swap again.
  if ((host.Memory ?? 0) > 0 && (host.MemorySwap ?? 0) === 0) host.MemorySwap = (host.Memory as number) * 2;
  if (host.MemorySwappiness === -1) host.MemorySwappiness = null;
  if (host.OomKillDisable === undefined) host.OomKillDisable = null;
  if (host.PidsLimit !== null && host.PidsLimit !== undefined && host.PidsLimit <= 0) host.PidsLimit = null;
}

/** Refuses what Docker refuses. Returns warnings for the client. */
export function validateHostConfig(host: HostConfig, config: ContainerConfig, engine: EngineConfig): string[] {
  const warnings: string[] = [];
  const policy = host.RestartPolicy?.Name ?? "";
  if (host.AutoRemove === true && policy !== "" && policy !== "no") {
    throw invalidParameter("can't create 'AutoRemove' container with restart policy");
  }
  validateRestartPolicy(host.RestartPolicy ?? {});
  for (const entry of host.ExtraHosts ?? []) {
    const at = entry.search(/[:=]/);
    if (at <= 0 || at === entry.length - 1) throw invalidParameter(`bad format for add-host: "${entry}"`);
    const ip = entry.slice(at + 1).replace(/^\[(.*)\]$/, "$1");
    if (ip !== "host-gateway" && !isIp(ip)) throw invalidParameter(`invalid IP address in add-host: "${ip}"`);
  }
  validatePortBindings(host.PortBindings ?? {});
  for (const field of ["CapAdd", "CapDrop"] as const) {
    for (const name of host[field] ?? []) {
      if (normaliseCapability(name) === null) {
        throw invalidParameter(`invalid ${field}: unknown capability: "${name.toUpperCase()}"`);
      }
    }
  }
  if (host.Isolation && host.Isolation !== "default") {
    throw invalidParameter(`invalid isolation '${host.Isolation}' on linux`);
  }
  for (const key of Object.keys(host.Annotations ?? {})) {
    if (key === "")
      throw invalidParameter("invalid Annotations: the empty string is not permitted as an annotation key");
  }
  if ((host.ConsoleSize?.length ?? 2) !== 2) throw invalidParameter("invalid ConsoleSize: it has two numbers");
  validateResources(host, warnings);
  validateModes(host, config);
  const oom = host.OomScoreAdj ?? 0;
  if (oom < -1000 || oom > 1000)
    throw invalidParameter(`Invalid value ${oom}, range for oom score adj is [-1000, 1000]`);
  if ((host.ShmSize ?? 0) < 0) throw invalidParameter("SHM size can not be less than 0");
  const runtime = host.Runtime ?? "";
  if (runtime !== "" && !knownRuntime(runtime, engine)) {
    throw invalidParameter(`unknown or invalid runtime name: ${runtime}`);
  }
  if (host.NetworkMode === "host" && Object.keys(host.PortBindings ?? {}).length > 0) {
    warnings.push("Published ports are discarded when using host network mode");
  }
  for (const option of host.SecurityOpt ?? []) validateSecurityOption(option);
  for (const name of Object.keys(host.Sysctls ?? {})) validateSysctl(name, host);
  for (const limit of host.Ulimits ?? []) {
    if (
      !/^(core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)$/.test(
        limit.Name ?? "",
      )
    ) {
      throw invalidParameter(`invalid ulimit type: ${limit.Name ?? ""}`);
    }
    if ((limit.Soft ?? 0) > (limit.Hard ?? 0) && limit.Hard !== -1) {
      throw invalidParameter(
        `ulimit soft limit must be less than or equal to hard limit: ${limit.Soft} > ${limit.Hard}`,
      );
    }
  }
  for (const destination of Object.keys(host.Tmpfs ?? {})) {
    if (!destination.startsWith("/")) {
      throw invalidParameter(`invalid mount path: '${destination}' mount path must be absolute`);
    }
  }
  if ((host.DeviceRequests?.length ?? 0) > 0) {
    const request = host.DeviceRequests?.[0];
    throw invalidParameter(
      `could not select device driver "${request?.Driver ?? ""}" with capabilities: ${JSON.stringify(
        request?.Capabilities ?? [],
      )
        .replaceAll(",", " ")
        .replaceAll('"', "")}`,
    );
  }
  return warnings;
}

/** Refuses bindings whose ports or addresses are none. */
export function validatePortBindings(ports: NonNullable<HostConfig["PortBindings"]>): void {
  for (const [port, bindings] of Object.entries(ports)) {
    parsePortSpec(port);
    for (const binding of bindings ?? []) {
      if (binding.HostPort && !/^\d{1,5}(-\d{1,5})?$/.test(binding.HostPort)) {
        throw invalidParameter(`invalid port specification: "${binding.HostPort}"`);
      }
      if (binding.HostPort) parsePortSpec(binding.HostPort);
      if (binding.HostIp && !isIp(binding.HostIp)) throw invalidParameter(`invalid IP address: ${binding.HostIp}`);
    }
  }
}

/** Whether containers may name this runtime: ours (by its name, and by the names of Docker's default), or a configured one. */
export function knownRuntime(name: string, engine: EngineConfig): boolean {
  return (
    name === "gantry" || name === "runc" || name === "io.containerd.runc.v2" || engine.runtimes[name] !== undefined
  );
}

export function validateRestartPolicy(policy: RestartPolicy): void {
  const name = policy.Name ?? "";
  const count = policy.MaximumRetryCount ?? 0;
  if (!["", "no", "always", "on-failure", "unless-stopped"].includes(name)) {
    throw invalidParameter(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  }
  if (count < 0) throw invalidParameter("invalid restart policy: maximum retry count cannot be negative");
  if (count !== 0 && name !== "on-failure") {
    throw invalidParameter(
      `invalid restart policy: maximum retry count can only be used with 'on-failure'${name === "" ? " and must be specified" : ""}`,
    );
  }
}

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
    ["CpusetCpus", "CPUs", cpus],
    ["CpusetMems", "memory nodes", 1024],
  ] as const) {
    const text = host[field] ?? "";
    if (text === "") continue;
    const asked = parseCpuset(text);
    if (asked === null)
      throw invalidParameter(
        `Invalid value ${text} for ${field === "CpusetCpus" ? "cpuset cpus" : "cpuset mems"}: invalid format: ${text}`,
      );
    if (asked.some((cpu) => cpu >= all)) {
      throw invalidParameter(`Requested ${what} are not available - requested ${text}, available: 0-${cpus - 1}`);
    }
  }
  const weight = host.BlkioWeight ?? 0;
  if (weight !== 0 && !blkioWeightSupported()) {
    warnings.push("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
    host.BlkioWeight = 0;
  } else if (weight !== 0 && (weight < 10 || weight > 1000))
    throw invalidParameter("Range of blkio weight is from 10 to 1000");
  if ((host.KernelMemory ?? 0) > 0) throw invalidParameter("kernel memory limit is not supported");
  if (host.OomKillDisable === true && memory === 0) {
    warnings.push(
      "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.",
    );
  }
}

function blkioWeightSupported(): boolean {
  return [
    "/sys/fs/cgroup/blkio/blkio.weight",
    "/sys/fs/cgroup/blkio/blkio.bfq.weight",
    "/sys/fs/cgroup/cgroup.controllers",
  ].some((path) => existsSync(path));
}

/** "0-2,4" as numbers; null where malformed. */
export function parseCpuset(text: string): number[] | null {
  const result: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return null;
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    if (to < from || to > 8191) return null;
    for (let cpu = from; cpu <= to; cpu++) result.push(cpu);
  }
  return result;
}

function validateModes(host: HostConfig, config: ContainerConfig): void {
  const mode = host.NetworkMode ?? "";
  if (mode.startsWith("container:")) {
    if (mode === "container:") throw invalidParameter("invalid container format container:<name|id>");
    if (config.Hostname) throw invalidParameter("conflicting options: hostname and the network mode");
    if ((host.Links?.length ?? 0) > 0) {
      throw invalidParameter(
        "conflicting options: container type network can't be used with links. This would result in undefined behavior",
      );
    }
    if ((host.Dns?.length ?? 0) > 0) throw invalidParameter("conflicting options: dns and the network mode");
    if ((host.ExtraHosts?.length ?? 0) > 0) {
      throw invalidParameter("conflicting options: custom host-to-IP mapping and the network mode");
    }
    if (Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts === true) {
      throw invalidParameter("conflicting options: port publishing and the container type network mode");
    }
    if (Object.keys(config.ExposedPorts ?? {}).length > 0) {
      throw invalidParameter("conflicting options: port exposing and the container type network mode");
    }
  }
  if (mode === "host" && (host.Links?.length ?? 0) > 0) {
    throw invalidParameter(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  }
  if (host.UTSMode && host.UTSMode !== "host") throw invalidParameter(`invalid UTS mode: ${host.UTSMode}`);
  if (host.UTSMode === "host" && config.Hostname)
    throw invalidParameter("conflicting options: hostname and the UTS mode");
  const ipc = host.IpcMode ?? "";
  if (!["", "none", "private", "shareable", "host"].includes(ipc) && !/^container:.+/.test(ipc)) {
    throw invalidParameter(`invalid IPC mode: ${ipc}`);
  }
  const pid = host.PidMode ?? "";
  if (pid !== "" && pid !== "host" && !/^container:.+/.test(pid)) throw invalidParameter(`invalid PID mode: ${pid}`);
  const cgroupns = host.CgroupnsMode ?? "";
  if (!["", "host", "private"].includes(cgroupns)) throw invalidParameter(`invalid cgroup namespace mode: ${cgroupns}`);
  const userns = host.UsernsMode ?? "";
  if (userns !== "" && userns !== "host") throw invalidParameter(`invalid userns mode: ${userns}`);
  if (host.Cgroup) throw invalidParameter(`invalid cgroup specification: ${host.Cgroup}`);
}

function validateSecurityOption(option: string): void {
  if (option === "no-new-privileges" || option === "disable" || option === "writable-cgroups") return;
  const at = option.search(/[:=]/);
  if (at < 0) throw invalidParameter(`invalid --security-opt 1: "${option}"`);
  const key = option.slice(0, at);
  const value = option.slice(at + 1);
  if (["label", "apparmor", "seccomp", "systempaths", "writable-cgroups"].includes(key)) {
    if (key === "seccomp" && value !== "unconfined" && value !== "builtin") {
      try {
        JSON.parse(value);
      } catch {
        throw invalidParameter(`Decoding seccomp profile failed: invalid JSON`);
      }
    }
    return;
  }
  if (key === "no-new-privileges") {
    if (!/^(true|false|1|0|t|f)$/i.test(value)) throw invalidParameter(`invalid --security-opt 2: "${option}"`);
    return;
  }
  throw invalidParameter(`invalid --security-opt 2: "${option}"`);
}

const IPC_SYSCTLS = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..*)$/;

function validateSysctl(name: string, host: HostConfig): void {
  if (name.includes("..") || name.includes("/")) throw invalidParameter(`invalid sysctl name '${name}'`);
  if (IPC_SYSCTLS.test(name)) {
    if (host.IpcMode === "host") throw invalidParameter(`sysctl '${name}' is not allowed in the host ipc namespace`);
    return;
  }
  if (name.startsWith("net.")) {
    if (host.NetworkMode === "host") {
      throw invalidParameter(`sysctl '${name}' is not allowed in the host network namespace`);
    }
    return;
  }
  if (name === "kernel.hostname" || name === "kernel.domainname") return;
  throw invalidParameter(`sysctl '${name}' is not allowed as it cannot be namespaced`);
}

const LOG_OPTIONS: Record<string, RegExp> = {
  "json-file": /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size|cache-.*)$/,
  local: /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size)$/,
  none: /^(mode|max-buffer-size|cache-.*)$/,
};

export function validateLogConfig(driver: string, options: Record<string, string>): void {
  if (driver === "") return;
  const known = LOG_OPTIONS[driver];
  if (known === undefined) {
    throw invalidParameter(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  for (const [key, value] of Object.entries(options)) {
    if (!known.test(key)) throw invalidParameter(`unknown log opt '${key}' for ${driver} log driver`);
    if (key === "max-size" && value !== "-1") parseLogSize(value);
    if (key === "max-file" && !(/^\d+$/.test(value) && Number(value) >= 1)) {
      throw invalidParameter("max-file cannot be less than 1");
    }
  }
  if (
    driver === "json-file" &&
    options["max-file"] !== undefined &&
    Number(options["max-file"]) > 1 &&
    options["max-size"] === undefined
  ) {
    return;
  }
}

/** "10m" in bytes; -1 for no limit. */
export function parseLogSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw invalidParameter(`invalid size: '${text}'`);
  const shift = " kmgt".indexOf((match[2] || " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** shift);
}

function isIp(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split(".").every((part) => Number(part) <= 255);
  return text.includes(":") && /^[0-9a-fA-F:.]+(%\w+)?$/.test(text);
}
