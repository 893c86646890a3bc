import { existsSync } from "node:fs";
import {
  DEFAULT_CAPABILITIES,
  defaultMounts,
  defaultSeccomp,
  MASKED_PATHS,
  READONLY_PATHS,
  shmMount,
} from "@gantry/libcontainer";
import type { LinuxDeviceCgroup, LinuxNamespace, LinuxResources, OciMount, OciUser, RuntimeSpec } from "@gantry/spec";
import type { RunSettings } from "../contract.ts";

const DEVICES: LinuxDeviceCgroup[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  ...[3, 5, 7, 8, 9].map((minor) => ({ allow: true, type: "c", major: 1, minor, access: "rwm" })),
  ...[0, 1, 2].map((minor) => ({ allow: true, type: "c", major: 5, minor, access: "rwm" })),
  { allow: true, type: "c", major: 136, access: "rwm" },
];

const DEFAULT_SHM = 64 << 20;

export interface StepSpec {
  id: string;
  args: string[];
  env: string[];
  cwd: string;
  user: OciUser & { home: string };
  hostname: string;
  network: "new" | "host";
  /** Mounts over the defaults: hosts files, and those of `--mount`. */
  mounts: OciMount[];
  settings: RunSettings;
  cgroupParent: string;
  /** AppArmor profile; "" for none. */
  apparmor: string;
}

/** The runtime spec of a RUN step: a container with Docker's default rights. */
export function stepSpec(step: StepSpec): RuntimeSpec {
  const { settings } = step;
  const { home, ...user } = step.user;
  const privateCgroup = existsSync("/sys/fs/cgroup/cgroup.controllers");
  const namespaces: LinuxNamespace[] = [{ type: "mount" }, { type: "pid" }, { type: "ipc" }, { type: "uts" }];
  if (step.network === "new") namespaces.push({ type: "network" });
  if (privateCgroup) namespaces.push({ type: "cgroup" });
  const capabilities = [...DEFAULT_CAPABILITIES];
  const held = { bounding: capabilities, effective: capabilities, permitted: capabilities };
  const env = [...step.env];
  const define = (key: string, value: string) => {
    if (!env.some((pair) => pair.startsWith(`${key}=`))) env.push(`${key}=${value}`);
  };
  define("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  define("HOSTNAME", step.hostname);
  define("HOME", home);
  return {
    ociVersion: "1.2.0",
    hostname: step.hostname,
    root: { path: "rootfs" },
    process: {
      args: step.args,
      env,
      cwd: step.cwd,
      user,
      capabilities: user.uid === 0 ? held : { bounding: capabilities },
      rlimits: settings.rlimits,
      ...(step.apparmor ? { apparmorProfile: step.apparmor } : {}),
    },
    mounts: [...defaultMounts("ro"), shmMount(settings.shmSize || DEFAULT_SHM), ...step.mounts],
    linux: {
      namespaces,
      cgroupsPath: `/${(settings.cgroupParent || step.cgroupParent).replace(/^\/+|\/+$/g, "")}/${step.id}`,
      resources: resources(settings),
      seccomp: defaultSeccomp(capabilities, process.arch === "arm64" ? "arm64" : "x64"),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
      ...(step.network === "new"
        ? { sysctl: { "net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647" } }
        : {}),
    },
  };
}

function resources(settings: RunSettings): LinuxResources {
  const result: LinuxResources = { devices: DEVICES };
  if (settings.memory) {
    // Docker takes a limit alone to mean as much swap again.
    result.memory = { limit: settings.memory, swap: settings.memorySwap || settings.memory * 2 };
  }
  const { cpuShares, cpuPeriod, cpuQuota, cpusetCpus, cpusetMems } = settings;
  if (cpuShares || cpuPeriod || cpuQuota || cpusetCpus || cpusetMems) {
    result.cpu = {
      ...(cpuShares ? { shares: cpuShares } : {}),
      ...(cpuPeriod ? { period: cpuPeriod } : {}),
      ...(cpuQuota ? { quota: cpuQuota } : {}),
      ...(cpusetCpus ? { cpus: cpusetCpus } : {}),
      ...(cpusetMems ? { mems: cpusetMems } : {}),
    };
  }
  return result;
}
