import { readFileSync } from "node:fs";
import type { ContainerCreateRequest, HealthcheckConfig, HostConfig } from "@gantry/spec";
import { CliError } from "../errors.ts";
import type { ContainerFlags } from "./container-flags.ts";
import { keyValue, keyValueMap } from "./csv.ts";
import { isCdiDevice, parseDevice } from "./devices.ts";
import { readEnvironment, readLabels } from "./env.ts";
import { isAnonymous, resolveVolume } from "./mounts.ts";
import { emptyNetwork, endpointsOf, isUserDefined, type NetworkOption } from "./networks.ts";
import { parsePorts } from "./ports.ts";

/** A container as the API takes it, from the options and arguments of `run` or `create`. Throws CliError. */
export function containerRequest(
  flags: ContainerFlags,
  changed: ReadonlySet<string>,
  args: readonly string[],
): ContainerCreateRequest {
  const [image, ...command] = args as [string, ...string[]];
  const attached = attachedStreams(flags);
  const { exposed, bindings } = parsePorts(flags.publish, flags.expose);
  const networks = networkOptions(flags);
  const anonymous = flags.volume.filter(isAnonymous);
  const health = healthcheck(flags);
  const hostConfig = hostConfigOf(flags, changed, bindings, networks);
  return {
    Hostname: flags.hostname,
    Domainname: flags.domainname,
    User: flags.user,
    ...attached,
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive && attached.AttachStdin,
    Env: readEnvironment(flags["env-file"], flags.env),
    ...(command.length > 0 ? { Cmd: command } : {}),
    ...(health ? { Healthcheck: health } : {}),
    Image: image,
    ...(Object.keys(exposed).length > 0 ? { ExposedPorts: exposed } : {}),
    Volumes: Object.fromEntries(anonymous.map((volume) => [volume, {}])),
    WorkingDir: flags.workdir,
    ...(changed.has("entrypoint") ? { Entrypoint: [flags.entrypoint] } : {}),
    Labels: keyValueMap(readLabels(flags["label-file"], flags.label)),
    ...(flags["stop-signal"] ? { StopSignal: flags["stop-signal"] } : {}),
    ...(changed.has("stop-timeout") ? { StopTimeout: flags["stop-timeout"] } : {}),
    HostConfig: hostConfig,
    NetworkingConfig: { EndpointsConfig: endpointsOf(networks) },
  };
}

function attachedStreams(flags: ContainerFlags): {
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
} {
  if (flags.attach.length === 0) return { AttachStdin: flags.interactive, AttachStdout: true, AttachStderr: true };
  return {
    AttachStdin: flags.attach.includes("stdin"),
    AttachStdout: flags.attach.includes("stdout"),
    AttachStderr: flags.attach.includes("stderr"),
  };
}

