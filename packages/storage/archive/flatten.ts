import { close, O, open } from "@gantry/sys";
import { Directories } from "./directories.ts";
import { type ExtractOptions, Extractor } from "./extractor.ts";
import { Packer, type PackOptions } from "./packer.ts";
import { TarParser } from "./parser.ts";
import { splitName } from "./path.ts";
import { makeWhiteout } from "./whiteout.ts";

/** Copies a tree by packing and extracting it in one go: all of an archive's care for links, owners and holes for free. */
function copy(from: string, to: string, pack: PackOptions, extract: ExtractOptions): void {
  const source = open(from, O.RDONLY | O.DIRECTORY);
  const target = open(to, O.RDONLY | O.DIRECTORY);
  const extractor = new Extractor(target, extract);
  try {
    const parser = new TarParser(extractor);
    const packer = new Packer(source, { write: (bytes) => parser.push(bytes) }, { exactTimes: true, ...pack });
    for (const _ of packer.walk());
    parser.finish();
    extractor.finish();
  } finally {
    extractor.dispose();
    close(target);
    close(source);
  }
}

/** Lays layers (bottommost first) over each other in a directory as overlay would show them. */
export function flatten(job: { layers: string[]; target: string }): void {
  for (const layer of job.layers) copy(layer, job.target, { whiteouts: "overlay" }, { whiteouts: "apply" });
}

/** Makes a layer's directory of what changed in a whole tree: the changed members, and whiteouts for the deleted ones. */
export function collectChanges(job: {
  root: string;
  changes: { kind: 0 | 1 | 2; path: string }[];
  target: string;
}): void {
  const changed = new Set(job.changes.filter(({ kind }) => kind !== 2).map(({ path }) => path.slice(1)));
  copy(job.root, job.target, { filter: (name) => (changed.has(name) ? "keep" : "skip") }, {});
  const target = open(job.target, O.RDONLY | O.DIRECTORY);
  const folders = new Directories(target);
  try {
    for (const { kind, path } of job.changes) {
      if (kind !== 2) continue;
      const [folder, name] = splitName(path.slice(1));
      makeWhiteout(folders.get(folder), name);
    }
  } finally {
    folders.forget();
    close(target);
  }
}
