import { systemError } from "@gantry/spec";
import { isErrno, kill } from "@gantry/sys";
import { childCgroups, removeDirectory, tryRead } from "./file.ts";

const SIGKILL = 9;

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function ownPids(directory: string): number[] {
  const text = tryRead(`${directory}/cgroup.procs`) ?? "";
  return text.split("\n").filter(Boolean).map(Number);
}

/** Pids in a cgroup and all below it. 0 stands for a process of an outer pid namespace: it cannot be named here. */
export function allPids(directory: string): number[] {
  const pids = ownPids(directory);
  for (const child of childCgroups(directory)) pids.push(...allPids(`${directory}/${child}`));
  return pids.filter((pid) => pid > 0);
}

/** Sends a signal to each process now in the cgroup. Whether there was one. */
export function signalPids(directory: string, signal: number): boolean {
  const pids = allPids(directory);
  for (const pid of pids) kill(pid, signal);
  return pids.length > 0;
}

/** Waits for something to come true, polling at growing intervals up to 20 ms; false after `limit` ms. */
export async function until(condition: () => boolean, limit: number): Promise<boolean> {
  const end = performance.now() + limit;
  for (let wait = 1; ; wait = Math.min(wait * 2, 20)) {
    if (condition()) return true;
    if (performance.now() > end) return false;
    await sleep(wait);
  }
}

/** SIGKILL until nothing is left: a process may fork between the look at the list and its death. */
export async function killUntilEmpty(directory: string, limit: number): Promise<void> {
  if (!(await until(() => !signalPids(directory, SIGKILL), limit)))
    throw systemError(`processes of cgroup ${directory} do not die: ${allPids(directory).slice(0, 8).join(", ")}`);
}

function removeTree(directory: string): void {
  try {
    removeDirectory(directory);
  } catch (error) {
    if (!isErrno(error, "EBUSY", "ENOTEMPTY")) throw error;
    for (const child of childCgroups(directory)) removeTree(`${directory}/${child}`);
    removeDirectory(directory);
  }
}

/** Removes directories with all cgroups below them; EBUSY is tried again, since the dead leave a moment later. */
export async function removeTrees(directories: Iterable<string>, limit: number): Promise<void> {
  const left = new Set(directories);
  let last: unknown;
  const gone = await until(() => {
    for (const directory of left) {
      try {
        removeTree(directory);
        left.delete(directory);
      } catch (error) {
        if (!isErrno(error, "EBUSY", "ENOTEMPTY")) throw error;
        last = error;
      }
    }
    return left.size === 0;
  }, limit);
  if (!gone) throw systemError(`failed to remove cgroup ${[...left].join(", ")}: device or resource busy`, last);
}
