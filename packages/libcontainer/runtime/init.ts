import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { shimBinary } from "../shim/binary.ts";

/**
 * Puts the program of `docker run --init` into a directory and returns its path, for a bind mount at /sbin/docker-init.
 * It is the shim under another name, and a copy: a privileged container can make its mount of it writable.
 * Where there is no room for a new one, one of before serves.
 */
export function installInit(directory: string, shimPath = shimBinary): string {
  const path = `${directory}/docker-init`;
  const program = readFileSync(shimPath);
  const there = existsSync(path);
  if (there && readFileSync(path).equals(program)) return path;
  const temporary = `${path}.new`;
  try {
    rmSync(temporary, { force: true });
    writeFileSync(temporary, program, { mode: 0o755 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    if (!there) throw error;
  }
  return path;
}
