import type {
  ContainerConfig,
  ContainerStatus,
  Digest,
  EndpointSettings,
  Health,
  HostConfig,
  MountPoint,
} from "@gantry/spec";

/** A mount as resolved at creation; what the OCI spec and `Mounts` of inspect are made of. */
export interface ContainerMount {
  type: "bind" | "volume" | "tmpfs" | "image";
  /** Volume name, or the image as it was asked for. */
  name?: string;
  /** Path on the host (before `subpath`); "" for tmpfs. */
  source: string;
  destination: string;
  driver?: string;
  /** The text after the second colon of `-v`. */
  mode: string;
  rw: boolean;
  propagation: string;
  /** Made for this container alone, and removed with it by `rm -v`. */
  anonymous?: boolean;
  nonRecursive?: boolean;
  readOnlyNonRecursive?: boolean;
  readOnlyForceRecursive?: boolean;
  subpath?: string;
  /** Options of a tmpfs. */
  tmpfsOptions?: string[];
  /** From `HostConfig.Mounts` rather than `Binds`; a missing source is an error there. */
  spec?: boolean;
  createMountpoint?: boolean;
  /** Diff IDs of an image mount. */
  diffIds?: Digest[];
}

/** What a container was made of. Changes by rename, update and network connect only. */
export interface ContainerRecord {
  id: string;
  /** Without the leading slash. */
  name: string;
  created: string;
  /** The command after merging entrypoint and cmd. */
  path: string;
  args: string[];
  imageId: Digest | "";
  config: ContainerConfig;
  hostConfig: HostConfig;
  runtime: string;
  mounts: ContainerMount[];
  /** Endpoints asked for, by network name or ID. */
  endpoints: Record<string, EndpointSettings>;
  platform: string;
}

/** What became of it. */
export interface ContainerStateRecord {
  status: ContainerStatus;
  pid: number;
  exitCode: number;
  error: string;
  oomKilled: boolean;
  startedAt: string;
  finishedAt: string;
  /** A user stopped it: restart policies leave it alone. */
  manuallyStopped: boolean;
  restartCount: number;
  startedBefore: boolean;
  /** The AppArmor profile of its last start; "" for none. */
  appArmorProfile?: string;
  health?: Health;
}

export type { MountPoint };
