import type { Endpoint, Sandbox } from "./model.ts";
import type { Gateways } from "./namespace.ts";

/**
 * Chooses the endpoint that is the way out for each family: the highest gateway priority; among equals one that has a
 * gateway for both families; then the network whose name comes first.
 */
export function chooseGateways(sandbox: Sandbox, nameOf: (networkId: string) => string): Gateways {
  const ordered = sandbox.endpoints
    .filter((endpoint) => !endpoint.noGateway)
    .toSorted(
      (a, b) =>
        b.gwPriority - a.gwPriority ||
        families(b) - families(a) ||
        (nameOf(a.networkId) < nameOf(b.networkId) ? -1 : 1),
    );
  return {
    v4: ordered.find((endpoint) => endpoint.gateway4 !== ""),
    v6: ordered.find((endpoint) => endpoint.gateway6 !== ""),
  };
}

const families = (endpoint: Endpoint) => (endpoint.gateway4 !== "" ? 1 : 0) + (endpoint.gateway6 !== "" ? 1 : 0);
