import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Pacer } from "./pacer.ts";

/** Entries looked at in one directory tree: beyond, the size is a lower bound. */
const MAX_ENTRIES = 200_000;

/** Bytes of all files in a directory; 0 where there is none. */
export async function directorySize(path: string): Promise<number> {
  const pacer = new Pacer();
  let bytes = 0;
  let entries = 0;
  const pending = [path];
  for (let folder = pending.pop(); folder !== undefined && entries < MAX_ENTRIES; folder = pending.pop()) {
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch {
      continue;
    }
    for (const name of names) {
      entries++;
      const stat = lstatSync(join(folder, name), { throwIfNoEntry: false });
      if (stat?.isDirectory()) pending.push(join(folder, name));
      else bytes += stat?.size ?? 0;
    }
    await pacer.tick();
  }
  return bytes;
}
