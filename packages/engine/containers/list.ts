import { type ContainerSummary, type EndpointSettings, invalidParameter, type PortSummary } from "@gantry/spec";
import { exposedPorts, portKey } from "../config/ports.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../filters.ts";
import { humanDuration } from "../time.ts";
import type { Container } from "./container.ts";
import { containerEndpoints, containerPorts, imageSize, mountPoint } from "./inspect.ts";
import { linkNames } from "./links.ts";

export interface ListOptions {
  all: boolean;
  /** The newest so many, whatever their state; 0 for no limit. */
  limit: number;
  size: boolean;
  filters: Filters;
}

const KEYS = [
  "ancestor",
  "before",
  "exited",
  "id",
  // A matter of Windows: taken, and not looked at.
  "isolation",
  "label",
  "name",
  "status",
  "health",
  "since",
  "volume",
  "network",
  "is-task",
  "publish",
  "expose",
];
const STATUSES = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS = ["starting", "healthy", "unhealthy", "none"];

/** The containers that pass the filters, newest first. */
export async function listContainers(engine: Engine, options: ListOptions): Promise<ContainerSummary[]> {
  const { filters } = options;
  filters.allow(...KEYS);
  for (const status of filters.get("status")) {
    if (!STATUSES.includes(status))
      throw invalidParameter(
        `invalid filter 'status=${status}': invalid value for state (${status}): must be one of ${STATUSES.join(", ")}`,
      );
  }
  for (const health of filters.get("health")) {
    if (!HEALTHS.includes(health))
      throw invalidParameter(
        `invalid filter 'health=${health}': invalid value for health (${health}): must be one of none, starting, healthy, unhealthy`,
      );
  }
  const exited = filters.get("exited").map((text) => {
    if (!/^-?\d+$/.test(text))
      throw invalidParameter(`invalid filter 'exited=${text}': strconv.Atoi: parsing "${text}": invalid syntax`);
    return Number(text);
  });
  for (const key of ["publish", "expose"] as const) for (const port of filters.get(key)) checkPort(key, port);
  const before = boundary(engine, filters, "before");
  const since = boundary(engine, filters, "since");
  const ancestors = ancestorIds(engine, filters);
  // A filter on the state looks at all containers, as does a limit.
  const all =
    options.all ||
    options.limit > 0 ||
    filters.has("status") ||
    filters.has("exited") ||
    before !== null ||
    since !== null;

  const sorted = engine.containers.all().sort((a, b) => (a.record.created < b.record.created ? 1 : -1));
  const links = linkNames(engine);
  const result: ContainerSummary[] = [];
  for (const container of sorted) {
    if (options.limit > 0 && result.length >= options.limit) break;
    if (!all && !container.running && container.state.status !== "restarting") continue;
    const names = [...(links.get(container.name) ?? []), `/${container.name}`].sort();
    if (!matches(container, names, filters, exited, ancestors)) continue;
    if (before !== null && container.record.created >= before) continue;
    if (since !== null && container.record.created <= since) continue;
    const summary = summarise(engine, container, names);
    if (!networkMatches(filters, summary) || !portsMatch(filters, container, summary)) continue;
    if (options.size) {
      // Of one that is being removed there may be nothing left to measure.
      const rw = await engine.storage.layers.containerSize(container.id).catch(() => 0);
      if (rw > 0) summary.SizeRw = rw;
      summary.SizeRootFs = rw + imageSize(engine, container);
    }
    result.push(summary);
  }
  return result;
}

function boundary(engine: Engine, filters: Filters, key: "before" | "since"): string | null {
  const [name] = filters.get(key);
  return name === undefined ? null : engine.containers.get(name).record.created;
}

function ancestorIds(engine: Engine, filters: Filters): Set<string> | null {
  if (!filters.has("ancestor")) return null;
  const ids = new Set<string>();
  const add = (id: string) => {
    if (ids.has(id)) return;
    ids.add(id);
    for (const child of engine.storage.images.children(id as never)) add(child.id);
  };
  for (const reference of filters.get("ancestor")) {
    try {
      add(engine.storage.images.resolve(reference).id);
    } catch {
      // An image that is not here is no container's ancestor.
    }
  }
  return ids;
}

function matches(
  container: Container,
  names: string[],
  filters: Filters,
  exited: number[],
  ancestors: Set<string> | null,
): boolean {
  const { record, state } = container;
  const health = state.health?.Status ?? "none";
  return (
    (!filters.has("id") || filters.get("id").some((id) => record.id.startsWith(id) || record.id === id)) &&
    (!filters.has("name") ||
      names.some((name) => filters.match("name", name.slice(1)) || filters.match("name", name))) &&
    filters.exact("status", state.status) &&
    filters.exact("health", health) &&
    filters.labels("label", record.config.Labels) &&
    (exited.length === 0 || (state.status === "exited" && exited.includes(state.exitCode))) &&
    (ancestors === null || ancestors.has(record.imageId)) &&
    (!filters.has("is-task") || !filters.bool("is-task", false)) &&
    (!filters.has("volume") ||
      filters
        .get("volume")
        .some((wanted) =>
          record.mounts.some(
            (mount) => mount.name === wanted || mount.source === wanted || mount.destination === wanted,
          ),
        ))
  );
}

