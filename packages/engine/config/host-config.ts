import { isIP } from "node:net";
import { posix } from "node:path";
import { MASKED_PATHS, READONLY_PATHS } from "@gantry/libcontainer";
import { type ContainerConfig, type HostConfig, invalidParameter, MAX_INT64, type RestartPolicy } from "@gantry/spec";
import { normaliseCapability } from "./capabilities.ts";
import type { EngineConfig } from "./engine-config.ts";
import { validateResources } from "./limits.ts";
import { validateModes, validateSecurityOption, validateSysctl } from "./modes.ts";
import { parsePortSpec } from "./ports.ts";

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
  if (host.Privileged === true || host.PidMode === "host" || host.IpcMode === "host") {
    const options = host.SecurityOpt ?? [];
    if (!options.some((option) => option.startsWith("label"))) host.SecurityOpt = [...options, "label=disable"];
  }
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
  } else {
    const cache = Object.entries(engine.logOpts).filter(([key]) => key.startsWith("cache-"));
    host.LogConfig = { Type: log.Type, Config: { ...Object.fromEntries(cache), ...log.Config } };
  }
  if (host.Privileged === true) {
    host.MaskedPaths ??= null;
    host.ReadonlyPaths ??= null;
  } else {
    host.MaskedPaths ??= MASKED_PATHS;
    host.ReadonlyPaths ??= READONLY_PATHS;
  }
  // Docker takes --memory alone to mean as much swap again.
  if ((host.Memory ?? 0) > 0 && (host.MemorySwap ?? 0) === 0) {
    host.MemorySwap = Math.min((host.Memory as number) * 2, MAX_INT64);
  }
  if (host.MemorySwappiness === -1) host.MemorySwappiness = null;
  host.OomKillDisable ??= cgroupV2 ? null : false;
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
    const at = entry.indexOf(":");
    if (at <= 0) throw invalidParameter(`bad format for add-host: "${entry}"`);
    const ip = entry.slice(at + 1);
    if (ip !== "host-gateway" && !isIp(ip)) throw invalidParameter(`invalid IP address in add-host: "${ip}"`);
  }
  validatePortBindings(host.PortBindings ?? {});
  for (const field of ["CapAdd", "CapDrop"] as const) {
    for (const name of host[field] ?? []) {
      if (normaliseCapability(name) === null) {
        throw invalidParameter(
          `invalid ${field}: unknown capability: "CAP_${name.toUpperCase().replace(/^CAP_/, "")}"`,
        );
      }
    }
  }
  if (host.Isolation && host.Isolation !== "default") {
    throw invalidParameter(`invalid isolation (${host.Isolation}): linux only supports 'default'`);
  }
  for (const key of Object.keys(host.Annotations ?? {})) {
    if (key === "")
      throw invalidParameter("invalid Annotations: the empty string is not permitted as an annotation key");
  }
  // A list of Go's with a length of its own: what is missing is 0, what is too much is dropped.
  if (host.ConsoleSize) host.ConsoleSize = [host.ConsoleSize[0] ?? 0, host.ConsoleSize[1] ?? 0];
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
        (limit.Name ?? "").toLowerCase(),
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
    if (posix.normalize(destination).replace(/\/+$/, "") === "") {
      throw invalidParameter("invalid specification: destination can't be '/'");
    }
  }
  for (const name of Object.keys(host.StorageOpt ?? {})) {
    // A quota is all that overlay2 knows, and no container's directory has one.
    throw invalidParameter(
      name.toLowerCase() === "size"
        ? "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
        : `Unknown option ${name}`,
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
    name === "gantry" || name === "runc" || name === "io.containerd.runc.v2" || Object.hasOwn(engine.runtimes, name)
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
  if (count !== 0 && name !== "on-failure") {
    const also = count < 0 ? " and cannot be negative" : "";
    throw invalidParameter(`invalid restart policy: maximum retry count can only be used with 'on-failure'${also}`);
  }
  if (count < 0) throw invalidParameter("invalid restart policy: maximum retry count cannot be negative");
}

const isIp = (text: string) => isIP(text) !== 0 && !text.includes("%");
