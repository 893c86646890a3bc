import {
  type ContainerConfig,
  type ContainerInspect,
  type EndpointSettings,
  type MountPoint,
  notFound,
  type PortMap,
} from "@gantry/spec";
import type { Engine } from "../engine.ts";
import { shortId } from "../ids.ts";
import { networkName } from "../networks/names.ts";
import { shownAppArmor } from "./apparmor.ts";
import type { Container } from "./container.ts";
import { fullConfig, fullHostConfig } from "./inspect-config.ts";
import { shownLinks } from "./links.ts";
import type { ContainerMount } from "./record.ts";

/** Everything about a container, in the shape (every field, Go's zero values included) of GET /containers/{id}/json. */
export async function inspectContainer(
  engine: Engine,
  container: Container,
  options: { size: boolean; api: number },
): Promise<ContainerInspect> {
  await container.settled();
  // With a start that failed, where that was the end of it.
  if (container.removed) throw notFound(`No such container: ${container.id}`);
  const { record, state } = container;
  const layer = engine.storage.layers.getContainer(record.id);
  const { hostConfig: host } = record;
  // A start that failed has made its files, too.
  const files = state.startedBefore || state.error !== "" ? container.dir : null;
  const result: ContainerInspect = {
    Id: record.id,
    Created: record.created,
    Path: record.path,
    Args: record.args,
    State: {
      Status: state.status,
      Running: state.status === "running" || state.status === "paused" || state.status === "restarting",
      Paused: state.status === "paused",
      Restarting: state.status === "restarting",
      OOMKilled: state.oomKilled,
      Dead: state.status === "dead",
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedAt,
      FinishedAt: state.finishedAt,
      ...(state.health === undefined ? {} : { Health: state.health }),
    },
    Image: record.imageId,
    ResolvConfPath: files === null ? "" : `${files}/resolv.conf`,
    HostnamePath: files === null ? "" : `${files}/hostname`,
    HostsPath: files === null ? "" : `${files}/hosts`,
    // What is on disk for other drivers is theirs.
    LogPath: files !== null && host.LogConfig?.Type === "json-file" ? container.logPath : "",
    Name: `/${record.name}`,
    RestartCount: state.restartCount,
    Driver: engine.storageDriver,
    Platform: record.platform,
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: shownAppArmor(record, state),
    ExecIDs: container.execIds.size === 0 ? null : [...container.execIds],
    HostConfig: {
      ...fullHostConfig(options.api < 52 ? host : { ...host, KernelMemoryTCP: null }),
      Links: shownLinks(container),
    },
    GraphDriver: {
      Name: engine.storageDriver,
      Data: {
        ID: record.id,
        LowerDir: layer.lower.join(":"),
        MergedDir: `${container.dir}/merged`,
        UpperDir: layer.upper,
        WorkDir: layer.work,
      },
    },
    Mounts: record.mounts.map(mountPoint),
    Config: configFor(container, options.api),
    NetworkSettings: networkSettings(engine, container, options.api),
  };
  if (options.size) {
    const rw = await engine.storage.layers.containerSize(record.id).catch(() => 0);
    result.SizeRw = rw;
    result.SizeRootFs = rw + imageSize(engine, container);
  }
  return result;
}

/** From API 1.52 on without the container's own hardware address, and without an empty OnBuild. */
function configFor(container: Container, api: number): ContainerConfig {
  const { config } = container.record;
  if (api < 52) return fullConfig({ ...config, MacAddress: macAddress(container) });
  const { MacAddress: _, OnBuild, ...rest } = fullConfig(config);
  return OnBuild?.length ? { ...rest, OnBuild } : rest;
}

/** The hardware address that was asked for on the container's main network. */
function macAddress({ engine, record }: Container): string {
  const main = record.endpoints[networkName(engine, record.hostConfig.NetworkMode ?? "bridge")];
  return main?.MacAddress || record.config.MacAddress || "";
}

export function imageSize(engine: Engine, container: Container): number {
  const { imageId } = container.record;
  return imageId === "" ? 0 : (engine.storage.images.get(imageId)?.size ?? 0);
}

