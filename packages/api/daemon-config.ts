import { isIP } from "node:net";
import { type RegistryConfig, readRegistryConfig } from "@gantry/distribution";
import { defaultEngineConfig, type EngineConfig, logDrivers, validateLogConfig } from "@gantry/engine";
import type { NetworkOptions } from "@gantry/network";
import { GantryError, invalidParameter, messageOf, type Ulimit } from "@gantry/spec";
import type { DaemonOption } from "./daemon-options.ts";
import { byFlag, byKey, conflicts, parseFlags, readConfigFile, type Values } from "./daemon-values.ts";

/** What the daemon was told, checked and with defaults filled in. */
export interface DaemonConfig {
  engine: EngineConfig;
  network: Omit<NetworkOptions, "db" | "execRoot">;
  registry: RegistryConfig;
  /** `unix://path` and `tcp://host:port`. */
  hosts: string[];
  tls: { enabled: boolean; verify: boolean; ca: string; cert: string; key: string };
  pidfile: string;
  group: string;
  logLevel: "debug" | "info" | "warn" | "error" | "fatal";
  /** Only check the configuration. */
  validate: boolean;
  /** Environment for what the daemon fetches itself. */
  proxy: { http: string; https: string; no: string };
  warnings: string[];
  /** Path of daemon.json, and the keys it has. */
  configFile: string;
  fileKeys: ReadonlySet<string>;
}

export const DEFAULT_CONFIG_FILE = "/etc/gantry/daemon.json";

/**
 * Reads dockerd's command line and daemon.json into one configuration.
 *
 * @param args what follows `gantry daemon`
 * @throws invalidParameter in dockerd's words: unknown flags and keys, conflicts between the two, bad values
 */
export function parseDaemonConfig(args: string[]): DaemonConfig {
  const flags = parseFlags(args);
  const fileOption = byFlag.get("config-file") as DaemonOption;
  const path = (flags.get(fileOption) as string | undefined) ?? DEFAULT_CONFIG_FILE;
  const file = readConfigFile(path, flags.has(fileOption));
  const problems = conflicts(flags, file);
  if (problems.length > 0) {
    throw invalidParameter(
      `unable to configure the daemon with file ${path}: the following directives are specified both as a flag and in the configuration file: ${problems.join(", ")}`,
    );
  }
  return {
    ...settle(new Map([...file, ...flags])),
    configFile: path,
    fileKeys: new Set([...file.keys()].map((option) => option.key)),
  };
}

function settle(values: Values): Omit<DaemonConfig, "configFile" | "fileKeys"> {
  const get = <T>(name: string): T | undefined => {
    const option = byFlag.get(name) ?? byKey.get(name);
    return option === undefined ? undefined : (values.get(option) as T | undefined);
  };
  const warnings: string[] = [];
  for (const [option, value] of values) {
    const empty = value === false || value === "" || value === 0 || (Array.isArray(value) && value.length === 0);
    const name = option.flag === "" ? option.key : `--${option.flag}`;
    if (option.refused && !empty) throw invalidParameter(`${name} is not supported by this engine`);
    if (option.ignored && !empty) warnings.push(`${name} has no meaning in this engine and is ignored`);
  }
  const driver = get<string>("storage-driver") ?? "";
  if (!["", "overlay2", "overlayfs", "vfs"].includes(driver)) {
    throw invalidParameter(`error initializing graphdriver: driver not supported: ${driver}`);
  }
  for (const option of get<string[]>("exec-opt") ?? []) {
    if (option !== "native.cgroupdriver=cgroupfs")
      throw invalidParameter(`exec-opt ${option} is not supported: only native.cgroupdriver=cgroupfs is`);
  }
  const engine = engineConfig(get);
  engine.storageDriver = driver === "" ? null : driver === "vfs" ? "vfs" : "overlay2";
  const logLevel = get<string>("log-level") ?? (engine.debug ? "debug" : "info");
  if (!["debug", "info", "warn", "error", "fatal"].includes(logLevel)) {
    throw invalidParameter(`invalid logging level: ${logLevel}`);
  }
  if (logLevel === "debug") engine.debug = true;
  const logFormat = get<string>("log-format") ?? "";
  if (!["", "text", "json"].includes(logFormat)) throw invalidParameter(`invalid log format: ${logFormat}`);
  const registry: Record<string, unknown> = {};
  for (const key of [
    "insecure-registries",
    "registry-mirrors",
    "registries",
    "allow-nondistributable-artifacts",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
  ]) {
    const value = get(key) ?? values.get(byKey.get(key) as DaemonOption);
    if (value !== undefined) registry[key] = value;
  }
  const proxies = get<Record<string, string>>("proxies") ?? {};
  const hosts = (get<string[]>("host") ?? ["unix:///run/gantry.sock"]).map(checkHost);
  const verify = get<boolean>("tlsverify") === true;
  return {
    engine,
    network: networkOptions(get),
    registry: readRegistryConfig(registry),
    hosts,
    tls: {
      enabled: verify || get<boolean>("tls") === true,
      verify,
      ca: get<string>("tlscacert") ?? "",
      cert: get<string>("tlscert") ?? "",
      key: get<string>("tlskey") ?? "",
    },
    pidfile: get<string>("pidfile") ?? "/run/gantry.pid",
    group: get<string>("group") ?? "docker",
    logLevel: logLevel as DaemonConfig["logLevel"],
    validate: get<boolean>("validate") === true,
    proxy: {
      http: get<string>("http-proxy") ?? proxies["http-proxy"] ?? "",
      https: get<string>("https-proxy") ?? proxies["https-proxy"] ?? "",
      no: get<string>("no-proxy") ?? proxies["no-proxy"] ?? "",
    },
    warnings,
  };
}

