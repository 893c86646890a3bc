import { existsSync } from "node:fs";
import { invalidParameter, type OciMount, type RuntimeSpec } from "@gantry/spec";
import type { Rootfs } from "../contract.ts";
import { cgroupMountSteps } from "./cgroup-mounts.ts";
import { allDevices, deviceMode } from "./devices.ts";
import { type PlanWriter, Step } from "./format.ts";
import { Propagation, parseMountOptions } from "./options.ts";
import { sysctlSettings } from "./sysctl.ts";

const BIND_RECURSIVE = 1;
const BIND_IDMAP = 2;
const BIND_IDMAP_RECURSIVE = 4;
const MOUNT_COPY_UP = 1;
const MOUNT_NO_LINKS = 2;
const RDONLY = 1;

export interface RootfsOptions {
  /** Where an overlay is mounted, in the container's mount namespace only. */
  mountPoint: string;
  terminal: boolean;
  /** Controller → the container's cgroup directory on the host; "" for v2. */
  cgroups: ReadonlyMap<string, string>;
}

/** "rslave" and so on as MS_* flags. Throws invalidParameter. */
export function propagationFlags(text: string): number {
  const recursive = text.startsWith("r");
  const kind = (recursive ? text.slice(1) : text) as keyof typeof Propagation;
  const flag = kind === "recursive" ? undefined : Propagation[kind];
  if (flag === undefined) throw invalidParameter(`invalid rootfs propagation: ${JSON.stringify(text)}`);
  return flag | (recursive ? Propagation.recursive : 0);
}

export function writeRoot(out: PlanWriter, rootfs: Rootfs, mountPoint: string): void {
  if (rootfs.type === "overlay")
    out.record(Step.rootOverlay, (body) =>
      body
        .string(mountPoint)
        .u32(rootfs.volatile ? 1 : 0)
        .string(rootfs.upper)
        .string(rootfs.work)
        .list(rootfs.lower)
        .list([]),
    );
  else out.record(Step.rootDirectory, (body) => body.string(rootfs.path).string(mountPoint || rootfs.path));
}

const map = (entries: OciMount["uidMappings"] = []) =>
  entries.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join("");

/** The maps of an id-mapped mount: its own, else the container's. The file system's ids stand on the left. */
function mountMaps(mount: OciMount, spec: RuntimeSpec): [string, string] {
  const uids = mount.uidMappings ?? spec.linux?.uidMappings;
  const gids = mount.gidMappings ?? spec.linux?.gidMappings;
  if (!uids?.length || !gids?.length)
    throw invalidParameter(`id-mapped mount ${mount.destination} needs uidMappings and gidMappings`);
  return [map(uids), map(gids)];
}

function writeBind(out: PlanWriter, mount: OciMount, spec: RuntimeSpec): void {
  const options = parseMountOptions(mount.options);
  if (!mount.source?.startsWith("/"))
    throw invalidParameter(`invalid mount source path: '${mount.source ?? ""}' mount path must be absolute`);
  const mapped = options.idmap || mount.uidMappings?.length;
  const [uids, gids] = mapped ? mountMaps(mount, spec) : ["", ""];
  const flags =
    (options.recursive ? BIND_RECURSIVE : 0) |
    (mapped ? BIND_IDMAP : 0) |
    (options.idmapRecursive ? BIND_IDMAP_RECURSIVE : 0);
  out.record(Step.bind, (body) =>
    body
      .string(mount.source!)
      .string(mount.destination)
      .u64(options.set)
      .u64(options.clear)
      .u64(options.allSet)
      .u64(options.allClear)
      .u32(options.propagation)
      .u32(options.propagationRecursive ? 1 : 0)
      .u32(flags)
      .string(uids)
      .string(gids),
  );
}

/** One mount of a file system. Read-only ones that still get something made inside are made so at the end. */
export function writeFilesystem(out: PlanWriter, mount: OciMount, type: string, late: [string, number][]): void {
  const options = parseMountOptions(mount.options);
  const { destination } = mount;
  const defer = options.set & RDONLY && (type === "tmpfs" || destination === "/dev");
  if (defer) late.push([destination, RDONLY]);
  const flags =
    (options.copyUp && type === "tmpfs" ? MOUNT_COPY_UP : 0) |
    (type === "proc" || type === "sysfs" ? MOUNT_NO_LINKS : 0);
  out.record(Step.mount, (body) =>
    body
      .string(type)
      .string(mount.source || type)
      .string(destination)
      .u64(defer ? options.set & ~RDONLY : options.set)
      .u64(options.clear)
      .u32(options.propagation)
      .u32(flags)
      .list(options.data),
  );
}

