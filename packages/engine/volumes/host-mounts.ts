import { mkdirSync, rmdirSync, unlinkSync, writeFileSync } from "node:fs";
import { invalidParameter, messageOf } from "@gantry/spec";
import {
  AT,
  close,
  errnoMessage,
  MNT,
  MOVE_MOUNT,
  MS,
  mount,
  mountPoints,
  moveMount,
  OPEN_TREE,
  openTree,
  S,
  SysError,
  statx,
  umount,
} from "@gantry/sys";
import type { Container } from "../containers/container.ts";
import type { ContainerMount } from "../containers/record.ts";
import type { Engine } from "../engine.ts";
import { openSubpath } from "./subpath.ts";

/**
 * What must be mounted on the host while a container runs: volumes with a device of their own (NFS, tmpfs, a bind),
 * which all their containers share; images that are mounted into containers; and parts of either, whose path is looked up
 * once and then held fast by a mount, so that no link put there since can lead the container's own mount astray.
 */
export async function acquireHostMounts(engine: Engine, container: Container): Promise<void> {
  for (const [index, entry] of container.record.mounts.entries()) {
    if (entry.type === "volume") mountVolume(engine, entry);
    else if (entry.type === "image") await mountImage(engine, container, entry, index);
    if (entry.subpath) mountPart(engine, container, entry, index);
  }
}

/** Tells of a container's volumes that it has them now ("mount"), or has no more ("unmount"). */
export function emitVolumeEvents({ engine, id, record }: Container, action: "mount" | "unmount"): void {
  for (const { type, name, driver = "local", destination, rw, propagation } of record.mounts) {
    if (type !== "volume" || name === undefined) continue;
    const use: Record<string, string> =
      action === "mount" ? { destination, propagation, "read/write": String(rw) } : {};
    engine.events.emit("volume", action, name, { container: id, driver, ...use });
  }
}

/** Unmounts what no running container needs any more. */
export function releaseHostMounts(engine: Engine, container: Container): void {
  for (const [index, entry] of container.record.mounts.entries()) {
    if (entry.subpath) unmount(partPath(engine, container, index));
    if (entry.type === "image") unmount(imagePath(engine, container, index));
    else if (entry.type === "volume" && device(engine, entry) !== null && !inUse(engine, container, entry)) {
      detach(entry.source);
    }
  }
  if (container.record.mounts.some(({ type, subpath }) => type === "image" || subpath)) {
    // Only what is empty: a mount that could not be undone holds somebody's data.
    attempt(() => rmdirSync(mountsOf(engine, container)));
  }
}

/** Whether this one is mounted on the host while its container runs. */
export function needsHostMount(engine: Engine, entry: ContainerMount): boolean {
  return (
    entry.type === "image" || Boolean(entry.subpath) || (entry.type === "volume" && device(engine, entry) !== null)
  );
}

/** The host path to mount in a container: for images, and for parts of volumes, a place made at each start. */
export function mountedAt(engine: Engine, container: Container, entry: ContainerMount, index: number): string {
  if (entry.subpath) return partPath(engine, container, index);
  return entry.type === "image" ? imagePath(engine, container, index) : entry.source;
}

function partPath(engine: Engine, container: Container, index: number): string {
  return `${imagePath(engine, container, index)}.part`;
}

function imagePath(engine: Engine, container: Container, index: number): string {
  return `${mountsOf(engine, container)}/${index}`;
}

const mountsOf = (engine: Engine, container: Container) => `${engine.config.execRoot}/images/${container.id}`;

function inUse(engine: Engine, container: Container, entry: ContainerMount): boolean {
  return engine.containers
    .all()
    .some(
      (other) =>
        other !== container && other.running && other.record.mounts.some((mounted) => mounted.name === entry.name),
    );
}

function device(engine: Engine, entry: ContainerMount): Record<string, string> | null {
  const options = engine.storage.volumes.get(entry.name ?? "")?.driverOpts ?? {};
  return options["device"] === undefined ? null : options;
}

function mountVolume(engine: Engine, entry: ContainerMount): void {
  const options = device(engine, entry);
  if (options === null || mountPoints().includes(entry.source)) return;
  const { flags, data } = mountOptions(options["o"] ?? "");
  const source = options["device"] as string;
  const type = options["type"] ?? "";
  try {
    mount(source, entry.source, type === "none" ? "" : type, flags, data);
  } catch (error) {
    const words = [flags === 0 ? "" : `, flags: 0x${flags.toString(16)}`, data === "" ? "" : `, data: ${data}`].join(
      "",
    );
    const reason = error instanceof SysError ? errnoMessage(error.errno) : messageOf(error);
    throw invalidParameter(
      `error while mounting volume '${entry.source}': failed to mount local volume: mount ${source}:${entry.source}${words}: ${reason}`,
    );
  }
}

const FLAGS: Record<string, number> = {
  ro: MS.RDONLY,
  nosuid: MS.NOSUID,
  nodev: MS.NODEV,
  noexec: MS.NOEXEC,
  sync: MS.SYNCHRONOUS,
  noatime: MS.NOATIME,
  nodiratime: MS.NODIRATIME,
  relatime: MS.RELATIME,
  bind: MS.BIND,
  rbind: MS.BIND | MS.REC,
};
const WITHOUT = new Set(["rw", "defaults", "suid", "dev", "exec", "async", "atime"]);

/** mount(8)'s words as mount(2)'s flags and data. */
export function mountOptions(text: string): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const word of text.split(",")) {
    const flag = FLAGS[word];
    if (flag !== undefined) flags |= flag;
    else if (word !== "" && !WITHOUT.has(word)) data.push(word);
  }
  return { flags, data: data.join(",") };
}

async function mountImage(engine: Engine, container: Container, entry: ContainerMount, index: number): Promise<void> {
  const path = imagePath(engine, container, index);
  detach(path);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const view = await engine.storage.layers.viewImage(entry.diffIds ?? [], { bare: true });
  try {
    moveMount(view.fd, "", AT.FDCWD, path, MOVE_MOUNT.F_EMPTY_PATH);
  } finally {
    view.close();
  }
}

function mountPart(engine: Engine, container: Container, entry: ContainerMount, index: number): void {
  const base = entry.type === "image" ? imagePath(engine, container, index) : entry.source;
  const path = partPath(engine, container, index);
  // What a killed daemon left behind.
  unmount(path);
  const found = openSubpath(base, entry.subpath ?? "");
  try {
    mkdirSync(mountsOf(engine, container), { recursive: true, mode: 0o700 });
    if ((statx(found, "").mode & S.IFMT) === S.IFDIR) mkdirSync(path, { mode: 0o700 });
    else writeFileSync(path, "", { flag: "wx" });
    const tree = openTree(found, "", OPEN_TREE.CLONE | AT.EMPTY_PATH | AT.RECURSIVE);
    try {
      moveMount(tree, "", AT.FDCWD, path, MOVE_MOUNT.F_EMPTY_PATH);
    } finally {
      close(tree);
    }
  } finally {
    close(found);
  }
}

function unmount(path: string): void {
  detach(path);
  attempt(() => rmdirSync(path));
  attempt(() => unlinkSync(path));
}

function detach(path: string): void {
  attempt(() => umount(path, MNT.DETACH));
}

/** Does what may have been done already. */
function attempt(undo: () => void): void {
  try {
    undo();
  } catch {
    // Not there, or not mounted.
  }
}
