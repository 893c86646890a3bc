import type { Digest } from "@gantry/spec";
import { copyUp as copyDirectory } from "@gantry/storage";
import type { Engine } from "../engine.ts";

/** Copies what the image has at each target into its volume, where that is empty. */
export async function copyUp(
  engine: Engine,
  diffIds: Digest[],
  volumes: { volume: string; target: string }[],
): Promise<void> {
  const view = await engine.storage.layers.viewImage(diffIds);
  try {
    for (const { volume, target } of volumes) await copyDirectory(view.fd, target, volume);
  } finally {
    view.close();
  }
}
