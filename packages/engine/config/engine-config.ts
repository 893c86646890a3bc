import type { Ulimit } from "@gantry/spec";

/** What the daemon was told: flags and daemon.json, already checked. Sizes in bytes, times in seconds. */
export interface EngineConfig {
  dataRoot: string;
  execRoot: string;
  defaultRuntime: string;
  /** External OCI runtimes by name. */
  runtimes: Record<string, { path: string; runtimeArgs?: string[] }>;
  liveRestore: boolean;
  shutdownTimeout: number;
  debug: boolean;
  logDriver: string;
  logOpts: Record<string, string>;
  cgroupParent: string;
  /** Run an init in containers that do not say otherwise. */
  init: boolean;
  defaultShmSize: number;
  defaultUlimits: Record<string, Ulimit>;
  /** "" for the built-in policy, "unconfined", or a file. */
  seccompProfile: string;
  noNewPrivileges: boolean;
  defaultIpcMode: "private" | "shareable";
  defaultCgroupnsMode: "private" | "host" | "";
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  labels: string[];
  insecureRegistries: string[];
  registryMirrors: string[];
  maxConcurrentDownloads: number;
  maxConcurrentUploads: number;
  hostGatewayIps: string[];
  experimental: boolean;
  /** How containers get their root; null: overlay2 where it works, else vfs. */
  storageDriver: "overlay2" | "vfs" | null;
  defaultAddressPools: { Base: string; Size: number }[];
}

export const defaultEngineConfig = (): EngineConfig => ({
  dataRoot: "/var/lib/gantry",
  execRoot: "/run/gantry",
  defaultRuntime: "gantry",
  runtimes: {},
  liveRestore: false,
  shutdownTimeout: 15,
  debug: false,
  logDriver: "json-file",
  logOpts: {},
  cgroupParent: "",
  init: false,
  defaultShmSize: 64 << 20,
  defaultUlimits: {},
  seccompProfile: "",
  noNewPrivileges: false,
  defaultIpcMode: "private",
  defaultCgroupnsMode: "",
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  labels: [],
  insecureRegistries: [],
  registryMirrors: [],
  maxConcurrentDownloads: 3,
  maxConcurrentUploads: 5,
  hostGatewayIps: [],
  experimental: false,
  storageDriver: null,
  defaultAddressPools: [],
});
