import { type ContainerConfig, type HostConfig, invalidParameter, parseJson } from "@gantry/spec";

/** Checks the namespaces a container shares, against each other and against the rest. */
export function validateModes(host: HostConfig, config: ContainerConfig): void {
  const mode = host.NetworkMode ?? "";
  if (mode.startsWith("container:")) {
    if (mode === "container:") {
      throw invalidParameter("invalid network mode: invalid container format container:<name|id>");
    }
    if (config.Hostname) throw invalidParameter("conflicting options: hostname and the network mode");
    if ((host.Links?.length ?? 0) > 0) {
      throw invalidParameter(
        "conflicting options: container type network can't be used with links. This would result in undefined behavior",
      );
    }
    if ((host.Dns?.length ?? 0) > 0) throw invalidParameter("conflicting options: dns and the network mode");
    if ((host.ExtraHosts?.length ?? 0) > 0) {
      throw invalidParameter("conflicting options: custom host-to-IP mapping and the network mode");
    }
    if (Object.keys(host.PortBindings ?? {}).length > 0 || host.PublishAllPorts === true) {
      throw invalidParameter("conflicting options: port publishing and the container type network mode");
    }
    if (Object.keys(config.ExposedPorts ?? {}).length > 0) {
      throw invalidParameter("conflicting options: port exposing and the container type network mode");
    }
  }
  if (mode === "host" && (host.Links?.length ?? 0) > 0) {
    throw invalidParameter(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  }
  if (host.UTSMode && host.UTSMode !== "host") throw invalidParameter(`invalid UTS mode: ${host.UTSMode}`);
  if (host.UTSMode === "host" && config.Hostname)
    throw invalidParameter("conflicting options: hostname and the UTS mode");
  const ipc = host.IpcMode ?? "";
  if (!["", "none", "private", "shareable", "host"].includes(ipc) && !/^container:.+/.test(ipc)) {
    throw invalidParameter(`invalid IPC mode: ${ipc}`);
  }
  const pid = host.PidMode ?? "";
  if (pid !== "" && pid !== "host" && !/^container:.+/.test(pid)) throw invalidParameter(`invalid PID mode: ${pid}`);
  const cgroupns = host.CgroupnsMode ?? "";
  if (!["", "host", "private"].includes(cgroupns)) throw invalidParameter(`invalid cgroup namespace mode: ${cgroupns}`);
  if (host.Cgroup) throw invalidParameter(`invalid cgroup specification: ${host.Cgroup}`);
}

/** Checks one `--security-opt`. */
export function validateSecurityOption(option: string): void {
  if (option === "no-new-privileges" || option === "disable" || option === "writable-cgroups") return;
  const at = option.search(/[:=]/);
  if (at < 0) throw invalidParameter(`invalid --security-opt 1: "${option}"`);
  const key = option.slice(0, at);
  const value = option.slice(at + 1);
  if ((key === "systempaths" && value !== "unconfined") || (key === "writable-cgroups" && parseBool(value) === null)) {
    throw invalidParameter(`invalid --security-opt 2: "${option}"`);
  }
  if (["label", "apparmor", "seccomp", "systempaths", "writable-cgroups"].includes(key)) {
    if (key === "seccomp" && value !== "unconfined" && value !== "builtin") {
      try {
        parseJson(value);
      } catch {
        throw invalidParameter(`Decoding seccomp profile failed: invalid JSON`);
      }
    }
    return;
  }
  if (key === "no-new-privileges") {
    if (parseBool(value) === null) throw invalidParameter(`invalid --security-opt 2: "${option}"`);
    return;
  }
  throw invalidParameter(`invalid --security-opt 2: "${option}"`);
}

/** The words that Go takes for a boolean; null for others. */
export function parseBool(text: string): boolean | null {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  return /^(0|f|F|false|FALSE|False)$/.test(text) ? false : null;
}

const IPC_SYSCTLS = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..*)$/;

/** The option of an endpoint that holds the sysctls of its interface. */
export const ENDPOINT_SYSCTLS = "com.docker.network.endpoint.sysctls";

/** "net.ipv4.conf.eth0.forwarding" as the interface and the name with IFNAME in its place; null for others. */
export function interfaceSysctl(name: string): { device: string; general: string } | null {
  const [net, family, kind, device, ...rest] = name.split(".");
  if (net !== "net" || !device?.startsWith("eth") || rest.length === 0) return null;
  return { device, general: [net, family, kind, "IFNAME", ...rest].join(".") };
}

/** Only what belongs to the container's own namespaces may be set. */
export function validateSysctl(name: string, host: HostConfig): void {
  if (name.includes("..") || name.includes("/")) throw invalidParameter(`invalid sysctl name '${name}'`);
  if (IPC_SYSCTLS.test(name)) {
    if (host.IpcMode === "host") throw invalidParameter(`sysctl '${name}' is not allowed in the host ipc namespace`);
    return;
  }
  if (name.startsWith("net.")) {
    // These belong to the endpoint: when the others are set, there is no interface yet.
    if (interfaceSysctl(name) !== null) {
      throw invalidParameter(
        `interface specific sysctl setting ${JSON.stringify(name)} must be supplied using driver option '${ENDPOINT_SYSCTLS}'`,
      );
    }
    if (host.NetworkMode === "host") {
      throw invalidParameter(`sysctl '${name}' is not allowed in the host network namespace`);
    }
    return;
  }
  if (name === "kernel.hostname" || name === "kernel.domainname") return;
  throw invalidParameter(`sysctl '${name}' is not allowed as it cannot be namespaced`);
}