/** Names of letters, digits and hyphens with dots between them, some letter among them. */
const DOMAIN = /^(?=.*[a-z])[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*\.?$/i;

type Get = <T>(name: string) => T | undefined;

function engineConfig(get: Get): EngineConfig {
  const config = defaultEngineConfig();
  const absolute = (name: string, fallback: string): string => {
    const path = get<string>(name) ?? fallback;
    if (!path.startsWith("/")) throw invalidParameter(`--${name} must be an absolute path: ${path}`);
    return path.replace(/\/+$/, "") || "/";
  };
  config.dataRoot = absolute("data-root", config.dataRoot);
  config.execRoot = absolute("exec-root", config.execRoot);
  const runtimes =
    get<Record<string, { path?: string; runtimeArgs?: string[]; runtimeType?: string }>>("add-runtime") ?? {};
  for (const [name, runtime] of Object.entries(runtimes)) {
    if (name === "gantry") throw invalidParameter("runtime name 'gantry' is reserved");
    if (runtime.runtimeType) throw invalidParameter(`runtime ${name}: runtimeType is not supported, only path is`);
    if (!runtime.path) throw invalidParameter(`runtime ${name}: either a runtimeType or a path must be configured`);
    config.runtimes[name] = {
      path: runtime.path,
      ...(runtime.runtimeArgs ? { runtimeArgs: runtime.runtimeArgs } : {}),
    };
  }
  config.defaultRuntime = get<string>("default-runtime") ?? config.defaultRuntime;
  if (
    !["gantry", "runc", "io.containerd.runc.v2"].includes(config.defaultRuntime) &&
    config.runtimes[config.defaultRuntime] === undefined
  ) {
    throw invalidParameter(`specified default runtime '${config.defaultRuntime}' does not exist`);
  }
  config.liveRestore = get<boolean>("live-restore") ?? false;
  config.shutdownTimeout = get<number>("shutdown-timeout") ?? config.shutdownTimeout;
  config.debug = get<boolean>("debug") ?? false;
  config.logDriver = get<string>("log-driver") ?? config.logDriver;
  config.logOpts = get<Record<string, string>>("log-opt") ?? {};
  try {
    // Like Docker without options: what they lack (an address, say) containers may bring.
    if (Object.keys(config.logOpts).length > 0 || !logDrivers().includes(config.logDriver)) {
      validateLogConfig(config.logDriver, config.logOpts);
    }
  } catch (error) {
    throw new GantryError("invalidParameter", `failed to set log opts: ${messageOf(error)}`);
  }
  config.cgroupParent = get<string>("cgroup-parent") ?? "";
  if (config.cgroupParent.split("/").includes(".."))
    throw invalidParameter(`invalid cgroup-parent: ${config.cgroupParent}`);
  config.init = get<boolean>("init") ?? false;
  const shm = get<string>("default-shm-size");
  if (shm !== undefined) config.defaultShmSize = parseSize(shm);
  config.defaultUlimits = get<Record<string, Ulimit>>("default-ulimit") ?? {};
  config.seccompProfile = get<string>("seccomp-profile") ?? "";
  config.noNewPrivileges = get<boolean>("no-new-privileges") ?? false;
  const ipc = get<string>("default-ipc-mode") ?? "private";
  if (ipc !== "private" && ipc !== "shareable")
    throw invalidParameter(`IPC mode "${ipc}" is not supported as the default value`);
  config.defaultIpcMode = ipc;
  const cgroupns = get<string>("default-cgroupns-mode") ?? "";
  if (cgroupns !== "" && cgroupns !== "private" && cgroupns !== "host") {
    throw invalidParameter(`default cgroup namespace mode (${cgroupns}) is invalid. Use "host" or "private"`);
  }
  config.defaultCgroupnsMode = cgroupns;
  config.dns = get<string[]>("dns") ?? [];
  for (const address of config.dns) {
    if (isIP(address) === 0) throw invalidParameter(`${address} is not an ip address`);
  }
  config.dnsSearch = get<string[]>("dns-search") ?? [];
  for (const domain of config.dnsSearch) {
    if (domain !== "." && !DOMAIN.test(domain)) throw invalidParameter(`${domain} is not a valid domain`);
  }
  config.dnsOptions = get<string[]>("dns-opt") ?? [];
  config.labels = get<string[]>("label") ?? [];
  for (const label of config.labels) {
    if (!/^[^=]+=/.test(label)) throw invalidParameter(`bad attribute format: ${label}`);
    const key = label.slice(0, label.indexOf("=") + 1);
    const other = config.labels.find((one) => one.startsWith(key) && one !== label);
    if (other !== undefined) throw invalidParameter(`conflict labels for ${other} and ${label}`);
  }
  config.insecureRegistries = get<string[]>("insecure-registry") ?? [];
  config.registryMirrors = get<string[]>("registry-mirror") ?? [];
  config.hostGatewayIps = get<string[]>("host-gateway-ip") ?? [];
  config.experimental = get<boolean>("experimental") ?? false;
  config.defaultAddressPools = (get<{ base: string; size: number }[]>("default-address-pool") ?? []).map(
    ({ base, size }) => ({
      Base: base,
      Size: size,
    }),
  );
  return config;
}

function networkOptions(get: Get): DaemonConfig["network"] {
  const backend = get<string>("firewall-backend") ?? "";
  if (backend !== "" && backend !== "nftables" && backend !== "iptables") {
    throw invalidParameter(`invalid firewall-backend "${backend}"`);
  }
  const mtu = get<number>("mtu");
  const ip = get<string>("ip");
  if (ip !== undefined && isIP(ip) === 0) throw invalidParameter(`invalid IP address: ${ip}`);
  if (mtu !== undefined && (mtu < 0 || mtu > 65535)) throw invalidParameter(`invalid default MTU: ${mtu}`);
  const options: Record<string, unknown> = {
    bridge: get("bridge"),
    bip: get("bip"),
    bip6: get("bip6"),
    fixedCidr: get("fixed-cidr"),
    fixedCidrV6: get("fixed-cidr-v6"),
    defaultGateway: get("default-gateway"),
    defaultGatewayV6: get("default-gateway-v6"),
    mtu,
    icc: get("icc"),
    ipMasq: get("ip-masq"),
    ipv6: get("ipv6"),
    ip,
    addressPools: get("default-address-pool"),
    iptables: get("iptables"),
    ip6tables: get("ip6tables"),
    allowDirectRouting: get("allow-direct-routing"),
    ipForward: get("ip-forward"),
    ipForwardNoDrop: get("ip-forward-no-drop"),
    hostGatewayIps: get("host-gateway-ip"),
    defaultNetworkOpts: get("default-network-opt"),
  };
  for (const key of Object.keys(options)) if (options[key] === undefined) delete options[key];
  return options as DaemonConfig["network"];
}

function checkHost(text: string): string {
  if (text.startsWith("unix://")) {
    const path = text.slice(7);
    if (path === "") return "unix:///run/gantry.sock";
    if (!path.startsWith("/") || path.includes("\0"))
      throw invalidParameter(`invalid bind address (${text}): the path must be absolute`);
    if (Buffer.byteLength(path) > 107)
      throw invalidParameter(`invalid bind address (${text}): the path is longer than a socket's may be`);
    return text;
  }
  if (text.startsWith("tcp://")) {
    const match = /^tcp:\/\/(\[[0-9a-fA-F:]+\]|[^:/]*)(?::(\d{1,5}))?\/?$/.exec(text);
    if (match === null || Number(match[2] ?? 0) > 65535) throw invalidParameter(`invalid bind address (${text})`);
    return text;
  }
  if (text.startsWith("fd://"))
    throw invalidParameter(`invalid bind address (${text}): socket activation is not supported; use unix:// or tcp://`);
  throw invalidParameter(`invalid bind address (${text}): unsupported protocol`);
}

/** "64m" in bytes. */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw invalidParameter(`invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * 1024 ** " kmgt".indexOf((match[2] || " ").toLowerCase()));
}
