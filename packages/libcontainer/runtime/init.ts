import { chmodSync, copyFileSync, renameSync } from "node:fs";

/**
 * Puts the program of `docker run --init` into a directory and returns its path, for a bind mount at /sbin/docker-init.
 * It is the shim under another name, and a copy: a privileged container can make its mount of it writable.
 */
export function installInit(
  directory: string,
  shimPath = new URL("../shim/build/gantry-shim", import.meta.url).pathname,
): string {
  const path = `${directory}/docker-init`;
  const temporary = `${path}.${process.pid}`;
  copyFileSync(shimPath, temporary);
  chmodSync(temporary, 0o755);
  renameSync(temporary, path);
  return path;
}
