import { posix } from "node:path";
import type { LinuxNamespace, OciUser, RuntimeSpec } from "@gantry/spec";
import { capabilitySet } from "../config/capabilities.ts";
import type { EngineConfig } from "../config/engine-config.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { containerDevices } from "./devices.ts";
import { containerMounts, type NetworkFiles } from "./mounts.ts";
import { containerProcess } from "./process.ts";
import { linuxResources, rlimits } from "./resources.ts";
import { security } from "./security.ts";

/** What a container shares instead of having its own: namespaces of another process, or none of its own. */
export interface Sharing {
  /** "new", "host", or the path of a namespace to join. */
  network: string;
  ipc: string;
  pid: string;
  uts: string;
}

export interface SpecInputs {
  record: ContainerRecord;
  engine: EngineConfig;
  hostname: string;
  /** Environment variables about linked containers. */
  links: string[];
  user: OciUser & { home: string };
  files: NetworkFiles;
  shm: string | null;
  sharing: Sharing;
  cgroupV2: boolean;
  /** AppArmor profile; "" for none. */
  apparmor: string;
  /** Host path of the init binary, where one is wanted. */
  init: string | null;
}

/** A container's OCI runtime spec, field by field what dockerd would write. */
export function containerSpec(inputs: SpecInputs): RuntimeSpec {
  const { record, engine, sharing } = inputs;
  const { config, hostConfig: host } = record;
  const capabilities = capabilitySet(host.CapAdd ?? [], host.CapDrop ?? [], host.Privileged === true);
  const { noNewPrivileges, seccomp, systemPathsUnconfined, writableCgroups } = security(host, capabilities, engine);
  const { devices, rules } = containerDevices(host);
  const cgroupPrivate = host.CgroupnsMode === "private";
  const { home, ...user } = inputs.user;

  const namespaces: LinuxNamespace[] = [{ type: "mount" }];
  for (const type of ["network", "ipc", "pid", "uts"] as const) {
    const wanted = sharing[type];
    if (wanted === "new") namespaces.push({ type });
    else if (wanted !== "host") namespaces.push({ type, path: wanted });
  }
  if (cgroupPrivate) namespaces.push({ type: "cgroup" });

  const command = [record.path, ...record.args];
  const sysctl: Record<string, string> = { ...host.Sysctls };
  if (sharing.network === "new") {
    sysctl["net.ipv4.ip_unprivileged_port_start"] ??= "0";
    sysctl["net.ipv4.ping_group_range"] ??= "0 2147483647";
  }
  const spec: RuntimeSpec = {
    ociVersion: "1.2.0",
    root: { path: "rootfs", readonly: host.ReadonlyRootfs === true },
    process: containerProcess({
      config,
      host,
      args: inputs.init === null ? command : ["/sbin/docker-init", "--", ...command],
      user,
      home,
      hostname: inputs.hostname,
      links: inputs.links,
      capabilities,
      noNewPrivileges,
      apparmor: inputs.apparmor,
      rlimits: rlimits(host, engine),
    }),
    mounts: containerMounts({ record, files: inputs.files, shm: inputs.shm, init: inputs.init, writableCgroups }),
    linux: {
      namespaces,
      resources: { ...linuxResources(host), devices: rules },
      cgroupsPath: cgroupsPath(record, engine),
    },
  };
  if (sharing.uts === "new") {
    spec.hostname = inputs.hostname;
    if (config.Domainname) spec.domainname = config.Domainname;
  }
  const linux = spec.linux as NonNullable<RuntimeSpec["linux"]>;
  if (devices.length > 0) linux.devices = devices;
  if (seccomp !== null) linux.seccomp = seccomp;
  if (Object.keys(sysctl).length > 0) linux.sysctl = sysctl;
  if (!systemPathsUnconfined) {
    if (host.MaskedPaths?.length) linux.maskedPaths = host.MaskedPaths;
    if (host.ReadonlyPaths?.length) linux.readonlyPaths = host.ReadonlyPaths;
  }
  const propagations = new Set(record.mounts.map((mount) => mount.propagation.replace(/^r/, "")));
  if (propagations.has("shared")) linux.rootfsPropagation = "shared";
  else if (propagations.has("slave")) linux.rootfsPropagation = "rslave";
  if (host.Annotations && Object.keys(host.Annotations).length > 0) spec.annotations = host.Annotations;
  return spec;
}

export function cgroupsPath(record: ContainerRecord, engine: EngineConfig): string {
  const parent = record.hostConfig.CgroupParent || engine.cgroupParent || "gantry";
  return posix.join("/", parent, record.id);
}
