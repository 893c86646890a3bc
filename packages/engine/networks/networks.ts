import {
  type EndpointSettings,
  GantryError,
  invalidParameter,
  messageOf,
  type NetworkCreateRequest,
  type NetworkInspect,
  notFound,
  systemError,
} from "@gantry/spec";
import type { Container } from "../containers/container.ts";
import { hasEnded } from "../containers/ended.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../filters.ts";
import { parseTime } from "../time.ts";

const PREDEFINED = new Set(["bridge", "host", "none"]);
const KEYS = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/** The networks that pass the filters; containers in them are left out (inspect has them). */
export function listNetworks(engine: Engine, filters: Filters): NetworkInspect[] {
  filters.allow(...KEYS);
  for (const type of filters.get("type")) {
    if (type !== "builtin" && type !== "custom") throw invalidParameter(`invalid filter: 'type'='${type}'`);
  }
  const dangling = danglingOf(filters);
  return engine.network.list().filter((network) => {
    const builtin = PREDEFINED.has(network.Name);
    return (
      filters.exact("driver", network.Driver) &&
      filters.match("name", network.Name) &&
      (!filters.has("id") || filters.get("id").some((id) => network.Id.startsWith(id))) &&
      filters.exact("scope", network.Scope) &&
      filters.labels("label", network.Labels) &&
      (!filters.has("type") || filters.exact("type", builtin ? "builtin" : "custom")) &&
      (dangling === null || (!builtin && Object.keys(network.Containers ?? {}).length === 0) === dangling)
    );
  });
}

/** Networks have words of their own for it. */
function danglingOf(filters: Filters): boolean | null {
  const values = filters.get("dangling");
  if (values.length > 1) throw invalidParameter('got more than one value for filter key "dangling"');
  if (values.length === 0) return null;
  if (!["1", "0", "true", "false"].includes(values[0] as string)) {
    throw invalidParameter(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`);
  }
  return filters.bool("dangling", false);
}

export function createNetwork(engine: Engine, request: NetworkCreateRequest): Promise<{ id: string; warning: string }> {
  return engine.network.create(request);
}

/** Joins a container to a network; one that does not run joins when it is started. */
export async function connectNetwork(
  engine: Engine,
  networkName: string,
  containerName: string,
  settings: EndpointSettings,
): Promise<void> {
  const container = engine.containers.get(containerName);
  const network = engine.network.resolve(networkName);
  const mode = container.record.hostConfig.NetworkMode ?? "";
  if (mode.startsWith("container:") || (mode === "host" && network.Name !== "host")) {
    throw invalidParameter(
      "container sharing network namespace with another container or host cannot be connected to any other network",
    );
  }
  if (network.Name === "host") {
    throw invalidParameter("cannot connect container to host network - container must be created in host network mode");
  }
  await container.lock.run(async () => {
    // Of one that does not run it only says whether it could.
    const connect = () => engine.network.connect(container.id, network.Id, settings);
    await connect().catch(async (error) => {
      // It ended this moment: as one that does not run, once that is known.
      if (!(await hasEnded(container))) throw error;
      await container.exited;
      await connect();
    });
    const endpoints = { ...container.record.endpoints };
    if (network.Name !== "none") delete endpoints["none"];
    endpoints[network.Name] = settings;
    container.record.endpoints = endpoints;
    if (mode === "none") container.record.hostConfig.NetworkMode = network.Name;
    container.save();
  });
}

export async function disconnectNetwork(
  engine: Engine,
  networkName: string,
  containerName: string,
  force: boolean,
): Promise<void> {
  const container = engine.containers.find(containerName);
  const gone = container !== null && (force || !container.running) && !isThere(engine, networkName);
  if (gone) {
    await container.lock.run(async () => dropEndpoint(container, networkName));
    return;
  }
  if (container === null && !force) throw notFound(`No such container: ${containerName}`);
  const network = engine.network.resolve(networkName);
  if (container === null) {
    // What a container that is gone left behind goes by its name.
    const left = Object.entries(network.Containers ?? {}).find(
      ([id, { Name }]) => id === containerName || Name === containerName,
    );
    if (left === undefined) throw notFound(`endpoint ${containerName} not found`);
    await engine.network.disconnect(left[0], network.Id, true);
    return;
  }
  const mode = container.record.hostConfig.NetworkMode ?? "";
  if (mode === "host" && network.Name === "host") {
    throw invalidParameter(
      "cannot disconnect container from host network - container was created in host network mode",
    );
  }
  await container.lock.run(async () => {
    const key = Object.keys(container.record.endpoints).find(
      (name) => name === network.Name || network.Id.startsWith(name),
    );
    if (key === undefined && mode === "none" && network.Name === "none" && container.running) {
      await engine.network.disconnect(container.id, network.Id, force);
      return;
    }
    if (key === undefined) {
      const what = container.running ? "network" : "the network";
      throw systemError(`container ${container.id} is not connected to ${what} ${network.Name}`);
    }
    // First, so that whoever looks meanwhile does not see an endpoint without an address.
    const before = container.record.endpoints;
    const { [key]: _, ...left } = before;
    container.record.endpoints = left;
    container.save();
    if (!container.running) return;
    try {
      await engine.network.disconnect(container.id, network.Id, force);
    } catch (error) {
      container.record.endpoints = before;
      container.save();
      throw error;
    }
  });
}

function isThere(engine: Engine, networkName: string): boolean {
  try {
    engine.network.resolve(networkName);
    return true;
  } catch (error) {
    if (error instanceof GantryError && error.kind === "notFound") return false;
    throw error;
  }
}

/** Of a network that was removed while the container did not run. */
function dropEndpoint(container: Container, networkName: string): void {
  if (container.record.endpoints[networkName] === undefined) {
    throw systemError(`container ${container.id} is not connected to the network ${networkName}`);
  }
  const endpoints = { ...container.record.endpoints };
  delete endpoints[networkName];
  container.record.endpoints = endpoints;
  container.save();
}

/** Removes networks without containers. */
export async function pruneNetworks(engine: Engine, filters: Filters): Promise<{ NetworksDeleted: string[] | null }> {
  filters.allow("until", "label", "label!");
  const until = filters.until();
  const deleted: string[] = [];
  for (const network of engine.network.list()) {
    if (PREDEFINED.has(network.Name)) continue;
    if (until !== null && (parseTime(network.Created) ?? 0n) > until) continue;
    if (!filters.labels("label", network.Labels)) continue;
    if (filters.has("label!") && filters.labels("label!", network.Labels)) continue;
    if (Object.keys(engine.network.resolve(network.Id).Containers ?? {}).length > 0) continue;
    try {
      await engine.network.remove(network.Id);
      deleted.push(network.Name);
    } catch (error) {
      engine.log("debug", `network ${network.Name} is not pruned: ${messageOf(error)}`);
    }
  }
  engine.events.emit("network", "prune", "", { reclaimed: "0" });
  return { NetworksDeleted: deleted.length > 0 ? deleted : null };
}
