import { ENDPOINT_SYSCTLS, interfaceSysctl } from "@gantry/engine";
import {
  type ContainerCreateRequest,
  type ContainerStats,
  type ContainerSummary,
  type HostConfig,
  invalidParameter,
  type Mount,
} from "@gantry/spec";

/** What older API versions expect in a list entry of containers: up to 1.51, no health. */
export function summaryFor(summary: ContainerSummary, api: number): ContainerSummary {
  if (api >= 52) return summary;
  const { Health: _, ...old } = summary;
  return old;
}

/** What older API versions expect of a sample: up to 1.51, no name of the system. */
export function statsFor(stats: ContainerStats, api: number): ContainerStats {
  if (api >= 52) return stats;
  const { os_type: _, ...old } = stats;
  return old;
}

/**
 * A create request of any version as the newest would say it: what the version did not have yet is left out or refused, and what it
 * took for granted is put in. Returns what the client is to be told of fields it should not use any more.
 */
export function modernise(request: ContainerCreateRequest, api: number): string[] {
  const warnings: string[] = [];
  const host = request.HostConfig;
  if (host) {
    if (api < 25) delete host.AutoRemove;
    if (api < 40) {
      // Another container could join the IPC of any.
      host.IpcMode ||= "shareable";
      delete host.KernelMemoryTCP;
    }
    if (api < 42) delete host.ConsoleSize;
    else delete host.KernelMemory;
    if (api < 43) delete host.Annotations;
    if (api >= 52) {
      delete host.KernelMemoryTCP;
      warnings.push(...fillBindings(host));
    }
    for (const mount of host.Mounts ?? []) moderniseMount(mount, api);
  }
  if (api < 44) {
    if (request.Healthcheck) delete request.Healthcheck.StartInterval;
    const networks = Object.keys(request.NetworkingConfig?.EndpointsConfig ?? {});
    if (networks.length > 1) {
      throw invalidParameter(
        `Container cannot be created with multiple network endpoints: ${networks.sort().join(", ")}`,
      );
    }
  } else if (api >= 52) {
    delete request.MacAddress;
  } else if (request.MacAddress) {
    checkMacAddress(request);
    warnings.push(
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    );
  }
  if (api < 48) moveSysctls(request, warnings);
  return warnings;
}

/** Puts the random port that an empty list of bindings stands for into words; Docker means to change what it stands for. */
function fillBindings(host: HostConfig): string[] {
  const all = host.PortBindings ?? {};
  const empty = Object.keys(all).filter((port) => !all[port]?.length);
  if (empty.length === 0) return [];
  for (const port of empty) all[port] = [{ HostIp: "", HostPort: "" }];
  const ports = empty
    .map((port) => (port.includes("/") ? port : `${port}/tcp`))
    .sort()
    .join(", ");
  return [
    `Following container port(s) have an empty list of port-bindings: ${ports}. Such bindings will be discarded in a future version.`,
  ];
}

function moderniseMount(mount: Mount, api: number): void {
  const bind = mount.BindOptions;
  if (api < 40 && bind) delete bind.NonRecursive;
  if (api < 42 && bind) delete bind.CreateMountpoint;
  if (api < 44 && mount.Type === "bind") {
    if (bind?.ReadOnlyForceRecursive) {
      throw invalidParameter("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer");
    }
    // What is mounted below a read-only mount could be written to.
    if (mount.ReadOnly === true) mount.BindOptions = { ...bind, ReadOnlyNonRecursive: true };
  }
  if (api < 45 && mount.VolumeOptions?.Subpath) {
    throw invalidParameter("VolumeOptions.Subpath needs API v1.45 or newer");
  }
  if (api < 48 && mount.Type === "image") throw invalidParameter('Mount type "Image" needs API v1.48 or newer');
}

function checkMacAddress({ MacAddress, HostConfig, NetworkingConfig }: ContainerCreateRequest): void {
  const mode = HostConfig?.NetworkMode || "default";
  const endpoints = NetworkingConfig?.EndpointsConfig ?? {};
  const main = endpoints[mode] ?? (mode === "default" ? endpoints["bridge"] : undefined);
  if (main?.MacAddress && main.MacAddress !== MacAddress) {
    throw invalidParameter(
      "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty",
    );
  }
}

function moveSysctls(request: ContainerCreateRequest, warnings: string[]): void {
  const host = request.HostConfig;
  const moved: string[] = [];
  const rest: Record<string, string> = {};
  for (const [name, value] of Object.entries(host?.Sysctls ?? {})) {
    const found = interfaceSysctl(name);
    if (found !== null && found.device !== "eth0") {
      throw invalidParameter(
        `unable to determine network endpoint for sysctl ${name}, use driver option '${ENDPOINT_SYSCTLS}' to set per-interface sysctls`,
      );
    }
    if (found === null) rest[name] = value;
    else {
      moved.push(`${found.general}=${value}`);
      warnings.push(
        `Migrated sysctl ${JSON.stringify(name)} to DriverOpts{"${ENDPOINT_SYSCTLS}":"${found.general}=${value}"}.`,
      );
    }
  }
  if (!host || moved.length === 0) return;
  const mode = host.NetworkMode || "default";
  const endpoints = { ...request.NetworkingConfig?.EndpointsConfig };
  const endpoint = endpoints[mode] ?? {};
  const all = [endpoint.DriverOpts?.[ENDPOINT_SYSCTLS], ...moved].filter(Boolean).join(",");
  endpoints[mode] = { ...endpoint, DriverOpts: { ...endpoint.DriverOpts, [ENDPOINT_SYSCTLS]: all } };
  request.NetworkingConfig = { ...request.NetworkingConfig, EndpointsConfig: endpoints };
  if (Object.keys(rest).length > 0) host.Sysctls = rest;
  else delete host.Sysctls;
}