function hostConfigOf(
  flags: ContainerFlags,
  changed: ReadonlySet<string>,
  bindings: HostConfig["PortBindings"],
  networks: readonly NetworkOption[],
): HostConfig {
  const swappiness = flags["memory-swappiness"];
  if (swappiness !== -1 && (swappiness < 0 || swappiness > 100)) {
    throw new CliError(`invalid value: ${swappiness}. Valid memory swappiness range is 0-100`);
  }
  const restart = restartPolicy(flags.restart);
  if (flags.rm && restart.Name !== "no" && restart.Name !== "") {
    throw new CliError("conflicting options: cannot specify both --restart and --rm");
  }
  if (flags["log-driver"] === "none" && flags["log-opt"].length > 0) {
    throw new CliError(`invalid logging opts for driver ${flags["log-driver"]}`);
  }
  checkMode("pid", "PID", flags.pid, (mode) => ["", "host"].includes(mode) || /^container:.+/.test(mode));
  checkMode("uts", "UTS", flags.uts, (mode) => ["", "host"].includes(mode));
  checkMode("userns", "USER", flags.userns, (mode) => ["", "host"].includes(mode));
  checkMode("cgroupns", "CGROUP", flags.cgroupns, (mode) => ["", "private", "host"].includes(mode));
  const binds = flags.volume
    .filter((volume) => !isAnonymous(volume))
    .map((volume) => {
      try {
        return resolveVolume(volume);
      } catch (error) {
        throw new CliError((error as Error).message);
      }
    });
  const security = securityOptions(flags["security-opt"]);
  const cdi = flags.device.filter(isCdiDevice);
  const requests = [...flags.gpus, ...(cdi.length > 0 ? [{ Driver: "cdi", DeviceIDs: cdi }] : [])];
  return {
    Binds: binds.length > 0 ? binds : null,
    ContainerIDFile: flags.cidfile,
    LogConfig: { Type: flags["log-driver"], Config: keyValueMap(flags["log-opt"]) },
    NetworkMode: networks[0]!.target,
    PortBindings: bindings ?? {},
    RestartPolicy: restart,
    AutoRemove: flags.rm,
    VolumeDriver: flags["volume-driver"],
    VolumesFrom: orNull(flags["volumes-from"]),
    ...(flags.annotation.length > 0 ? { Annotations: keyValueMap(flags.annotation) } : {}),
    ConsoleSize: [0, 0],
    ...capabilities(flags["cap-add"], flags["cap-drop"]),
    CgroupnsMode: flags.cgroupns,
    Dns: flags.dns,
    DnsOptions: [...flags["dns-option"], ...flags["dns-opt"]],
    DnsSearch: dnsSearch(flags["dns-search"]),
    ExtraHosts: orNull(flags["add-host"]),
    GroupAdd: orNull(flags["group-add"]),
    IpcMode: flags.ipc,
    Links: orNull(flags.link),
    OomScoreAdj: flags["oom-score-adj"],
    PidMode: flags.pid,
    Privileged: flags.privileged,
    PublishAllPorts: flags["publish-all"],
    ReadonlyRootfs: flags["read-only"],
    SecurityOpt: flags["security-opt"].length > 0 ? security.options : null,
    ...(flags["storage-opt"].length > 0 ? { StorageOpt: storageOptions(flags["storage-opt"]) } : {}),
    ...(flags.tmpfs.length > 0 ? { Tmpfs: tmpfsMap(flags.tmpfs) } : {}),
    UTSMode: flags.uts,
    UsernsMode: flags.userns,
    ShmSize: flags["shm-size"],
    ...(flags.sysctl.length > 0 ? { Sysctls: keyValueMap(flags.sysctl) } : {}),
    ...(flags.runtime ? { Runtime: flags.runtime } : {}),
    Isolation: flags.isolation,
    CpuShares: flags["cpu-shares"],
    Memory: flags.memory,
    NanoCpus: flags.cpus,
    CgroupParent: flags["cgroup-parent"],
    BlkioWeight: flags["blkio-weight"],
    BlkioWeightDevice: flags["blkio-weight-device"],
    BlkioDeviceReadBps: flags["device-read-bps"],
    BlkioDeviceWriteBps: flags["device-write-bps"],
    BlkioDeviceReadIOps: flags["device-read-iops"],
    BlkioDeviceWriteIOps: flags["device-write-iops"],
    CpuPeriod: flags["cpu-period"],
    CpuQuota: flags["cpu-quota"],
    CpuRealtimePeriod: flags["cpu-rt-period"],
    CpuRealtimeRuntime: flags["cpu-rt-runtime"],
    CpusetCpus: flags["cpuset-cpus"],
    CpusetMems: flags["cpuset-mems"],
    Devices: flags.device.filter((device) => !isCdiDevice(device)).map(parseDevice),
    DeviceCgroupRules: orNull(flags["device-cgroup-rule"]),
    DeviceRequests: requests.length > 0 ? requests : null,
    MemoryReservation: flags["memory-reservation"],
    MemorySwap: flags["memory-swap"],
    MemorySwappiness: swappiness,
    OomKillDisable: flags["oom-kill-disable"],
    PidsLimit: flags["pids-limit"],
    Ulimits: flags.ulimit.toSorted((a, b) => (a.Name! < b.Name! ? -1 : 1)),
    ...(flags.mount.length > 0 ? { Mounts: flags.mount } : {}),
    MaskedPaths: security.unconfinedPaths ? [] : null,
    ReadonlyPaths: security.unconfinedPaths ? [] : null,
    ...(changed.has("init") ? { Init: flags.init } : {}),
  };
}

