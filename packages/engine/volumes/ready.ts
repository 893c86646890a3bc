import { lstatSync } from "node:fs";
import { invalidParameter } from "@gantry/spec";
import type { ContainerMount } from "../containers/record.ts";
import type { Engine } from "../engine.ts";

/** Checks, before a start, that what a container mounts is still there. Throws invalidParameter. */
export async function volumeReady(engine: Engine, mount: ContainerMount): Promise<void> {
  if (mount.type === "bind" && lstatSync(mount.source, { throwIfNoEntry: false }) === undefined) {
    throw invalidParameter(`invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
  }
  if (mount.type === "volume" && engine.storage.volumes.get(mount.name ?? "") === null) {
    throw invalidParameter(`error while mounting volume '${mount.source}': no such volume`);
  }
}
