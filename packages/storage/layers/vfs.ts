import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { close, O, open } from "@gantry/sys";
import { workers } from "../archive/workers.ts";
import { bind, bindReadOnly } from "./mount.ts";
import type { Snapshotter } from "./snapshotter.ts";
import type { Trash } from "./trash.ts";

/** Every container a whole copy of its image: slow and large, but any file system will do. */
export function vfs(directory: string, trash: Trash): Snapshotter {
  const flatten = async (lower: string[]): Promise<string> => {
    const target = `${directory}/.tmp-${randomUUID()}`;
    mkdirSync(target, { mode: 0o755 });
    try {
      await workers.run("flatten", { layers: lower.toReversed(), target });
    } catch (error) {
      trash.discard(target);
      throw error;
    }
    return target;
  };
  const compare = async (lower: string[], upper: string) => {
    const image = await flatten(lower);
    try {
      const lowerFd = open(image, O.RDONLY | O.DIRECTORY);
      try {
        return await workers.run("changes", { lowerFd, upper, whole: true });
      } finally {
        close(lowerFd);
      }
    } finally {
      trash.discard(image);
    }
  };
  return {
    name: "vfs",
    async prepare(lower, upper) {
      await workers.run("flatten", { layers: lower.toReversed(), target: upper });
    },
    layer: (_lower, upper, work) => ({ lower: [], upper, work }),
    view: async (_lower, upper, _work, readonly) => (readonly ? bindReadOnly(upper) : bind(upper)),
    async viewImage(lower) {
      const target = await flatten(lower);
      const view = bindReadOnly(target);
      return {
        fd: view.fd,
        close() {
          view.close();
          trash.discard(target);
        },
      };
    },
    changes: (lower, upper) => compare(lower, upper),
    async diff(lower, upper) {
      const changes = await compare(lower, upper);
      const path = `${directory}/.tmp-${randomUUID()}`;
      mkdirSync(path, { mode: 0o755 });
      try {
        await workers.run("collectChanges", { root: upper, changes, target: path });
      } catch (error) {
        trash.discard(path);
        throw error;
      }
      return { path, temporary: true };
    },
  };
}