/** Names with their prefix, each once, in order; what is both added and dropped is added. */
function capabilities(add: readonly string[], drop: readonly string[]): Pick<HostConfig, "CapAdd" | "CapDrop"> {
  const names = (list: readonly string[]) => {
    const full = list
      .map((name) => name.trim().toUpperCase())
      .map((name) => (name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`));
    // All of them make the others superfluous.
    return full.includes("ALL") ? ["ALL"] : [...new Set(full)].sort();
  };
  const added = names(add);
  return { CapAdd: orNull(added), CapDrop: orNull(names(drop).filter((name) => !added.includes(name))) };
}

function networkOptions(flags: ContainerFlags): NetworkOption[] {
  const given = [...flags.network, ...flags.net];
  const options = given.length > 0 ? given : [emptyNetwork("default")];
  const aliases = [...flags["network-alias"], ...flags["net-alias"]];
  const first = { ...options[0]! };
  const both = (option: string, per: string) =>
    new CliError(`conflicting options: cannot specify both --${option} and per-network ${per}`);
  if (aliases.length > 0) {
    if (first.aliases.length > 0) throw both("network-alias", "alias");
    first.aliases = aliases;
  }
  if (flags.link.length > 0 && isUserDefined(first.target)) {
    first.links = flags.link;
  }
  if (flags.ip) {
    if (first.ipv4) throw both("ip", "IPv4 address");
    first.ipv4 = flags.ip;
  }
  if (flags.ip6) {
    if (first.ipv6) throw both("ip6", "IPv6 address");
    first.ipv6 = flags.ip6;
  }
  if (flags["mac-address"]) {
    if (first.macAddress) throw both("mac-address", "MAC address");
    if (!/^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/.test(flags["mac-address"].trim())) {
      throw new CliError(`${flags["mac-address"]} is not a valid mac address`);
    }
    first.macAddress = flags["mac-address"];
  }
  if (flags["link-local-ip"].length > 0) {
    if (first.linkLocalIPs.length > 0) throw both("link-local-ip", "link-local IP addresses");
    first.linkLocalIPs = flags["link-local-ip"];
  }
  return [first, ...options.slice(1)];
}

/** `no`, `always`, `unless-stopped`, `on-failure[:n]`. Throws CliError. */
export function restartPolicy(text: string): { Name: string; MaximumRetryCount: number } {
  if (text === "") return { Name: "", MaximumRetryCount: 0 };
  const [name = "", count, ...rest] = text.split(":");
  if (rest.length > 0) throw new CliError("invalid restart policy format: maximum retry count must be an integer");
  if (count !== undefined && !/^[+-]?\d+$/.test(count)) {
    throw new CliError("invalid restart policy format: maximum retry count must be an integer");
  }
  if (!name) throw new CliError("invalid restart policy format: no policy provided before colon");
  return { Name: name, MaximumRetryCount: Number(count ?? 0) };
}

function healthcheck(flags: ContainerFlags): HealthcheckConfig | undefined {
  const config: HealthcheckConfig = {
    ...(flags["health-cmd"] ? { Test: ["CMD-SHELL", flags["health-cmd"]] } : {}),
    ...(flags["health-interval"] ? { Interval: flags["health-interval"] } : {}),
    ...(flags["health-timeout"] ? { Timeout: flags["health-timeout"] } : {}),
    ...(flags["health-start-period"] ? { StartPeriod: flags["health-start-period"] } : {}),
    ...(flags["health-start-interval"] ? { StartInterval: flags["health-start-interval"] } : {}),
    ...(flags["health-retries"] ? { Retries: flags["health-retries"] } : {}),
  };
  const given = Object.keys(config).length > 0;
  if (flags["no-healthcheck"]) {
    if (given) throw new CliError("--no-healthcheck conflicts with --health-* options");
    return { Test: ["NONE"] };
  }
  for (const name of ["interval", "timeout", "retries", "start-period", "start-interval"] as const) {
    if (flags[`health-${name}`] < 0) throw new CliError(`--health-${name} cannot be negative`);
  }
  return given ? config : undefined;
}

function securityOptions(items: readonly string[]): { options: string[]; unconfinedPaths: boolean } {
  let unconfinedPaths = false;
  const options: string[] = [];
  for (const item of items) {
    if (item === "systempaths=unconfined") {
      unconfinedPaths = true;
      continue;
    }
    let [key, profile] = keyValue(item);
    if (profile === undefined && item !== "no-new-privileges") {
      [key, profile] = item.includes(":")
        ? [item.slice(0, item.indexOf(":")), item.slice(item.indexOf(":") + 1)]
        : [item, undefined];
      if (profile === undefined) throw new CliError(`Invalid --security-opt: ${JSON.stringify(item)}`);
    }
    if (key === "seccomp" && profile !== "unconfined" && profile !== "builtin") {
      options.push(`seccomp=${seccompProfile(profile!)}`);
    } else {
      options.push(item);
    }
  }
  return { options, unconfinedPaths };
}

function seccompProfile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as { code?: string };
    throw new CliError(
      `opening seccomp profile (${path}) failed: open ${path}: ${code === "ENOENT" ? "no such file or directory" : code}`,
    );
  }
  try {
    return JSON.stringify(JSON.parse(text));
  } catch (error) {
    throw new CliError(`compacting json for seccomp profile (${path}) failed: ${(error as Error).message}`);
  }
}

function storageOptions(items: readonly string[]): Record<string, string> {
  for (const item of items) {
    if (!item.includes("=")) throw new CliError("invalid storage option");
  }
  return keyValueMap(items);
}

function tmpfsMap(items: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    items.map((item) => {
      const colon = item.indexOf(":");
      return colon < 0 ? [item, ""] : [item.slice(0, colon), item.slice(colon + 1)];
    }),
  );
}

function dnsSearch(domains: readonly string[]): string[] {
  // One dot stands for no search domain at all.
  return domains.filter((domain) => domain !== ".").length === 0 && domains.length > 0 ? ["."] : [...domains];
}

function checkMode(flag: string, name: string, mode: string, valid: (mode: string) => boolean): void {
  if (!valid(mode)) throw new CliError(`--${flag}: invalid ${name} mode`);
}

function orNull<T>(items: readonly T[]): T[] | null {
  return items.length > 0 ? [...items] : null;
}
