import type { EndpointRecord } from "../resolver.ts";
import { addressBytes, addressKey } from "./message.ts";

interface Stored extends EndpointRecord {
  v4: Uint8Array[];
  v6: Uint8Array[];
}

interface NetworkNames {
  id: string;
  name: string;
  byName: Map<string, Stored[]>;
  byAddress: Map<string, Stored>;
}

/** What asking for a name gave: addresses (none where it has only the other family), or null where it is unknown. */
export type Addresses = Uint8Array[] | null;

/**
 * Who has which name on which network. A container sees the names of exactly the networks it is on, in the order in
 * which it joined them; the first network that knows a name answers. `name.network` asks one network by name.
 */
export class Records {
  readonly #networks = new Map<string, NetworkNames>();
  readonly #containers = new Map<string, Map<string, Stored>>();

  /** Adds or replaces a container's endpoint on a network. */
  set(record: EndpointRecord): void {
    this.remove(record.networkId, record.containerId);
    const stored: Stored = {
      ...record,
      names: [...new Set(record.names.map((n) => n.toLowerCase()))],
      v4: record.ipv4.map(addressBytes),
      v6: record.ipv6.map(addressBytes),
    };
    let network = this.#networks.get(record.networkId);
    if (!network) {
      network = {
        id: record.networkId,
        name: record.networkName.toLowerCase(),
        byName: new Map(),
        byAddress: new Map(),
      };
      this.#networks.set(record.networkId, network);
    }
    for (const name of stored.names) {
      const list = network.byName.get(name);
      if (list) list.push(stored);
      else network.byName.set(name, [stored]);
    }
    for (const address of [...stored.v4, ...stored.v6]) network.byAddress.set(addressKey(address), stored);
    let joined = this.#containers.get(record.containerId);
    if (!joined) this.#containers.set(record.containerId, (joined = new Map()));
    joined.set(record.networkId, stored);
  }

  remove(networkId: string, containerId: string): void {
    const joined = this.#containers.get(containerId);
    const stored = joined?.get(networkId);
    const network = this.#networks.get(networkId);
    if (!joined || !stored || !network) return;
    joined.delete(networkId);
    if (joined.size === 0) this.#containers.delete(containerId);
    for (const name of stored.names) {
      const left = network.byName.get(name)?.filter((one) => one !== stored) ?? [];
      if (left.length > 0) network.byName.set(name, left);
      else network.byName.delete(name);
    }
    for (const address of [...stored.v4, ...stored.v6]) {
      if (network.byAddress.get(addressKey(address)) === stored) network.byAddress.delete(addressKey(address));
    }
    if (network.byName.size === 0 && network.byAddress.size === 0) this.#networks.delete(networkId);
  }

  /** Addresses of a name as this container sees it, in random order (round robin). `name` in lower case. */
  resolve(containerId: string, name: string, family: 4 | 6): Addresses {
    const joined = this.#containers.get(containerId);
    if (!joined || name === "") return null;
    for (const [networkId, self] of joined) {
      const found = this.#inNetwork(networkId, self, name, family);
      if (found) return found;
    }
    const dot = name.lastIndexOf(".");
    if (dot <= 0) return null;
    const [host, networkName] = [name.slice(0, dot), name.slice(dot + 1)];
    for (const [networkId, self] of joined) {
      if (self.networkName.toLowerCase() !== networkName) continue;
      const found = this.#inNetwork(networkId, self, host, family);
      if (found) return found;
    }
    return null;
  }

  #inNetwork(networkId: string, self: Stored, name: string, family: 4 | 6): Addresses {
    const network = this.#networks.get(networkId);
    const link = Object.hasOwn(self.links, name) ? self.links[name]!.toLowerCase() : undefined;
    const entries = (link === undefined ? undefined : network?.byName.get(link)) ?? network?.byName.get(name);
    if (!entries) return null;
    const addresses = entries.flatMap((one) => (family === 4 ? one.v4 : one.v6));
    for (let i = addresses.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [addresses[i], addresses[j]] = [addresses[j]!, addresses[i]!];
    }
    return addresses;
  }

  /** `name.network` of the container that has the address on one of this container's networks. */
  reverse(containerId: string, key: string): string | null {
    for (const networkId of this.#containers.get(containerId)?.keys() ?? []) {
      const stored = this.#networks.get(networkId)?.byAddress.get(key);
      if (stored) return `${stored.names[0]}.${stored.networkName}`;
    }
    return null;
  }
}
