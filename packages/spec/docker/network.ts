import { type Static, Type } from "@sinclair/typebox";
import { maybe, StringMap, Strings } from "./schema.ts";

/** Addresses that a client asks for on one network. */
export const EndpointIPAMConfig = Type.Object({
  IPv4Address: maybe(Type.String()),
  IPv6Address: maybe(Type.String()),
  LinkLocalIPs: maybe(Strings),
});
export type EndpointIPAMConfig = Static<typeof EndpointIPAMConfig>;

/** A container's place on one network: what was asked for, and what it got. */
export const EndpointSettings = Type.Object({
  IPAMConfig: maybe(EndpointIPAMConfig),
  Links: maybe(Strings),
  Aliases: maybe(Strings),
  DriverOpts: maybe(StringMap),
  GwPriority: maybe(Type.Integer()),
  NetworkID: maybe(Type.String()),
  EndpointID: maybe(Type.String()),
  Gateway: maybe(Type.String()),
  IPAddress: maybe(Type.String()),
  MacAddress: maybe(Type.String()),
  IPPrefixLen: maybe(Type.Integer()),
  IPv6Gateway: maybe(Type.String()),
  GlobalIPv6Address: maybe(Type.String()),
  GlobalIPv6PrefixLen: maybe(Type.Integer()),
  DNSNames: maybe(Strings),
});
export type EndpointSettings = Static<typeof EndpointSettings>;

/** The networks a new container joins, by name or ID. */
export const NetworkingConfig = Type.Object({
  EndpointsConfig: maybe(Type.Record(Type.String(), Type.Union([EndpointSettings, Type.Null()]))),
});
export type NetworkingConfig = Static<typeof NetworkingConfig>;

/** One address pool. `AuxiliaryAddresses` are kept free, by name. */
export const IPAMPool = Type.Object({
  Subnet: maybe(Type.String()),
  IPRange: maybe(Type.String()),
  Gateway: maybe(Type.String()),
  AuxiliaryAddresses: maybe(StringMap),
});
export type IPAMPool = Static<typeof IPAMPool>;

/** Address management of a network. */
export const IPAM = Type.Object({
  Driver: maybe(Type.String()),
  Options: maybe(StringMap),
  Config: maybe(Type.Array(IPAMPool)),
});
export type IPAM = Static<typeof IPAM>;

/** A reference to a configuration-only network. */
export const ConfigReference = Type.Object({ Network: maybe(Type.String()) });
export type ConfigReference = Static<typeof ConfigReference>;

/** Body of POST /networks/create. */
export const NetworkCreateRequest = Type.Object({
  Name: maybe(Type.String()),
  CheckDuplicate: maybe(Type.Boolean()),
  Driver: maybe(Type.String()),
  Scope: maybe(Type.String()),
  EnableIPv4: maybe(Type.Boolean()),
  EnableIPv6: maybe(Type.Boolean()),
  IPAM: maybe(IPAM),
  Internal: maybe(Type.Boolean()),
  Attachable: maybe(Type.Boolean()),
  Ingress: maybe(Type.Boolean()),
  ConfigOnly: maybe(Type.Boolean()),
  ConfigFrom: maybe(ConfigReference),
  Options: maybe(StringMap),
  Labels: maybe(StringMap),
});
export type NetworkCreateRequest = Static<typeof NetworkCreateRequest>;

/** Answer of POST /networks/create. */
export const NetworkCreateResponse = Type.Object({ Id: Type.String(), Warning: Type.String() });
export type NetworkCreateResponse = Static<typeof NetworkCreateResponse>;

/** Body of POST /networks/{id}/connect. */
export const NetworkConnectRequest = Type.Object({
  Container: maybe(Type.String()),
  EndpointConfig: maybe(EndpointSettings),
});
export type NetworkConnectRequest = Static<typeof NetworkConnectRequest>;

/** Body of POST /networks/{id}/disconnect. */
export const NetworkDisconnectRequest = Type.Object({
  Container: maybe(Type.String()),
  Force: maybe(Type.Boolean()),
});
export type NetworkDisconnectRequest = Static<typeof NetworkDisconnectRequest>;

/** A container in a network's inspect; addresses with their prefix length. */
export const EndpointResource = Type.Object({
  Name: Type.String(),
  EndpointID: Type.String(),
  MacAddress: Type.String(),
  IPv4Address: Type.String(),
  IPv6Address: Type.String(),
});
export type EndpointResource = Static<typeof EndpointResource>;

/** How full one subnet is (API 1.52). */
export const SubnetStatus = Type.Object({ IPsInUse: Type.Integer(), DynamicIPsAvailable: Type.Integer() });
export type SubnetStatus = Static<typeof SubnetStatus>;

/** Live state of a network (API 1.52). */
export const NetworkStatus = Type.Object({
  IPAM: Type.Object({ Subnets: Type.Optional(Type.Record(Type.String(), SubnetStatus)) }),
});
export type NetworkStatus = Static<typeof NetworkStatus>;

const networkFields = {
  Name: Type.String(),
  Id: Type.String(),
  Created: Type.String(),
  Scope: Type.String(),
  Driver: Type.String(),
  EnableIPv4: Type.Boolean(),
  EnableIPv6: Type.Boolean(),
  IPAM: Type.Object({
    Driver: Type.String(),
    Options: Type.Union([StringMap, Type.Null()]),
    Config: Type.Union([Type.Array(IPAMPool), Type.Null()]),
  }),
  Internal: Type.Boolean(),
  Attachable: Type.Boolean(),
  Ingress: Type.Boolean(),
  ConfigFrom: Type.Object({ Network: Type.String() }),
  ConfigOnly: Type.Boolean(),
  Options: Type.Union([StringMap, Type.Null()]),
  Labels: Type.Union([StringMap, Type.Null()]),
  Peers: Type.Optional(Type.Array(Type.Object({ Name: Type.String(), IP: Type.String() }))),
};

/** A network in GET /networks. Before API 1.52, `Containers` is there too, as an empty object. */
export const NetworkSummary = Type.Object({
  ...networkFields,
  Containers: Type.Optional(Type.Record(Type.String(), EndpointResource)),
});
export type NetworkSummary = Static<typeof NetworkSummary>;

/** Answer of GET /networks/{id}. `Containers` by container ID. */
export const NetworkInspect = Type.Object({
  ...networkFields,
  Containers: Type.Record(Type.String(), EndpointResource),
  Services: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  Status: Type.Optional(NetworkStatus),
});
export type NetworkInspect = Static<typeof NetworkInspect>;

/** Answer of POST /networks/prune. */
export const NetworkPruneResponse = Type.Object({ NetworksDeleted: Type.Union([Strings, Type.Null()]) });
export type NetworkPruneResponse = Static<typeof NetworkPruneResponse>;
