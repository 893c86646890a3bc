/** Networks, and containers' places in them: drivers, address management, ports, firewall, names. */
export * from "./contract.ts";
export { openResolver, RESOLVER_ADDRESS } from "./dns/resolver.ts";
export type { AddressPool } from "./ipam/subnets.ts";
export { type NetworkOptions, openNetwork } from "./open.ts";
export type { EndpointRecord, Resolver, ResolverSandbox } from "./resolver.ts";
