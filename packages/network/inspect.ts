import type { EndpointSettings, NetworkInspect, PortBinding } from "@gantry/spec";
import { bare, type Endpoint, type NetworkRecord, prefixLength, type Sandbox } from "./model.ts";

/** A network as Docker's inspect shows it. */
export function inspectNetwork(network: NetworkRecord, sandboxes: Iterable<Sandbox>): NetworkInspect {
  const containers: NetworkInspect["Containers"] = {};
  for (const sandbox of sandboxes) {
    for (const endpoint of sandbox.endpoints) {
      if (endpoint.networkId !== network.id) continue;
      containers[sandbox.containerId] = {
        Name: sandbox.name,
        EndpointID: endpoint.id,
        MacAddress: endpoint.mac,
        IPv4Address: endpoint.ipv4,
        IPv6Address: endpoint.ipv6,
      };
    }
  }
  const deviceless = network.predefined && network.driver !== "bridge";
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: network.scope,
    Driver: network.driver,
    EnableIPv4: network.ipv4,
    EnableIPv6: network.ipv6,
    IPAM: {
      Driver: network.ipam.driver,
      Options: network.ipam.options,
      Config: deviceless ? null : [...(network.ipam.idle ?? []), ...network.ipam.config],
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    ConfigFrom: { Network: network.configFrom },
    ConfigOnly: network.configOnly,
    Containers: containers,
    Options: network.options,
    Labels: network.labels,
  };
}

/** An endpoint as a container's `NetworkSettings.Networks` shows it. */
export function inspectEndpoint(endpoint: Endpoint, dnsNames: string[] | null): EndpointSettings {
  const { settings } = endpoint;
  return {
    IPAMConfig: settings.IPAMConfig ?? null,
    Links: settings.Links ?? null,
    Aliases: settings.Aliases ?? null,
    DriverOpts: settings.DriverOpts ?? null,
    GwPriority: endpoint.gwPriority,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.id,
    Gateway: bare(endpoint.gateway4),
    IPAddress: bare(endpoint.ipv4),
    MacAddress: endpoint.mac,
    IPPrefixLen: prefixLength(endpoint.ipv4),
    IPv6Gateway: bare(endpoint.gateway6),
    GlobalIPv6Address: bare(endpoint.ipv6),
    GlobalIPv6PrefixLen: prefixLength(endpoint.ipv6),
    DNSNames: dnsNames,
  };
}

/**
 * A container's ports as `NetworkSettings.Ports` shows them: exposed ones that are not published with null,
 * ranges of them as port 0.
 */
export function inspectPorts(sandbox: Sandbox): Record<string, PortBinding[] | null> {
  const out: Record<string, PortBinding[] | null> = {};
  for (const key of sandbox.exposed) {
    const [port = "", protocol = "tcp"] = key.split("/");
    out[`${port.includes("-") ? 0 : port}/${protocol}`] = null;
  }
  for (const port of sandbox.ports) {
    const key = `${port.containerPort}/${port.protocol}`;
    const list = out[key] ?? [];
    list.push({ HostIp: port.hostIp, HostPort: port.hostPort === 0 ? "" : String(port.hostPort) });
    out[key] = list;
  }
  return out;
}
