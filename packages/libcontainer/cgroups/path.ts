import { invalidParameter } from "@gantry/spec";

/** Kernel limit of a path given to a system call, the manager's root included. */
const LONGEST = 3072;

/**
 * A cgroup's path below the root, without slashes at its ends. cgroup file systems have no symbolic links, so that a
 * path without `..` cannot leave the root. Throws `invalidParameter`.
 */
export function cgroupPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length === 0 || parts.includes("..") || path.includes("\0") || path.length > LONGEST)
    throw invalidParameter(`invalid cgroup path: ${JSON.stringify(path)}`);
  return parts.join("/");
}