/** Refuses what is no port or range of ports. */
function checkPort(key: string, text: string): void {
  const [range = ""] = text.split("/");
  for (const port of range.split("-")) {
    if (/^\d{1,5}$/.test(port) && Number(port) <= 65535) continue;
    throw invalidParameter(
      `error while looking up for ${key} ${text}: strconv.ParseUint: parsing ${JSON.stringify(port)}: invalid syntax`,
    );
  }
}

function networkMatches(filters: Filters, summary: ContainerSummary): boolean {
  if (!filters.has("network")) return true;
  const networks = Object.entries(summary.NetworkSettings?.Networks ?? {});
  return filters
    .get("network")
    .some((wanted) =>
      networks.some(([name, endpoint]) => name === wanted || (endpoint.NetworkID ?? "").startsWith(wanted)),
    );
}

function portsMatch(filters: Filters, container: Container, summary: ContainerSummary): boolean {
  for (const key of ["publish", "expose"] as const) {
    if (!filters.has(key)) continue;
    const have =
      key === "publish"
        ? summary.Ports.filter((port) => port.PublicPort !== undefined).flatMap((port) => [
            `${port.PublicPort}/${port.Type}`,
            `${port.PrivatePort}/${port.Type}`,
          ])
        : [
            ...exposedPorts(container.record.config.ExposedPorts).map(portKey),
            ...summary.Ports.map((port) => `${port.PrivatePort}/${port.Type}`),
          ];
    const ok = filters.get(key).some((text) => {
      const [range, proto = "tcp"] = text.split("/");
      const [from, to = from] = (range ?? "").split("-").map(Number);
      return have.some((entry) => {
        const [port, entryProto] = entry.split("/");
        return entryProto === proto && Number(port) >= (from as number) && Number(port) <= (to as number);
      });
    });
    if (!ok) return false;
  }
  return true;
}

function summarise(engine: Engine, container: Container, names: string[]): ContainerSummary {
  const { record, state } = container;
  const host = record.hostConfig;
  return {
    Id: record.id,
    Names: names,
    Image: imageName(engine, container),
    ImageID: record.imageId,
    Command: [record.path, ...record.args].map((word) => (/[\s'"]/.test(word) ? `'${word}'` : word)).join(" "),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: portList(engine, container),
    Labels: record.config.Labels ?? {},
    State: state.status,
    Status: statusText(container),
    HostConfig: {
      NetworkMode: host.NetworkMode ?? "",
      ...(host.Annotations ? { Annotations: host.Annotations } : {}),
    },
    ...(state.health === undefined
      ? {}
      : { Health: { Status: state.health.Status, FailingStreak: state.health.FailingStreak } }),
    NetworkSettings: { Networks: addresses(containerEndpoints(engine, container)) },
    Mounts: record.mounts.map(mountPoint),
  };
}

/** Where each endpoint is, without what was asked of it: that is for inspect to tell. */
function addresses(endpoints: Record<string, EndpointSettings>): Record<string, EndpointSettings> {
  const asked = { Links: null, Aliases: null, DriverOpts: null, DNSNames: null };
  return Object.fromEntries(Object.entries(endpoints).map(([name, endpoint]) => [name, { ...endpoint, ...asked }]));
}

/** The name it was made with while that still means its image; else the image's ID. */
function imageName(engine: Engine, container: Container): string {
  const { config, imageId } = container.record;
  const name = config.Image ?? "";
  if (name === "" || imageId === "" || imageId.startsWith(name) || imageId.slice(7).startsWith(name))
    return name || imageId;
  const image = engine.storage.images.get(imageId);
  if (image === null) return imageId;
  const tag = name.includes("@") || /:[^/]+$/.test(name) ? name : `${name}:latest`;
  const short = tag.replace(/^docker\.io\/(library\/)?/, "");
  return image.tags.includes(tag) || image.tags.includes(short) || image.digests.includes(name) ? name : imageId;
}

function portList(engine: Engine, container: Container): PortSummary[] {
  const result: PortSummary[] = [];
  for (const [key, bindings] of Object.entries(containerPorts(engine, container))) {
    const [port, proto = "tcp"] = key.split("/");
    const PrivatePort = Number(port);
    if (bindings === null || bindings.length === 0) result.push({ PrivatePort, Type: proto });
    for (const binding of bindings ?? []) {
      const open = binding.HostPort ? { PublicPort: Number(binding.HostPort) } : {};
      result.push({ IP: binding.HostIp ?? "", PrivatePort, ...open, Type: proto });
    }
  }
  return result;
}

/** "Up 2 hours (healthy)", "Exited (0) 3 minutes ago", … */
export function statusText(container: Container): string {
  const { state } = container;
  const since = (time: string) => humanDuration(Date.now() - Date.parse(time));
  switch (state.status) {
    case "paused":
      return `Up ${since(state.startedAt)} (Paused)`;
    case "running": {
      const health = state.health?.Status;
      if (health === undefined || health === "none") return `Up ${since(state.startedAt)}`;
      return `Up ${since(state.startedAt)} (${health === "starting" ? "health: starting" : health})`;
    }
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    default:
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
}
