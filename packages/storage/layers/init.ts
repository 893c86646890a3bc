import { lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";

/**
 * The bottom of every container: what Docker makes sure of in each (its "init layer"), so that there is something to mount
 * on even in an image from scratch. Below the image's layers, so that it changes nothing an image has.
 */
const FOLDERS = ["dev", "dev/pts", "dev/shm", "proc", "sys", "etc"];
const FILES = [".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf"];

/** Makes the layer in `<directory>` where it is not whole. Returns the directory. */
export function ensureInitLayer(directory: string): string {
  if (present(`${directory}/etc/mtab`)) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  for (const folder of FOLDERS) mkdirSync(`${directory}/${folder}`, { mode: 0o755, recursive: true });
  for (const file of FILES) writeFileSync(`${directory}/${file}`, "", { mode: 0o755 });
  // Last, as the mark that all is there.
  symlinkSync("/proc/mounts", `${directory}/etc/mtab`);
  return directory;
}

function present(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
