import {
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { CliError } from "./errors.ts";
import { readTar, type TarEntry } from "./tar.ts";

/**
 * Unpacks a container's archive below a directory. The top entry gets the name `rename`. The archive is not trusted: an
 * entry that would land outside of the directory, or behind a link that is no directory, is refused with CliError.
 */
export async function extractTree(
  source: AsyncIterable<Uint8Array>,
  dir: string,
  options: { rename: string; owner: boolean },
): Promise<void> {
  let top: string | undefined;
  const times: [path: string, mtime: number][] = [];
  const renamed = (name: string) => {
    const parts = name.split("/").filter((part) => part !== "" && part !== ".");
    if (parts.includes("..")) throw new CliError(`invalid tar entry: ${JSON.stringify(name)}`);
    if (options.rename === ".") return parts;
    top ??= parts[0] ?? "";
    // An archive of "." has no top of its own: all goes below the new name.
    return parts[0] === top && top !== "" ? [options.rename, ...parts.slice(1)] : [options.rename, ...parts];
  };
  for await (const { entry, content } of readTar(source)) {
    const parts = renamed(entry.name);
    if (parts.length === 0) continue;
    const path = safeJoin(dir, parts);
    if (entry.type === "other") continue;
    if (entry.type === "directory") makeDirectory(path, entry.mode);
    else {
      removeFile(path);
      if (entry.type === "symlink") symlinkSync(entry.linkname, path);
      else if (entry.type === "link") linkSync(safeJoin(dir, renamed(entry.linkname)), path);
      else if (entry.type !== "file") await makeNode(path, entry);
      else await writeFile(path, entry, content());
    }
    if (options.owner && entry.type !== "link") lchownSync(path, entry.uid, entry.gid);
    if (entry.type !== "symlink" && entry.type !== "link") {
      chmodSync(path, entry.mode);
      times.push([path, entry.mtime]);
    }
  }
  // Directories last: what is put into them changes their time.
  for (const [path, mtime] of times.reverse()) utimesSync(path, mtime, mtime);
}

/** A pipe or device. */
async function makeNode(path: string, { type, mode, device }: TarEntry): Promise<void> {
  // Few archives have one: the kernel's calls are loaded for these only.
  const { makedev, mknodat, S } = await import("@gantry/sys");
  const kind = type === "fifo" ? S.IFIFO : type === "block" ? S.IFBLK : S.IFCHR;
  const parent = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    mknodat(parent, basename(path), kind | mode, makedev(device?.major ?? 0, device?.minor ?? 0));
  } finally {
    closeSync(parent);
  }
}

/** Joins below a directory; every part on the way has to be a real directory. */
function safeJoin(dir: string, parts: readonly string[]): string {
  let path = dir;
  for (const part of parts.slice(0, -1)) {
    path = join(path, part);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (!stat) mkdirSync(path, 0o755);
    else if (!stat.isDirectory())
      throw new CliError(`invalid tar entry: ${JSON.stringify(parts.join("/"))} leads through ${JSON.stringify(path)}`);
  }
  return join(path, parts.at(-1)!);
}

function makeDirectory(path: string, mode: number): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return;
  if (stat) throw new CliError(`cannot overwrite non-directory ${JSON.stringify(path)} with directory`);
  mkdirSync(path, mode | 0o700);
}

function removeFile(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory())
    throw new CliError(
      `cannot overwrite directory ${JSON.stringify(path)} with non-directory ${JSON.stringify(dirname(path))}`,
    );
  if (stat) rmSync(path);
}

async function writeFile(path: string, entry: TarEntry, content: AsyncIterable<Uint8Array>): Promise<void> {
  const fd = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    entry.mode,
  );
  try {
    for await (const chunk of content) {
      for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    }
  } finally {
    closeSync(fd);
  }
}
