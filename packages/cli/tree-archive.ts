import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { splitDevice } from "@gantry/spec/device";
import { type TarEntry, tarEnd, tarHeader, tarPadding } from "./tar.ts";

export interface ArchiveOptions {
  /** The name of the top entry in the archive. */
  name: string;
  /** Takes an entry in or not; the path is below the top, with slashes, empty for the top itself. */
  filter?: (path: string, directory: boolean) => boolean;
  /** Changes an entry before it is written. */
  adjust?: (entry: TarEntry) => TarEntry;
  /** The end of the archive is left out, so that more may follow. */
  open?: boolean;
  /** A link at the top is followed. */
  followTop?: boolean;
}

const CHUNK = 256 * 1024;

/** A file or tree of this machine as a tar, with links as links and hard links found again. */
export async function* archiveTree(path: string, options: ArchiveOptions): AsyncGenerator<Uint8Array> {
  const seen = new Map<string, string>();
  const adjust = options.adjust ?? ((entry: TarEntry) => entry);
  const filter = options.filter ?? (() => true);
  async function* walk(at: string, name: string, below: string, stat: Stats): AsyncGenerator<Uint8Array> {
    const directory = stat.isDirectory();
    const included = below === "" || filter(below, directory);
    const entry = included ? describe(at, name, stat, seen) : undefined;
    if (entry) {
      const adjusted = adjust(entry);
      yield tarHeader(adjusted);
      if (adjusted.type === "file") yield* content(at, adjusted.size);
    }
    if (!directory) return;
    for (const child of readdirSync(at).sort()) {
      const next = join(at, child);
      yield* walk(
        next,
        name === "." ? child : `${name.replace(/\/$/, "")}/${child}`,
        below ? `${below}/${child}` : child,
        lstatSync(next),
      );
    }
  }
  yield* walk(path, options.name, "", options.followTop ? statSync(path) : lstatSync(path));
  if (!options.open) yield tarEnd;
}

function describe(path: string, name: string, stat: Stats, seen: Map<string, string>): TarEntry | undefined {
  const base = {
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtime: Math.trunc(stat.mtimeMs / 1000),
    size: 0,
    linkname: "",
  };
  if (stat.isDirectory()) return { ...base, name: `${name.replace(/\/$/, "")}/`, type: "directory" };
  if (stat.isSymbolicLink()) return { ...base, name, type: "symlink", linkname: readlinkSync(path) };
  // A socket means nothing without who listens to it, and tar has no word for one.
  const special = !stat.isFile();
  if (special && !(stat.isFIFO() || stat.isCharacterDevice() || stat.isBlockDevice())) return undefined;
  if (stat.nlink > 1) {
    const key = `${stat.dev}:${stat.ino}`;
    const first = seen.get(key);
    if (first) return { ...base, name, type: "link", linkname: first };
    seen.set(key, name);
  }
  if (stat.isFIFO()) return { ...base, name, type: "fifo" };
  if (special) {
    return { ...base, name, type: stat.isBlockDevice() ? "block" : "character", device: splitDevice(stat.rdev) };
  }
  return { ...base, name, type: "file", size: stat.size };
}

async function* content(path: string, size: number): AsyncGenerator<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    for (let left = size; left > 0; ) {
      const buffer = new Uint8Array(Math.min(CHUNK, left));
      const length = readSync(fd, buffer);
      // A file that shrank meanwhile is filled up, so that the archive stays whole.
      if (length === 0) buffer.fill(0);
      const part = length === 0 ? buffer : buffer.subarray(0, length);
      left -= part.length;
      yield part;
    }
  } finally {
    closeSync(fd);
  }
  const padding = tarPadding(size);
  if (padding.length > 0) yield padding;
}
