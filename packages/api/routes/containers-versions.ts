import { ENDPOINT_SYSCTLS, interfaceSysctl } from "@gantry/engine";
import { type ContainerCreateRequest, type ContainerSummary, invalidParameter } from "@gantry/spec";

/** What older API versions expect in a list entry of containers: up to 1.51, no health. */
export function summaryFor(summary: ContainerSummary, api: number): ContainerSummary {
  if (api >= 52) return summary;
  const { Health: _, ...old } = summary;
  return old;
}

/**
 * A create request of any version as the newest: below 1.48 sysctls of eth0 were the container's, now they are its first
 * endpoint's. Returns what the client is to be told of fields it should not use any more.
 */
export function modernise(request: ContainerCreateRequest, api: number): string[] {
  const warnings: string[] = [];
  if (api >= 44 && request.MacAddress) {
    warnings.push(
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.",
    );
  }
  if (api < 48) moveSysctls(request, warnings);
  return warnings;
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
