import {
  connectNetwork,
  createNetwork,
  disconnectNetwork,
  type Engine,
  Filters,
  listNetworks,
  parseBool,
  pruneNetworks,
} from "@gantry/engine";
import {
  invalidParameter,
  NetworkConnectRequest,
  NetworkCreateRequest,
  NetworkDisconnectRequest,
  type NetworkStatus,
  notFound,
  type SubnetStatus,
  uint64,
} from "@gantry/spec";
import { Type } from "@sinclair/typebox";
import { type Route, route } from "../http/index.ts";

const text = Type.Optional(Type.String());

/** How full the network's subnets are. */
function status(engine: Engine, id: string): NetworkStatus {
  const subnets = engine.network
    .usage(id)
    .map(({ subnet, inUse, available }): [string, SubnetStatus] => [
      subnet,
      { IPsInUse: uint64(inUse), DynamicIPsAvailable: uint64(available) },
    ]);
  return { IPAM: subnets.length === 0 ? {} : { Subnets: Object.fromEntries(subnets) } };
}

/** /networks. */
export function networkRoutes(engine: Engine): Route[] {
  const list = (filters: string | undefined, api: number) =>
    listNetworks(engine, Filters.parse(filters)).map((network) => {
      const { Containers, Services: _s, ...summary } = network;
      if (api >= 52) return summary;
      return { ...summary, Containers: api >= 28 ? {} : Containers };
    });
  return [
    // With the slash too, which some clients send.
    ...["/networks", "/networks/"].map((path) =>
      route("GET", path, { query: Type.Object({ filters: text }) }, (context) => {
        context.json(list(context.query.filters, context.api));
      }),
    ),
    route("GET", "/networks/{id:.*}", { query: Type.Object({ verbose: text, scope: text }) }, (context) => {
      const network = engine.network.resolve(context.params["id"] as string);
      const { scope, verbose = "" } = context.query;
      if (verbose !== "" && parseBool(verbose) === null) {
        const words = `strconv.ParseBool: parsing ${JSON.stringify(verbose)}: invalid syntax`;
        throw invalidParameter(`invalid value for verbose: ${verbose}: ${words}`);
      }
      if (scope && scope !== network.Scope) throw notFound(`network ${context.params["id"]} not found`);
      context.json(context.api < 52 ? network : { ...network, Status: status(engine, network.Id) });
    }),
    route("POST", "/networks/create", { body: NetworkCreateRequest, bodyName: "CreateRequest" }, async (context) => {
      const { id, warning } = await createNetwork(engine, context.body);
      context.json({ Id: id, Warning: warning }, 201);
    }),
    route("POST", "/networks/prune", { query: Type.Object({ filters: text }) }, async (context) => {
      context.json(await pruneNetworks(engine, Filters.parse(context.query.filters)));
    }),
    route(
      "POST",
      "/networks/{id}/connect",
      { body: NetworkConnectRequest, bodyName: "ConnectRequest" },
      async (context) => {
        const { Container, EndpointConfig } = context.body;
        await connectNetwork(engine, context.params["id"] as string, Container ?? "", EndpointConfig ?? {});
        context.empty(200);
      },
    ),
    route(
      "POST",
      "/networks/{id}/disconnect",
      { body: NetworkDisconnectRequest, bodyName: "DisconnectRequest" },
      async (context) => {
        const { Container, Force } = context.body;
        await disconnectNetwork(engine, context.params["id"] as string, Container ?? "", Force === true);
        context.empty(200);
      },
    ),
    route("DELETE", "/networks/{id:.*}", {}, async (context) => {
      await engine.network.remove(context.params["id"] as string);
      context.empty();
    }),
  ];
}
