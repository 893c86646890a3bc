import type { EndpointSettings, NetworkCreateRequest, NetworkInspect, PortBinding } from "@gantry/spec";

/**
 * Networks, and containers' places in them.
 *
 * Life cycle of a container's sandbox (its network namespace), driven by the engine:
 *
 *     prepare ──▶ (runtime creates the namespace) ──▶ plumb ──▶ … connect/disconnect, publish … ──▶ release
 *
 * `prepare` allocates addresses and ports (and fails without a trace where it cannot), and gives the text of the
 * container's /etc/hosts and /etc/resolv.conf. `plumb` makes the interfaces inside the namespace and opens the ports;
 * where it fails the engine calls `release`. `release` is idempotent, gives everything back, and is right whether the
 * namespace still exists or not. All is kept in SQLite: after a daemon crash `restore` is told which sandboxes still
 * live, adopts those, and releases every other; the firewall table is rebuilt to exactly what that implies.
 */
export interface NetworkController {
  restore(live: { containerId: string; pid: number }[]): Promise<void>;
  /** Stops the resolver and timers; leaves containers' networks as they are (live restore). */
  shutdown(): Promise<void>;

  create(request: NetworkCreateRequest): Promise<{ id: string; warning: string }>;
  list(): NetworkInspect[];
  /** By name, ID or unambiguous prefix of one. Throws notFound `network x not found`. */
  resolve(nameOrId: string): NetworkInspect;
  /** How full each of its subnets is; none where its addresses are a plugin's matter. Throws notFound. */
  usage(nameOrId: string): SubnetUsage[];
  /** Refused (forbidden) for predefined networks and where endpoints are active. */
  remove(nameOrId: string): Promise<void>;

  prepare(request: SandboxRequest): Promise<PreparedSandbox>;
  plumb(containerId: string, pid: number): Promise<void>;
  release(containerId: string): Promise<void>;

  /** Throws, in Docker's words, where no container can have such an endpoint. A network that is not there (yet) is left to `prepare`. */
  checkEndpoint(network: string, settings: EndpointSettings): void;
  /** Joins a running or a stopped container to one more network. */
  connect(containerId: string, network: string, settings: EndpointSettings): Promise<void>;
  disconnect(containerId: string, network: string, force: boolean): Promise<void>;
  /** Renames the container in the resolver. */
  rename(containerId: string, name: string): void;

  /** The container's present endpoints by network name, as `NetworkSettings.Networks` shows them. */
  endpoints(containerId: string): Record<string, EndpointSettings>;
  /** The container's present published ports, as `NetworkSettings.Ports` shows them. */
  ports(containerId: string): Record<string, PortBinding[] | null>;
  /** Adds or removes published ports of a running container. */
  publish(
    containerId: string,
    add: Record<string, PortBinding[]>,
    remove: Record<string, PortBinding[]>,
  ): Promise<void>;
  /** Bytes and packets of each interface in the container, by interface name. */
  stats(containerId: string): Promise<Record<string, InterfaceStats>>;
  /** Tells the engine to emit `network` events. */
  onEvent(listener: (event: NetworkEvent) => void): void;
  /** Tells the engine what of a running container's files must follow a change of its networks. */
  onFiles(listener: (change: FilesChange) => void): void;
}

/** Addresses of a subnet (in CIDR notation): those that cannot be given to anyone, and those of its range that still can. */
export interface SubnetUsage {
  subnet: string;
  inUse: bigint;
  available: bigint;
}

/** Texts as they were given out last and as they are to be; what a user wrote into the file meanwhile is theirs. */
export interface FilesChange {
  containerId: string;
  hosts: { before: string; text: string };
  resolvConf: { before: string; text: string };
}

export interface NetworkEvent {
  action: "create" | "connect" | "disconnect" | "destroy";
  networkId: string;
  networkName: string;
  networkType: string;
  containerId?: string;
}

export interface SandboxRequest {
  containerId: string;
  /** Without the leading slash. */
  containerName: string;
  hostname: string;
  domainname: string;
  /** HostConfig.NetworkMode: "bridge", "default", "host", "none", "container:<id>", or a network's name or ID. */
  networkMode: string;
  /** Endpoint settings by network name or ID; holds at least the one of `networkMode` when that is a network. */
  endpoints: Record<string, EndpointSettings>;
  /** The container was disconnected from all networks it had: a namespace of its own with nothing but a loopback. */
  unconnected?: boolean;
  exposedPorts: string[];
  /** Port bindings as in HostConfig.PortBindings, keys such as "80/tcp". */
  portBindings: Record<string, PortBinding[]>;
  publishAll: boolean;
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  extraHosts: string[];
  links: string[];
  sysctls: Record<string, string>;
}

export interface PreparedSandbox {
  /** Text of the container's /etc/hosts; empty where the namespace is shared with the host's files. */
  hosts: string;
  resolvConf: string;
}

export interface InterfaceStats {
  rx_bytes: number;
  rx_packets: number;
  rx_errors: number;
  rx_dropped: number;
  tx_bytes: number;
  tx_packets: number;
  tx_errors: number;
  tx_dropped: number;
}
