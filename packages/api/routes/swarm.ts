import { notImplemented, unavailable } from "@gantry/spec";
import { type Route, route } from "../http/index.ts";

const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

const MANAGER_ROUTES: [method: "GET" | "POST" | "DELETE", path: string][] = [
  ["GET", "/swarm"],
  ["POST", "/swarm/update"],
  ["GET", "/swarm/unlockkey"],
  ["POST", "/swarm/unlock"],
  ["GET", "/services"],
  ["POST", "/services/create"],
  ["GET", "/services/{id}"],
  ["DELETE", "/services/{id}"],
  ["POST", "/services/{id}/update"],
  ["GET", "/services/{id}/logs"],
  ["GET", "/nodes"],
  ["GET", "/nodes/{id}"],
  ["DELETE", "/nodes/{id}"],
  ["POST", "/nodes/{id}/update"],
  ["GET", "/tasks"],
  ["GET", "/tasks/{id}"],
  ["GET", "/tasks/{id}/logs"],
  ["GET", "/secrets"],
  ["POST", "/secrets/create"],
  ["GET", "/secrets/{id}"],
  ["DELETE", "/secrets/{id}"],
  ["POST", "/secrets/{id}/update"],
  ["GET", "/configs"],
  ["POST", "/configs/create"],
  ["GET", "/configs/{id}"],
  ["DELETE", "/configs/{id}"],
  ["POST", "/configs/{id}/update"],
];

/**
 * What a Docker Engine outside any swarm answers, which clients know how to take (testcontainers and docker-py leave a
 * swarm before they begin). Joining one is refused: this engine cannot be part of a swarm.
 */
export function swarmRoutes(): Route[] {
  const refused = () => {
    throw notImplemented("this engine cannot be part of a swarm");
  };
  return [
    ...MANAGER_ROUTES.map(([method, path]) =>
      route(method, path, {}, () => {
        throw unavailable(NOT_A_MANAGER);
      }),
    ),
    route("POST", "/swarm/leave", {}, () => {
      throw unavailable("This node is not part of a swarm");
    }),
    route("PUT", "/volumes/{name}", {}, () => {
      throw unavailable("volume update only valid for cluster volumes, but swarm is unavailable");
    }),
    // Nor are there managed plugins: those of the host are found where they are, and listed by nobody.
    route("GET", "/plugins", {}, (context) => context.json([])),
    route("POST", "/swarm/init", {}, refused),
    route("POST", "/swarm/join", {}, refused),
  ];
}
