import { invalidParameter, type PortBinding } from "@gantry/spec";
import { validatePortBindings } from "../config/host-config.ts";
import { parsePortSpec, portKey } from "../config/ports.ts";
import type { Container } from "../containers/container.ts";
import type { Engine } from "../engine.ts";

type Bindings = Record<string, PortBinding[] | null>;

/**
 * Publishes more ports of a container, and closes some, while it runs or not (Docker cannot: moby#2045). What is kept
 * for its next start follows. A removal without bindings means all of that container port. The caller holds the
 * container's lock. Throws, with nothing changed, where a port is taken, or one to be closed is not open.
 */
export async function updatePorts(
  engine: Engine,
  container: Container,
  add: Bindings,
  remove: Bindings,
): Promise<void> {
  validatePortBindings(add);
  validatePortBindings(remove);
  const { hostConfig, config } = container.record;
  const mode = hostConfig.NetworkMode ?? "";
  if (mode === "host" || mode === "none" || mode.startsWith("container:")) {
    throw invalidParameter(`conflicting options: port publishing and the container type network mode (${mode})`);
  }
  const adding = normalised(add);
  const removing = normalised(remove);
  const kept = without(normalised(hostConfig.PortBindings ?? {}), removing);
  if (container.running) await engine.network.publish(container.id, adding, removing);
  for (const [key, list] of Object.entries(adding)) kept[key] = [...(kept[key] ?? []), ...list];
  hostConfig.PortBindings = kept;
  config.ExposedPorts = { ...config.ExposedPorts, ...Object.fromEntries(Object.keys(adding).map((key) => [key, {}])) };
}

/** Keys with their protocol; bindings never null, and at least one where a port is added. */
function normalised(bindings: Bindings): Record<string, PortBinding[]> {
  return Object.fromEntries(Object.entries(bindings).map(([key, list]) => [portKey(key), list ?? []]));
}

/** What is asked for at the next start, less what was closed: a range or a random port may have been any of its ports. */
function without(
  bindings: Record<string, PortBinding[]>,
  remove: Record<string, PortBinding[]>,
): Record<string, PortBinding[]> {
  const out = { ...bindings };
  for (const [key, closing] of Object.entries(remove)) {
    const left = [...(out[key] ?? [])];
    for (const { HostIp, HostPort } of closing) {
      const at = left.findIndex(
        (one) =>
          (!HostIp || !one.HostIp || one.HostIp === HostIp) && (!HostPort || covers(one.HostPort ?? "", HostPort)),
      );
      if (at >= 0) left.splice(at, 1);
    }
    if (closing.length === 0 || left.length === 0) delete out[key];
    else out[key] = left;
  }
  return out;
}

function covers(asked: string, port: string): boolean {
  if (asked === "") return true;
  const { start, end } = parsePortSpec(asked);
  return start <= Number(port) && Number(port) <= end;
}
