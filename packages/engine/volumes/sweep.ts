import { readdirSync, rmdirSync, unlinkSync } from "node:fs";
import { MNT, mountPoints, umount } from "@gantry/sys";
import type { Engine } from "../engine.ts";

/**
 * Unmounts what a killed daemon left mounted on the host for containers that do not run: of a start, or a removal, that was
 * cut off. Takes no directory that holds anything: what could not be unmounted has somebody's data.
 */
export function sweepHostMounts(engine: Engine): void {
  const { execRoot } = engine.config;
  const running = engine.containers.all().filter((container) => container.running);
  const alive = new Set(running.map(({ id }) => id));
  const used = new Set(running.flatMap(({ record }) => record.mounts.map(({ name }) => name)));
  const roots = [`${execRoot}/shm/`, `${execRoot}/images/`];
  const idle = new Set(
    engine.storage.volumes
      .list()
      .filter(({ name, driverOpts }) => driverOpts["device"] !== undefined && !used.has(name))
      .map(({ mountpoint }) => mountpoint),
  );
  for (const path of mountPoints().reverse()) {
    const root = roots.find((one) => path.startsWith(one));
    const left = root === undefined ? idle.has(path) : !alive.has(path.slice(root.length).split("/")[0] as string);
    if (left) attempt(() => umount(path, MNT.DETACH));
  }
  for (const root of roots) {
    for (const id of list(root)) {
      if (alive.has(id)) continue;
      for (const name of list(`${root}${id}`)) {
        attempt(() => rmdirSync(`${root}${id}/${name}`));
        attempt(() => unlinkSync(`${root}${id}/${name}`));
      }
      attempt(() => rmdirSync(`${root}${id}`));
    }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // Gone, or in use.
  }
}
