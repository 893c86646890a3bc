import { close, O, open, openat2, RESOLVE, SysError } from "@gantry/sys";
import { listDirectory, statAt } from "./at.ts";
import { Extractor } from "./extractor.ts";
import { Packer } from "./packer.ts";
import { TarParser } from "./parser.ts";

/**
 * Copies what an image has at `path` into a new, empty volume, with owners, modes, times and attributes; the directory's
 * own owner and mode too. Nothing there, or no directory, is no error. Returns whether anything was copied or set.
 */
export function copyUp(job: { rootFd: number; path: string; target: string }): boolean {
  let source: number;
  try {
    source = openat2(job.rootFd, job.path, {
      flags: O.RDONLY | O.DIRECTORY,
      resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS,
    });
  } catch (error) {
    if (error instanceof SysError && [2, 20].includes(error.errno)) return false;
    throw error;
  }
  const target = open(job.target, O.RDONLY | O.DIRECTORY);
  const extractor = new Extractor(target, {});
  try {
    // A volume that has something is never touched.
    if (listDirectory(target).length > 0) return false;
    const parser = new TarParser(extractor);
    const packer = new Packer(source, { write: (bytes) => parser.push(bytes) }, { rebase: ".", exactTimes: true });
    for (const _ of packer.walk());
    parser.finish();
    extractor.finish();
    return statAt(target, "") !== null;
  } finally {
    extractor.dispose();
    close(target);
    close(source);
  }
}
