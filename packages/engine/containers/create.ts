import { rm } from "node:fs/promises";
import { hostname as hostName } from "node:os";
import {
  type ContainerConfig,
  type ContainerCreateRequest,
  type ContainerCreateResponse,
  type EndpointSettings,
  type HostConfig,
  type ImageConfig,
  invalidParameter,
} from "@gantry/spec";
import { mergeImageConfig, normaliseConfig, validateContainerConfig } from "../config/container-config.ts";
import { defaultHostConfig, validateHostConfig } from "../config/host-config.ts";
import { validateLogConfig } from "../config/log-config.ts";
import { parseMounts } from "../config/mounts.ts";
import { portKey } from "../config/ports.ts";
import type { Engine } from "../engine.ts";
import { newId, shortId } from "../ids.ts";
import { imageFor } from "../images/platform.ts";
import { networkName } from "../networks/names.ts";
import { now, ZERO_TIME } from "../time.ts";
import { resolveMounts } from "../volumes/resolve.ts";
import type { Container } from "./container.ts";
import { takeLinks } from "./links.ts";
import type { ContainerRecord, ContainerStateRecord } from "./record.ts";

/**
 * Makes a container (not started): checks the request, merges the image's configuration, takes the name, makes the
 * writable layer and the volumes. Nothing is left where it fails.
 */
export async function createContainer(
  engine: Engine,
  name: string,
  request: ContainerCreateRequest,
  platform = "",
): Promise<ContainerCreateResponse & { container: Container }> {
  const { HostConfig: hostRequest, NetworkingConfig: networking, ...configRequest } = request;
  const config = normaliseConfig(configRequest);
  const host: HostConfig = { ...hostRequest };
  const endpoints: Record<string, EndpointSettings> = {};
  for (const [key, value] of Object.entries(networking?.EndpointsConfig ?? {})) {
    if (value === null) throw invalidParameter(`invalid config for network ${key}: EndpointsConfig is nil`);
    endpoints[networkName(engine, key)] = value;
  }

  const warnings = validateHostConfig(host, config, engine.config);
  validateContainerConfig(config);

  let image: ImageConfig | null = null;
  let imageId: ContainerRecord["imageId"] = "";
  if (config.Image) {
    const stored =
      platform === ""
        ? engine.storage.images.resolve(config.Image)
        : // Where it is of another platform, the status and words make the CLI pull the right one.
          await imageFor(engine, config.Image, platform);
    image = stored.config;
    imageId = stored.id;
  }
  mergeImageConfig(config, image?.config);
  validateContainerConfig(config);
  const command = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (command.length === 0) throw invalidParameter("no command specified");

  defaultHostConfig(host, engine.config, engine.cgroupV2);
  resolveNamespaceSharing(engine, host, config, endpoints);
  const mode = networkName(engine, host.NetworkMode ?? "");
  if (config.MacAddress && endpoints[mode] !== undefined) {
    endpoints[mode] = { ...endpoints[mode], MacAddress: endpoints[mode].MacAddress || config.MacAddress };
  }
  for (const [network, settings] of Object.entries(endpoints)) engine.network.checkEndpoint(network, settings);
  normalisePorts(host);
  validateLogConfig(host.LogConfig?.Type ?? "", host.LogConfig?.Config ?? {});
  takeLinks(engine, host);
  parseMounts(host, Object.keys(config.Volumes ?? {}));

  const id = newId();
  const reserved = engine.containers.reserveName(name, id);
  const made: (() => Promise<void>)[] = [];
  try {
    if (!config.Hostname && !host.NetworkMode?.startsWith("container:")) {
      config.Hostname = host.NetworkMode === "host" ? hostName() : shortId(id);
    }
    const diffIds = image?.rootfs.diff_ids ?? [];
    await engine.storage.layers.createContainer(id, diffIds);
    made.push(async () => {
      await engine.storage.layers.removeContainer(id);
      await rm(`${engine.config.dataRoot}/containers/${id}`, { recursive: true, force: true });
    });
    const mounts = await resolveMounts(engine, host, config, diffIds, made);
    const record: ContainerRecord = {
      id,
      name: reserved,
      created: now(),
      path: command[0] as string,
      args: command.slice(1),
      imageId,
      config,
      hostConfig: host,
      runtime: host.Runtime ?? engine.config.defaultRuntime,
      mounts,
      endpoints,
      platform: "linux",
    };
    const container = engine.containers.add(record, freshState());
    container.emit("create");
    return { Id: id, Warnings: warnings, container };
  } catch (error) {
    engine.containers.releaseName(reserved);
    for (const undo of made.reverse()) await undo().catch(() => {});
    throw error;
  }
}

export function freshState(): ContainerStateRecord {
  return {
    status: "created",
    pid: 0,
    exitCode: 0,
    error: "",
    oomKilled: false,
    startedAt: ZERO_TIME,
    finishedAt: ZERO_TIME,
    manuallyStopped: false,
    restartCount: 0,
    startedBefore: false,
  };
}

/** "container:name" becomes "container:<id>" in all modes that know it; the endpoint of the network mode is made. */
function resolveNamespaceSharing(
  engine: Engine,
  host: HostConfig,
  config: ContainerConfig,
  endpoints: Record<string, EndpointSettings>,
): void {
  for (const field of ["NetworkMode", "IpcMode", "PidMode"] as const) {
    const mode = host[field] ?? "";
    if (!mode.startsWith("container:")) continue;
    const other = engine.containers.find(mode.slice(10));
    if (other === null) {
      // A network's owner that is not there (yet) is the start's problem.
      if (field === "NetworkMode") continue;
      throw invalidParameter(`No such container: ${mode.slice(10)}`);
    }
    host[field] = `container:${other.id}`;
    if (field === "NetworkMode") {
      // Clients put the settings of --mac-address there; the other's endpoints are what there is.
      delete endpoints[mode];
      config.Hostname = other.record.config.Hostname ?? "";
      config.Domainname = other.record.config.Domainname ?? "";
    }
  }
  const mode = host.NetworkMode ?? "bridge";
  const shared = mode === "host" || mode.startsWith("container:");
  const others = Object.keys(endpoints).filter((name) => name !== mode);
  if ((shared && others.length > 0) || others.some((name) => name === "host" || name === "none")) {
    throw invalidParameter(`conflicting options: cannot attach both user-defined and non-user-defined network-modes`);
  }
  if (shared || mode === "none") return;
  const given = endpoints["default"];
  if (given !== undefined && mode === "bridge") {
    delete endpoints["default"];
    endpoints["bridge"] ??= given;
  }
  // Whoever names networks is in these alone.
  if (Object.keys(endpoints).length === 0) endpoints[networkName(engine, mode)] = {};
}

function normalisePorts(host: HostConfig): void {
  const bindings = host.PortBindings;
  if (!bindings) return;
  host.PortBindings = Object.fromEntries(
    Object.entries(bindings).map(([port, list]) => [
      portKey(port),
      list?.map((binding) => ({ HostIp: binding.HostIp ?? "", HostPort: binding.HostPort ?? "" })) ?? null,
    ]),
  );
}
