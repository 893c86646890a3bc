import { goValue } from "./go-print.ts";

/** Fields of the engine's documents that Go has as lists; null prints as an empty one. */
const LISTS = new Set(
  "Aliases Args Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps BlkioWeightDevice CapAdd CapDrop Cmd DNSNames Devices DeviceCgroupRules DeviceRequests Dns DnsOptions DnsSearch Entrypoint Env ExecIDs ExtraHosts GroupAdd Layers Links LinkLocalIPs Log MaskedPaths Mounts OnBuild ReadonlyPaths RepoDigests RepoTags SecondaryIPAddresses SecondaryIPv6Addresses SecurityOpt Shell Test Ulimits VolumesFrom".split(
    " ",
  ),
);

/** Fields that Go has as maps. */
const MAPS = new Set(
  "Annotations AuxiliaryAddresses Containers Data Details DriverOpts EndpointsConfig ExposedPorts Labels Networks Options PortBindings Ports Runtimes Status StorageOpt Sysctls Tmpfs Volumes".split(
    " ",
  ),
);

/** Fields that Go has as pointers, and leaves out of the JSON where they are nil. */
const POINTERS = new Set(
  "Health Healthcheck IPAMConfig Init StopTimeout PidsLimit OomKillDisable MemorySwappiness ImageManifestDescriptor SizeRw SizeRootFs UsageData BindOptions VolumeOptions TmpfsOptions GraphDriver".split(
    " ",
  ),
);

/**
 * What a field that is null or not there has in Go's type: an empty list or map, or nil (null here). Undefined where
 * no document has such a field.
 */
export function zeroOf(name: string): unknown {
  if (LISTS.has(name)) return [];
  if (MAPS.has(name)) return {};
  return POINTERS.has(name) ? null : undefined;
}

/** A field's value as Go prints it: maps as `map[…]`, other objects as structs, their values alone in braces. */
export function typedValue(value: unknown, name: string): string {
  if (value === null) return "<nil>";
  if (Array.isArray(value)) return `[${value.map((item) => typedValue(item, "")).join(" ")}]`;
  if (typeof value !== "object") return goValue(value, true);
  const map = MAPS.has(name) || name === "Config:map";
  const entries = Object.entries(value as Record<string, unknown>);
  if (map) {
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, item]) => `${key}:${typedValue(item, "")}`).join(" ")}]`;
  }
  const log = "Type" in value && "Config" in value;
  return `{${entries
    .map(([key, item]) => typedValue(item ?? zeroOf(key) ?? null, log && key === "Config" ? "Config:map" : key))
    .join(" ")}}`;
}
