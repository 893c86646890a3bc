import type { FileStat, TarEntry, TarSink } from "@gantry/storage";
import { S } from "@gantry/sys";
import { FileSum, headerOfEntry, headerOfStat } from "./sum.ts";

export interface IndexedFile {
  stat: FileStat;
  sum: string;
  /** Target of a symbolic link; "" for others. */
  linkname: string;
  content: Uint8Array;
}

/**
 * Takes the checksums of an archive's members as it streams by and, as long as the archive is small and plain, remembers
 * all of it: most builds find every step in the cache, and then nothing of the context needs to touch the disk. What the
 * parser is fed must stay as it is for that long.
 */
export class ArchiveIndex implements TarSink {
  /** Checksums by path. */
  readonly sums = new Map<string, string>();
  /** Everything in the archive, by path; null once it was too much, or not plain. */
  files: Map<string, IndexedFile> | null = new Map();
  private readonly names = new Map<string, Set<string>>([["", new Set()]]);
  private bytes = 0;
  private current: { path: string; entry: TarEntry; sum: FileSum; parts: Uint8Array[] } | null = null;

  constructor(private readonly limit: number) {}

  entry(entry: TarEntry): void {
    const path = cleanMember(entry.name);
    this.current = { path, entry, sum: new FileSum(headerOfEntry(entry)), parts: [] };
    this.bytes += entry.size + 512;
    if (this.files && !this.isPlain(path, entry)) this.forget();
  }

  data(chunk: Uint8Array): void {
    this.current?.sum.update(chunk);
    if (this.files) this.current?.parts.push(chunk);
  }

  end(): void {
    const { current } = this;
    this.current = null;
    if (!current) return;
    const { path, entry } = current;
    const sum = current.sum.digest();
    this.sums.set(path, sum);
    if (!this.files || path === "") return;
    this.parents(path);
    const type = entry.type === "dir" ? S.IFDIR : entry.type === "symlink" ? S.IFLNK : S.IFREG;
    this.add(path, {
      stat: statOf(type | (entry.type === "symlink" ? 0o777 : entry.mode), entry.size, entry.mtime, entry.mtimeNsec),
      sum,
      linkname: entry.type === "symlink" ? entry.linkname : "",
      content: current.parts.length === 1 ? current.parts[0]! : Buffer.concat(current.parts),
    });
  }

  /** Names in a directory, in byte order. */
  list(path: string): string[] {
    return [...(this.names.get(path) ?? [])].sort();
  }

  remove(path: string): void {
    this.sums.delete(path);
    this.files?.delete(path);
    const slash = path.lastIndexOf("/");
    this.names.get(slash < 0 ? "" : path.slice(0, slash))?.delete(path.slice(slash + 1));
  }

  /** Keeps the checksums alone. */
  forget(): void {
    this.files = null;
    this.names.clear();
    if (this.current) this.current.parts = [];
  }

  /** Whether laying the member out gives just what the index says, with nothing else touched. */
  private isPlain(path: string, entry: TarEntry): boolean {
    if (this.bytes > this.limit || entry.xattrs || entry.sparse) return false;
    if (entry.type !== "file" && entry.type !== "dir" && entry.type !== "symlink") return false;
    if (climbs(entry.name) || (entry.type === "symlink" && (entry.linkname === "" || climbs(entry.linkname))))
      return false;
    const there = this.files!.get(path);
    if (there && !(entry.type === "dir" && isDirectory(there))) return false;
    for (let i = path.indexOf("/"); i > 0; i = path.indexOf("/", i + 1)) {
      const parent = this.files!.get(path.slice(0, i));
      if (parent && !isDirectory(parent)) return false;
    }
    return true;
  }

  /** Directories that the archive only implies. */
  private parents(path: string): void {
    for (let i = path.indexOf("/"); i > 0; i = path.indexOf("/", i + 1)) {
      const parent = path.slice(0, i);
      if (this.files!.has(parent)) continue;
      const stat = statOf(S.IFDIR | 0o755, 0, 0, 0);
      const sum = new FileSum(headerOfStat(parent, stat, "", null)).digest();
      this.add(parent, { stat, sum, linkname: "", content: new Uint8Array(0) });
    }
  }

  private add(path: string, file: IndexedFile): void {
    this.files!.set(path, file);
    if (isDirectory(file) && !this.names.has(path)) this.names.set(path, new Set());
    const slash = path.lastIndexOf("/");
    this.names.get(slash < 0 ? "" : path.slice(0, slash))!.add(path.slice(slash + 1));
  }
}

function isDirectory(file: IndexedFile): boolean {
  return (file.stat.mode & S.IFMT) === S.IFDIR;
}

function climbs(name: string): boolean {
  return /(?:^|\/)\.\.(?:\/|$)/.test(name);
}

/** A member's name as a path below the root: "" for the root itself. */
function cleanMember(name: string): string {
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

function statOf(mode: number, size: number, mtime: number, mtimeNsec: number): FileStat {
  return {
    mode,
    size,
    mtime,
    mtimeNsec,
    uid: 0,
    gid: 0,
    nlink: 1,
    ino: 0,
    dev: 0,
    blocks: 0,
    ctime: 0,
    ctimeNsec: 0,
    rdevMajor: 0,
    rdevMinor: 0,
  };
}
