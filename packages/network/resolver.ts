/**
 * The seam to the embedded resolver: who may ask, and what names mean what. The controller calls; the resolver keeps no
 * state on disk and is told everything again after a daemon's restart.
 */
export interface Resolver {
  /**
   * The container's namespace exists and is on a user-defined network: from now on 127.0.0.11:53 inside it answers, UDP
   * and TCP. `namespaceFd` is open for the time of the call only. Called again after a daemon's restart.
   */
  addSandbox(sandbox: ResolverSandbox): Promise<void>;
  /** What is told of a sandbox that is there has changed. Questions that are under way are answered all the same. */
  changeSandbox(sandbox: ResolverSandbox): void;
  /** Idempotent; the namespace may be gone already. */
  removeSandbox(containerId: string): Promise<void>;
  /** The container can be found on a network by these names. Replaces what was there for the same pair. */
  addEndpoint(record: EndpointRecord): void;
  removeEndpoint(containerId: string, networkId: string): void;
  shutdown(): Promise<void>;
}

export interface ResolverSandbox {
  containerId: string;
  namespaceFd: number;
  /** Upstream servers, in order. `fromHost` ones are asked from the host's namespace, others from the container's. */
  upstreams: { address: string; fromHost: boolean }[];
  /** No queries leave: every network of the container is internal. */
  internal: boolean;
  /** ndots and the like as in resolv.conf. */
  options: string[];
  search: string[];
  /** Legacy links: alias to container name. */
  links: Record<string, string>;
}

export interface EndpointRecord {
  containerId: string;
  networkId: string;
  networkName: string;
  /** Container name, short ID, aliases: all names others on the network find it by. The first one answers PTR queries. */
  names: string[];
  ipv4: string[];
  ipv6: string[];
  /** Names that only this container sees on this network (`--link name:alias`): alias to container name. */
  links: Record<string, string>;
}
