import { mkdirSync } from "node:fs";
import { S } from "@gantry/sys";
import { UpperWriter } from "../copy/upper.ts";
import { followInRoot } from "../tree/follow.ts";

/** Where something is to be mounted, and what the mount point must be. */
export interface MountPoint {
  target: string;
  kind: "directory" | "file";
}

/** Mounts of every container: what lies in them is no part of the image's files. */
const OWN_FILE_SYSTEMS = /^\/(?:proc|sys|dev)(?:\/|$)/;

/**
 * Makes the missing mount points of a step in a layer of their own, that goes between the image and the step's writable
 * layer: so they are there while the step runs, and never get into the image. Returns whether any was made. Throws
 * where something else is in the way.
 */
export function makeStubLayer(directory: string, lowerFd: number, points: MountPoint[]): boolean {
  mkdirSync(directory, { mode: 0o755 });
  const writer = new UpperWriter(directory, lowerFd);
  let made = false;
  try {
    for (const { target, kind } of points) {
      if (OWN_FILE_SYSTEMS.test(target)) continue;
      const path = followInRoot(lowerFd, target);
      const there = writer.stat(path);
      if (there || path === "") continue;
      made = true;
      if (kind === "directory") writer.openFolder(path);
      else writer.putContent(path, new Uint8Array(0), { uid: 0, gid: 0 }, 0o600);
    }
  } finally {
    writer.finish();
  }
  return made;
}

export function isDirectoryMode(mode: number): boolean {
  return (mode & S.IFMT) === S.IFDIR;
}
