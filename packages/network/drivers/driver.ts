import type { Endpoint, NetworkRecord } from "../model.ts";

/**
 * What makes a network of one kind. Address management, names, ports and the inside of the namespace (addresses, routes, sysctls) are
 * the controller's; a driver makes the network's own devices and puts one interface for each endpoint into a namespace.
 *
 *     create ─▶ (createEndpoint ─▶ attach ─▶ detach ─▶ deleteEndpoint)* ─▶ remove
 *
 * `restore` stands for `create` after a daemon's restart: what is there is taken over, what is missing is made again. Every undoing
 * call is idempotent and right whether the namespace still exists or not.
 */
export interface Driver {
  readonly name: string;
  /** Fills in defaults and refuses what cannot be, before anything is allocated. Throws GantryError. */
  check(network: NetworkRecord): void;
  create(network: NetworkRecord): void | Promise<void>;
  restore(network: NetworkRecord): void | Promise<void>;
  remove(network: NetworkRecord): void | Promise<void>;
  /** Checks the endpoint's own options; a remote driver may give it addresses and a MAC. */
  createEndpoint?(network: NetworkRecord, endpoint: Endpoint): void | Promise<void>;
  deleteEndpoint?(network: NetworkRecord, endpoint: Endpoint): void | Promise<void>;
  /** Puts the endpoint's interface, down, named `endpoint.interfaceName`, into the namespace; sets `hostInterface`. */
  attach(network: NetworkRecord, endpoint: Endpoint, namespaceFd: number): void | Promise<void>;
  /** The interface is up and has its addresses: makes sure that packets pass from now on. */
  ready?(network: NetworkRecord, endpoint: Endpoint): void | Promise<void>;
  /** The endpoint is being left. Names of host interfaces to be deleted, where that is not done with the namespace. */
  detach(network: NetworkRecord, endpoint: Endpoint): string[] | Promise<string[]>;
}
