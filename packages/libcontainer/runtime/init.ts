import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { shimBinary } from "../shim/binary.ts";

/**
 * Puts the program of `docker run --init` into a directory and returns its path, for a bind mount at /sbin/docker-init.
 * It is the shim under another name, and a copy: a privileged container can make its mount of it writable.
 */
export function installInit(directory: string, shimPath = shimBinary): string {
  const path = `${directory}/docker-init`;
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, readFileSync(shimPath), { mode: 0o755 });
  renameSync(temporary, path);
  return path;
}