export function mountPoint(mount: ContainerMount): MountPoint {
  return {
    Type: mount.type,
    ...(mount.name === undefined ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === undefined ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

/** Networks on which containers have no names. */
const PREDEFINED = ["bridge", "host", "none", "default"];

/** The endpoints a stopped container would join, a running one has. */
export function containerEndpoints(engine: Engine, container: Container): Record<string, EndpointSettings> {
  const result: Record<string, EndpointSettings> = {};
  if (container.record.config.NetworkDisabled === true) return result;
  for (const [name, endpoint] of Object.entries(engine.network.endpoints(container.id)))
    result[name] = fullEndpoint(endpoint);
  const mode = container.record.hostConfig.NetworkMode ?? "bridge";
  if (mode.startsWith("container:")) return result;
  if (Object.keys(result).length === 0) {
    for (const [name, endpoint] of Object.entries(container.record.endpoints))
      result[name] = fullEndpoint(tried(container) ? leftEndpoint(container, name, endpoint) : endpoint);
    // Those that join no other network have no record of an endpoint.
    if (Object.keys(result).length === 0 && (mode === "host" || mode === "none")) result[mode] = fullEndpoint({});
  }
  return result;
}

const tried = ({ state }: Container): boolean => state.startedBefore || state.error !== "";

/** What is left of an endpoint once it was given up: no address, whatever the request to create it told of one. */
function leftEndpoint({ record }: Container, name: string, endpoint: EndpointSettings): EndpointSettings {
  const { IPAMConfig, Links, Aliases, DriverOpts, GwPriority, NetworkID } = endpoint;
  const names = [record.name, ...(Aliases ?? []), shortId(record.id), record.config.Hostname ?? ""].filter(Boolean);
  const known = PREDEFINED.includes(name) ? {} : { DNSNames: [...new Set(names)] };
  return { IPAMConfig, Links, Aliases, DriverOpts, GwPriority, NetworkID, ...known };
}

function fullEndpoint(endpoint: EndpointSettings): EndpointSettings {
  return {
    IPAMConfig: endpoint.IPAMConfig ?? null,
    Links: endpoint.Links ?? null,
    Aliases: endpoint.Aliases ?? null,
    MacAddress: endpoint.MacAddress ?? "",
    DriverOpts: endpoint.DriverOpts ?? null,
    GwPriority: endpoint.GwPriority ?? 0,
    NetworkID: endpoint.NetworkID ?? "",
    EndpointID: endpoint.EndpointID ?? "",
    Gateway: endpoint.Gateway ?? "",
    IPAddress: endpoint.IPAddress ?? "",
    IPPrefixLen: endpoint.IPPrefixLen ?? 0,
    IPv6Gateway: endpoint.IPv6Gateway ?? "",
    GlobalIPv6Address: endpoint.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: endpoint.GlobalIPv6PrefixLen ?? 0,
    DNSNames: endpoint.DNSNames ?? null,
  };
}

export function containerPorts(engine: Engine, container: Container): PortMap {
  return container.running ? engine.network.ports(container.id) : {};
}

/** Up to API 1.44 the container's short ID and host name are among the aliases on user-defined networks. */
function addShortId(container: Container, networks: Record<string, EndpointSettings>): void {
  const { id, config } = container.record;
  for (const [name, endpoint] of Object.entries(networks)) {
    if (PREDEFINED.includes(name)) continue;
    endpoint.Aliases = [...new Set([...(endpoint.Aliases ?? []), shortId(id), config.Hostname ?? ""])].filter(Boolean);
  }
}

function networkSettings(engine: Engine, container: Container, api: number): ContainerInspect["NetworkSettings"] {
  const networks = containerEndpoints(engine, container);
  if (api < 45) addShortId(container, networks);
  const running = container.running;
  const bridge = networks["bridge"] ?? {};
  const base = {
    SandboxID: running ? container.id : "",
    SandboxKey: running ? `/proc/${container.state.pid}/ns/net` : "",
    Ports: containerPorts(engine, container),
  };
  if (api >= 52) return { ...base, Networks: networks };
  return {
    Bridge: "",
    ...base,
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge.EndpointID ?? "",
    Gateway: bridge.Gateway ?? "",
    GlobalIPv6Address: bridge.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: bridge.GlobalIPv6PrefixLen ?? 0,
    IPAddress: bridge.IPAddress ?? "",
    IPPrefixLen: bridge.IPPrefixLen ?? 0,
    IPv6Gateway: bridge.IPv6Gateway ?? "",
    MacAddress: bridge.MacAddress ?? "",
    Networks: networks,
  };
}
