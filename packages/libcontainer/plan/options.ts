/** fstab options of an OCI mount, sorted into what the kernel's calls take (mount(8), OCI config.md "Mounts"). */
export interface MountOptions {
  /** MOUNT_ATTR_* bits of the mount itself, to set and to clear. */
  set: number;
  clear: number;
  /** The same for it and all mounts below it: rro, rnosuid, … */
  allSet: number;
  allClear: number;
  /** MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE; 0 where not given. */
  propagation: number;
  propagationRecursive: boolean;
  bind: boolean;
  recursive: boolean;
  idmap: boolean;
  idmapRecursive: boolean;
  copyUp: boolean;
  /** What the file system itself is told: "size=64m", "newinstance". */
  data: string[];
}

const RDONLY = 0x1;
const NOSUID = 0x2;
const NODEV = 0x4;
const NOEXEC = 0x8;
const ATIME = 0x70;
const NOATIME = 0x10;
const STRICTATIME = 0x20;
const NODIRATIME = 0x80;
const NOSYMFOLLOW = 0x200000;

/** MS_* of propagation (linux/mount.h). */
export const Propagation = {
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  recursive: 1 << 14,
};

/** [bits to set, bits to clear] */
const ATTRIBUTES: Record<string, [number, number]> = {
  ro: [RDONLY, 0],
  rw: [0, RDONLY],
  nosuid: [NOSUID, 0],
  suid: [0, NOSUID],
  nodev: [NODEV, 0],
  dev: [0, NODEV],
  noexec: [NOEXEC, 0],
  exec: [0, NOEXEC],
  noatime: [NOATIME, ATIME],
  atime: [0, ATIME],
  strictatime: [STRICTATIME, ATIME],
  nostrictatime: [0, ATIME],
  relatime: [0, ATIME],
  norelatime: [0, ATIME],
  nodiratime: [NODIRATIME, 0],
  diratime: [0, NODIRATIME],
  nosymfollow: [NOSYMFOLLOW, 0],
  symfollow: [0, NOSYMFOLLOW],
};

const PROPAGATIONS: Record<string, number> = {
  shared: Propagation.shared,
  slave: Propagation.slave,
  private: Propagation.private,
  unbindable: Propagation.unbindable,
};

/** Defaults, and what has no meaning (any more). */
const IGNORED = new Set([
  "defaults",
  "async",
  "nomand",
  "loud",
  "silent",
  "tmpcopyup",
  "acl",
  "iversion",
  "noiversion",
]);

function combine(set: number, clear: number, [on, off]: [number, number]): [number, number] {
  return [(set & ~off) | on, (clear & ~on) | off];
}

/** Sorts the options; the last of two that contradict each other wins. */
export function parseMountOptions(options: readonly string[] = []): MountOptions {
  const out: MountOptions = {
    set: 0,
    clear: 0,
    allSet: 0,
    allClear: 0,
    propagation: 0,
    propagationRecursive: false,
    bind: false,
    recursive: false,
    idmap: false,
    idmapRecursive: false,
    copyUp: false,
    data: [],
  };
  for (const option of options) {
    if (option === "") continue;
    const attribute = ATTRIBUTES[option];
    const below = option.startsWith("r") ? option.slice(1) : "";
    if (attribute) [out.set, out.clear] = combine(out.set, out.clear, attribute);
    else if (PROPAGATIONS[option]) [out.propagation, out.propagationRecursive] = [PROPAGATIONS[option], false];
    else if (PROPAGATIONS[below]) [out.propagation, out.propagationRecursive] = [PROPAGATIONS[below], true];
    else if (ATTRIBUTES[below]) [out.allSet, out.allClear] = combine(out.allSet, out.allClear, ATTRIBUTES[below]);
    else if (option === "bind") out.bind = true;
    else if (option === "rbind") out.bind = out.recursive = true;
    else if (option === "idmap") out.idmap = true;
    else if (option === "ridmap") out.idmap = out.idmapRecursive = true;
    else if (option === "tmpcopyup") out.copyUp = true;
    else if (IGNORED.has(option)) continue;
    else out.data.push(option);
  }
  return out;
}

/** Every option that is not passed on to the file system, sorted. */
export const MOUNT_OPTION_NAMES: readonly string[] = [
  ...Object.keys(ATTRIBUTES),
  ...Object.keys(ATTRIBUTES).map((name) => `r${name}`),
  ...Object.keys(PROPAGATIONS),
  ...Object.keys(PROPAGATIONS).map((name) => `r${name}`),
  ...["bind", "rbind", "idmap", "ridmap", "tmpcopyup", "defaults"],
].sort();