function isBind(mount: OciMount): boolean {
  return mount.type === "bind" || parseMountOptions(mount.options).bind;
}

const clean = (path: string) =>
  "/" +
  path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");

/** The kernel's own choice; a link to nothing would only confuse. */
const hasKcore = existsSync("/proc/kcore");

function writeDev(out: PlanWriter, spec: RuntimeSpec): void {
  for (const device of allDevices(spec.linux?.devices))
    out.record(Step.device, (body) =>
      body
        .string(clean(device.path))
        .u32(deviceMode(device))
        .u32(device.major ?? 0)
        .u32(device.minor ?? 0)
        .u32(device.uid ?? 0)
        .u32(device.gid ?? 0),
    );
  const links: [string, string][] = [
    ["/proc/self/fd", "/dev/fd"],
    ["/proc/self/fd/0", "/dev/stdin"],
    ["/proc/self/fd/1", "/dev/stdout"],
    ["/proc/self/fd/2", "/dev/stderr"],
    ...(hasKcore ? ([["/proc/kcore", "/dev/core"]] as [string, string][]) : []),
    ["pts/ptmx", "/dev/ptmx"],
  ];
  for (const [target, path] of links) out.record(Step.symlink, (body) => body.string(target).string(path));
}

/** Writes the steps by which init makes its view of the file system, in order. Pure; throws invalidParameter. */
export function writeRootfs(out: PlanWriter, spec: RuntimeSpec, rootfs: Rootfs, options: RootfsOptions): void {
  const linux = spec.linux ?? {};
  const has = (type: string) => linux.namespaces?.some((one) => one.type === type) ?? false;
  const empty = (kind: number) => out.record(kind, () => {});
  const late: [string, number][] = [];

  const ownMounts = linux.namespaces?.some((one) => one.type === "mount" && !one.path) ?? false;
  const propagation = linux.rootfsPropagation && ownMounts ? propagationFlags(linux.rootfsPropagation) : 0;
  // unbindable comes last: nothing could be bound from such a tree
  const initial = propagation & Propagation.unbindable ? 0 : propagation;
  if (ownMounts) out.record(Step.propagation, (body) => body.u32(initial || Propagation.slave | Propagation.recursive));
  if (linux.namespaces?.some((one) => one.type === "cgroup" && !one.path)) empty(Step.cgroupNamespace);
  for (const [path, value] of sysctlSettings(linux)) out.record(Step.sysctl, (body) => body.string(path).string(value));
  // a user namespace's root cannot reach our directories; /sys everybody can, and below it nothing of the host is needed
  writeRoot(out, rootfs, has("user") && ownMounts ? "/sys" : options.mountPoint);

  let ownDev = true;
  for (const given of spec.mounts ?? []) {
    if (!given.destination) throw invalidParameter("a mount without a destination");
    // relative destinations were allowed once: from the root (OCI config.md)
    const mount = { ...given, destination: clean(given.destination) };
    if (isBind(mount)) {
      if (mount.destination === "/dev") ownDev = false;
      writeBind(out, mount, spec);
    } else if (mount.type === "cgroup" || mount.type === "cgroup2") {
      cgroupMountSteps(out, mount, options.cgroups, has("cgroup"), late);
    } else if (mount.type) {
      writeFilesystem(out, mount, mount.type, late);
    } else {
      throw invalidParameter(`mount ${mount.destination} has no type`);
    }
  }
  if (ownDev) writeDev(out, spec);
  if (options.terminal) out.record(Step.console, (body) => body.u32(ownDev ? 1 : 0));
  if (spec.hooks?.prestart?.length || spec.hooks?.createRuntime?.length) empty(Step.hooksRuntime);
  if (spec.hooks?.createContainer?.length) empty(Step.hooksContainer);
  for (const [path, set] of late) out.record(Step.remount, (body) => body.string(path).u64(set));
  for (const path of linux.readonlyPaths ?? []) out.record(Step.readonly, (body) => body.string(path));
  for (const path of linux.maskedPaths ?? []) out.record(Step.mask, (body) => body.string(path));
  if (rootfs.readonly || spec.root?.readonly) empty(Step.rootReadonly);
  empty(ownMounts ? Step.pivot : Step.chroot);
  if (propagation) out.record(Step.propagation, (body) => body.u32(propagation));
  if (spec.hostname && has("uts")) out.record(Step.hostname, (body) => body.string(spec.hostname!));
  if (spec.domainname && has("uts")) out.record(Step.domainname, (body) => body.string(spec.domainname!));
}
