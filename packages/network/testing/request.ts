import type { SandboxRequest } from "../contract.ts";

/** What the engine asks for a container with default options. */
export function request(containerId: string, more: Partial<SandboxRequest> = {}): SandboxRequest {
  return {
    containerId,
    containerName: containerId,
    hostname: containerId.slice(0, 12),
    domainname: "",
    networkMode: "bridge",
    endpoints: {},
    exposedPorts: [],
    portBindings: {},
    publishAll: false,
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    extraHosts: [],
    links: [],
    sysctls: {},
    ...more,
  };
}
