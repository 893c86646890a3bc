import { mkdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { invalidParameter, messageOf } from "@gantry/spec";
import { AT, MNT, MOVE_MOUNT, MS, mount, moveMount, umount } from "@gantry/sys";
import type { Container } from "../containers/container.ts";
import type { ContainerMount } from "../containers/record.ts";
import type { Engine } from "../engine.ts";

/**
 * What must be mounted on the host while a container runs: volumes with a device of their own (NFS, tmpfs, a bind),
 * which all their containers share, and images that are mounted into containers.
 */
export async function acquireHostMounts(engine: Engine, container: Container): Promise<void> {
  for (const [index, entry] of container.record.mounts.entries()) {
    if (entry.type === "volume") mountVolume(engine, entry);
    else if (entry.type === "image") await mountImage(engine, container, entry, index);
  }
}

/** Unmounts what no running container needs any more. */
export function releaseHostMounts(engine: Engine, container: Container): void {
  for (const [index, entry] of container.record.mounts.entries()) {
    if (entry.type === "image") unmount(imagePath(engine, container, index));
    else if (entry.type === "volume" && device(engine, entry) !== null && !inUse(engine, container, entry)) {
      detach(entry.source);
    }
  }
  if (container.record.mounts.some(({ type }) => type === "image")) {
    rmSync(`${engine.config.execRoot}/images/${container.id}`, { recursive: true, force: true });
  }
}

/** Whether this one is mounted on the host while its container runs. */
export function needsHostMount(engine: Engine, entry: ContainerMount): boolean {
  return entry.type === "image" || (entry.type === "volume" && device(engine, entry) !== null);
}

/** Where an image is mounted for a container. */
export function imagePath(engine: Engine, container: Container, index: number): string {
  return `${engine.config.execRoot}/images/${container.id}/${index}`;
}

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

function isMounted(path: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === path);
}

function mountVolume(engine: Engine, entry: ContainerMount): void {
  const options = device(engine, entry);
  if (options === null || isMounted(entry.source)) return;
  const { flags, data } = mountOptions(options["o"] ?? "");
  const source = options["device"] as string;
  const type = options["type"] ?? "";
  try {
    mount(source, entry.source, type === "none" ? "" : type, flags, data);
  } catch (error) {
    throw invalidParameter(
      `error while mounting volume '${entry.source}': failed to mount local volume: mount ${source}:${entry.source}, flags: 0x${flags.toString(16)}${data === "" ? "" : `, data: ${data}`}: ${messageOf(error)}`,
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
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const view = await engine.storage.layers.viewImage(entry.diffIds ?? []);
  try {
    moveMount(view.fd, "", AT.FDCWD, path, MOVE_MOUNT.F_EMPTY_PATH);
  } finally {
    view.close();
  }
}

function unmount(path: string): void {
  detach(path);
  try {
    rmdirSync(path);
  } catch {
    // Not there.
  }
}

function detach(path: string): void {
  try {
    umount(path, MNT.DETACH);
  } catch {
    // Not mounted.
  }
}
