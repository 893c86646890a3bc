import type { EndpointSettings, IPAMPool } from "@gantry/spec";

/** A network as it is kept on disk. */
export interface NetworkRecord {
  id: string;
  name: string;
  /** RFC 3339 with nanoseconds. */
  created: string;
  driver: string;
  scope: "local" | "swarm" | "global";
  ipv4: boolean;
  ipv6: boolean;
  internal: boolean;
  attachable: boolean;
  ingress: boolean;
  configOnly: boolean;
  configFrom: string;
  options: Record<string, string>;
  labels: Record<string, string>;
  ipam: {
    driver: string;
    options: Record<string, string> | null;
    config: IPAMPool[];
    /** Pools asked for of a family that is off: shown, and nothing else. */
    idle?: IPAMPool[];
  };
  /** The gateway of each subnet, also where inspect does not show one because the user gave a subnet without it. */
  gateways: Record<string, string>;
  /** Whether the user chose a subnet: only then may containers ask for addresses. */
  userSubnet: boolean;
  /** bridge, host and none, which cannot be removed. */
  predefined: boolean;
  /** Pool IDs of a remote IPAM driver, by subnet. */
  pools?: Record<string, string>;
  /** What the driver chose by itself and must find again, e.g. the bridge's name. */
  state: Record<string, string>;
}

/** A container's place on one network. Addresses carry their prefix length; empty where there is none. */
export interface Endpoint {
  id: string;
  networkId: string;
  containerId: string;
  mac: string;
  ipv4: string;
  ipv6: string;
  gateway4: string;
  gateway6: string;
  linkLocal: string[];
  gwPriority: number;
  /** Somebody else may have had the address lately: neighbours are to be told. */
  announce?: boolean;
  /** As the user gave them, for inspect. */
  settings: EndpointSettings;
  /** Inside, "eth0"; empty until plumbed. */
  interfaceName: string;
  /** On the host, "veth1a2b3c4"; empty where there is none. */
  hostInterface: string;
  /** Routes that a remote driver adds. */
  routes?: { destination: string; gateway?: string }[];
  /** A remote driver wants no default gateway through this endpoint. */
  noGateway?: boolean;
}

/** One published port: one protocol, one address of the host. */
export interface PublishedPort {
  protocol: Protocol;
  containerPort: number;
  hostIp: string;
  /** 0 on a network in routed mode, where the container's own port is opened. */
  hostPort: number;
}

export type Protocol = "tcp" | "udp" | "sctp";

/** A container's network as it is kept on disk while it runs. */
export interface Sandbox {
  containerId: string;
  name: string;
  hostname: string;
  domainname: string;
  mode: "host" | "none" | "container" | "network";
  /** Of the process the namespace was plumbed for; 0 before. */
  pid: number;
  endpoints: Endpoint[];
  ports: PublishedPort[];
  exposed: string[];
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  extraHosts: string[];
  links: string[];
  sysctls: Record<string, string>;
  /** It was on a user-defined network: its /etc/resolv.conf names the embedded resolver from then on. */
  embedded?: boolean;
  /** What its /etc/resolv.conf was given last. */
  resolvConf?: string;
}

/** The address without its prefix length. */
export const bare = (cidr: string) => cidr.split("/", 1)[0]!;

/** The prefix length of an address, 0 where it has none. */
export const prefixLength = (cidr: string) => Number(cidr.split("/")[1] ?? 0);
