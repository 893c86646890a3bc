import { workers } from "../archive/workers.ts";
import type { Change } from "../contract.ts";
import { mountOverlay } from "./mount.ts";

/** What an upper directory changes against the layers below it: Docker's list, sorted by path. */
export async function changes(lower: string[], upper: string): Promise<Change[]> {
  const below = mountOverlay(lower);
  try {
    return await workers.run("changes", { lowerFd: below.fd, upper });
  } finally {
    below.close();
  }
}
