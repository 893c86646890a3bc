import { conflict, invalidParameter, messageOf, notFound, type Volume, type VolumeCreate } from "@gantry/spec";
import type { StoredVolume } from "@gantry/storage";
import { invalidVolumeName } from "../config/mounts.ts";
import { volumeUsers } from "../containers/remove.ts";
import type { Engine } from "../engine.ts";
import type { Filters } from "../filters.ts";
import { newId } from "../ids.ts";

const ANONYMOUS = "com.docker.volume.anonymous";

function toVolume(stored: StoredVolume): Volume {
  return {
    CreatedAt: stored.createdAt.replace(/\.\d+/, ""),
    Driver: "local",
    Labels: Object.keys(stored.labels).length === 0 ? null : stored.labels,
    Mountpoint: stored.mountpoint,
    Name: stored.name,
    Options: Object.keys(stored.driverOpts).length === 0 ? null : stored.driverOpts,
    Scope: "local",
  };
}

function get(engine: Engine, name: string): StoredVolume {
  const volume = engine.storage.volumes.get(name);
  if (volume === null) throw notFound(`get ${name}: no such volume`);
  return volume;
}

export function inspectVolume(engine: Engine, name: string): Volume {
  return toVolume(get(engine, name));
}

/** Makes a volume; one that exists already is given back, whatever its options. */
export async function createVolume(engine: Engine, request: VolumeCreate): Promise<Volume> {
  const driver = request.Driver || "local";
  const name = request.Name || newId();
  if (driver !== "local") {
    throw notFound(`create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`);
  }
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name) || name.length > 255) throw invalidVolumeName(name);
  const existing = engine.storage.volumes.get(name);
  // Of one that is there, no more is asked than that its driver is the same.
  if (existing !== null) return toVolume(existing);
  checkOptions(name, request.DriverOpts ?? {});
  const labels = { ...request.Labels, ...(request.Name ? {} : { [ANONYMOUS]: "" }) };
  const volume = await engine.storage.volumes.create(name, { labels, driverOpts: request.DriverOpts ?? {} });
  engine.events.emit("volume", "create", name, { driver });
  return toVolume(volume);
}

/** The local driver's options: what mount(2) needs. */
function checkOptions(name: string, options: Record<string, string>): void {
  for (const key of Object.keys(options)) {
    if (!["type", "o", "device", "size"].includes(key))
      throw invalidParameter(`create ${name}: invalid option: "${key}"`);
  }
  const { type, device, o } = options;
  const { size } = options;
  if (size !== undefined) {
    const why = /^\d+(\.\d+)?[ ]?([kmgtp]?i?b?)$/i.test(size)
      ? "quota size requested but no quota support"
      : `invalid size: '${size}'`;
    throw invalidParameter(`create ${name}: ${why}`);
  }
  if ((type !== undefined || o !== undefined) && device === undefined)
    throw invalidParameter(`create ${name}: missing required option: "device"`);
  if (
    device !== undefined &&
    type === undefined &&
    !o?.split(",").some((word) => word === "bind" || word === "rbind")
  ) {
    throw invalidParameter(`create ${name}: missing required option: "type"`);
  }
}

const LIST_KEYS = ["dangling", "driver", "label", "name"];

export function listVolumes(engine: Engine, filters: Filters): Volume[] {
  filters.allow(...LIST_KEYS);
  const dangling = filters.has("dangling") ? filters.bool("dangling", false) : null;
  return engine.storage.volumes
    .list()
    .filter(
      (volume) =>
        filters.match("name", volume.name) &&
        filters.exact("driver", "local") &&
        filters.labels("label", volume.labels) &&
        (dangling === null || (volumeUsers(engine, volume.name).length === 0) === dangling),
    )
    .map(toVolume);
}

/** Throws conflict while a container, running or not, mounts it. */
export async function removeVolume(engine: Engine, name: string, force: boolean): Promise<void> {
  if (force && engine.storage.volumes.get(name) === null) return;
  get(engine, name);
  const users = volumeUsers(engine, name);
  if (users.length > 0) {
    throw conflict(`remove ${name}: volume is in use - [${users.map((container) => container.id).join(", ")}]`);
  }
  await engine.storage.volumes.remove(name);
  engine.events.emit("volume", "destroy", name, { driver: "local" });
}

/** Removes volumes nobody mounts: anonymous ones, or with `all` every one. */
export async function pruneVolumes(
  engine: Engine,
  filters: Filters,
): Promise<{ VolumesDeleted: string[]; SpaceReclaimed: number }> {
  filters.allow("all", "label", "label!");
  const all = filters.bool("all", false);
  const deleted: string[] = [];
  let freed = 0;
  for (const volume of engine.storage.volumes.list()) {
    if (!all && volume.labels[ANONYMOUS] === undefined) continue;
    if (volumeUsers(engine, volume.name).length > 0) continue;
    if (!filters.labels("label", volume.labels)) continue;
    if (filters.has("label!") && filters.labels("label!", volume.labels)) continue;
    try {
      freed += await engine.storage.volumes.size(volume.name).catch(() => 0);
      await engine.storage.volumes.remove(volume.name);
      engine.events.emit("volume", "destroy", volume.name, { driver: "local" });
      deleted.push(volume.name);
    } catch (error) {
      engine.log("warn", `volume ${volume.name}: ${messageOf(error)}`);
    }
  }
  engine.events.emit("volume", "prune", "", { reclaimed: String(freed) });
  return { VolumesDeleted: deleted, SpaceReclaimed: freed };
}

/** Every volume with its size and the number of containers that mount it, for system df. */
export async function volumeUsage(engine: Engine): Promise<Volume[]> {
  return Promise.all(
    engine.storage.volumes.list().map(async (volume) => ({
      ...toVolume(volume),
      UsageData: {
        RefCount: volumeUsers(engine, volume.name).length,
        Size: await engine.storage.volumes.size(volume.name).catch(() => -1),
      },
    })),
  );
}
