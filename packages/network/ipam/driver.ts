import type { SubnetUsage } from "../contract.ts";
import type { NetworkRecord } from "../model.ts";
import type { Cidr } from "./cidr.ts";

/** Address management of networks: the daemon's own, none, or a plugin's. Addresses carry their prefix length. */
export interface IpamDriver {
  /** Completes `network.ipam.config`: subnets and gateways. Throws GantryError with nothing kept. */
  plan(network: NetworkRecord, busy: Cidr[]): void | Promise<void>;
  /** Opens the books of a network that is complete. */
  open(network: NetworkRecord): void;
  /** The network is gone; gives its subnets back. */
  close(network: NetworkRecord): void | Promise<void>;
  /**
   * The wanted address, or the next free one; "" where the network has no subnet of the family. `last` is one that the
   * container had before, to be given again where it is free. Throws GantryError.
   */
  allocate(network: NetworkRecord, family: 4 | 6, wanted: string, mac: string, last?: string): string | Promise<string>;
  /** Whether nobody else had the address lately; a false one is announced to the neighbours. */
  isFresh(network: NetworkRecord, cidr: string): boolean;
  /** An endpoint held this address before a restart. */
  adopt(network: NetworkRecord, cidr: string): void;
  release(network: NetworkRecord, cidr: string): void | Promise<void>;
  /** How full each subnet is, as far as it is known here. */
  usage(network: NetworkRecord): SubnetUsage[];
}

/** `--ipam-driver null`: no addresses at all. */
export const nullIpam: IpamDriver = {
  plan(network) {
    network.ipam.config = [];
  },
  open() {},
  close() {},
  allocate: () => "",
  isFresh: () => true,
  adopt() {},
  release() {},
  usage: () => [],
};
