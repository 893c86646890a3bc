import type { EndpointSettings } from "@gantry/spec";
import { CliError } from "../errors.ts";
import { csvFields, keyValue } from "./csv.ts";

/** One `--network`, in either form. */
export interface NetworkOption {
  target: string;
  aliases: string[];
  links: string[];
  driverOpts: Record<string, string>;
  ipv4: string;
  ipv6: string;
  linkLocalIPs: string[];
  macAddress: string;
  gwPriority: number;
}

/** One `--network`: a name, or `name=…,alias=…,ip=…` and so on. Throws an Error. */
export function parseNetwork(text: string, before: NetworkOption[]): NetworkOption[] {
  const option = emptyNetwork("");
  if (
    !/^\w+=\w+(,\w+=\w+)*$/.test(text) &&
    !/^(name|alias|driver-opt|ip|ip6|mac-address|link-local-ip|gw-priority)=/.test(text)
  ) {
    return [...before, { ...option, target: text }];
  }
  for (const field of csvFields(text)) {
    const [rawKey, value] = keyValue(field.toLowerCase());
    const key = rawKey.trim();
    const original = keyValue(field)[1]?.trim() ?? "";
    if (value === undefined || !value) throw new Error(`invalid field ${field}`);
    if (key === "name") option.target = original;
    else if (key === "alias") option.aliases.push(original);
    else if (key === "ip") option.ipv4 = original;
    else if (key === "ip6") option.ipv6 = original;
    else if (key === "mac-address") option.macAddress = original;
    else if (key === "link-local-ip") option.linkLocalIPs.push(original);
    else if (key === "driver-opt") {
      const [name, driverValue] = keyValue(original);
      if (driverValue === undefined || !name) throw new Error(`invalid key value pair format in driver options`);
      option.driverOpts[name] = driverValue;
    } else if (key === "gw-priority") {
      if (!/^[+-]?\d+$/.test(original)) throw new Error(`invalid gw-priority (${original}): invalid syntax`);
      option.gwPriority = Number(original);
    } else throw new Error(`invalid field key ${key}`);
  }
  if (!option.target) throw new Error("network name/id is not specified");
  return [...before, option];
}

/** A network without any setting. */
export function emptyNetwork(target: string): NetworkOption {
  return {
    target,
    aliases: [],
    links: [],
    driverOpts: {},
    ipv4: "",
    ipv6: "",
    linkLocalIPs: [],
    macAddress: "",
    gwPriority: 0,
  };
}

/** Whether settings such as aliases make sense on a network of this name. */
export function isUserDefined(target: string): boolean {
  return !["default", "bridge", "host", "none", ""].includes(target) && !target.startsWith("container:");
}

/** Modes beside which there is no other network. */
const SHARED = new Set(["host", "none"]);

/** The endpoints that the options ask for, by network. Throws CliError. */
export function endpointsOf(options: readonly NetworkOption[]): Record<string, EndpointSettings> {
  const endpoints: Record<string, EndpointSettings> = {};
  options.forEach((option, i) => {
    const { target } = option;
    if (Object.hasOwn(endpoints, target)) {
      throw new CliError(`network ${JSON.stringify(target)} is specified multiple times`);
    }
    const shared = [target, options[0]!.target].some((name) => SHARED.has(name) || name.startsWith("container:"));
    if (i > 0 && (shared || (!isUserDefined(options[0]!.target) && !isUserDefined(target)))) {
      throw new CliError("conflicting options: cannot attach both user-defined and non-user-defined network-modes");
    }
    const ipam = {
      ...(option.ipv4 ? { IPv4Address: option.ipv4 } : {}),
      ...(option.ipv6 ? { IPv6Address: option.ipv6 } : {}),
      ...(option.linkLocalIPs.length > 0 ? { LinkLocalIPs: option.linkLocalIPs } : {}),
    };
    endpoints[target] = {
      ...(Object.keys(ipam).length > 0 ? { IPAMConfig: ipam } : {}),
      ...(option.aliases.length > 0 ? { Aliases: option.aliases } : {}),
      ...(option.links.length > 0 ? { Links: option.links } : {}),
      ...(Object.keys(option.driverOpts).length > 0 ? { DriverOpts: option.driverOpts } : {}),
      ...(option.macAddress ? { MacAddress: option.macAddress } : {}),
      ...(option.gwPriority ? { GwPriority: option.gwPriority } : {}),
    };
  });
  return endpoints;
}
