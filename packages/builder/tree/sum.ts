import type { FileStat, TarEntry } from "@gantry/storage";
import { S } from "@gantry/sys";

/**
 * The content checksum of one file, directory or link: SHA-256 over its metadata without times, then its content
 * ("tarsum" version 1). It is the same that Docker's classic builder computes, so the `file:<sum>` texts in images'
 * histories are comparable, and an image built by either serves the other as cache.
 */
export class FileSum {
  private readonly hasher = new Bun.CryptoHasher("sha256");

  constructor(header: SumHeader) {
    const { hasher } = this;
    hasher.update(`name${header.name}mode${header.mode}uid${header.uid}gid${header.gid}size${header.size}`);
    hasher.update(`typeflag${header.typeflag}linkname${header.linkname}uname${header.uname}gname${header.gname}`);
    hasher.update(`devmajor${header.devMajor}devminor${header.devMinor}`);
    for (const [name, value] of [...(header.xattrs ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
      hasher.update(name);
      hasher.update(value);
    }
  }

  update(chunk: Uint8Array): void {
    this.hasher.update(chunk);
  }

  digest(): string {
    return this.hasher.digest("hex");
  }
}

export interface SumHeader {
  name: string;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  typeflag: string;
  linkname: string;
  uname: string;
  gname: string;
  devMajor: number;
  devMinor: number;
  xattrs: Map<string, Uint8Array> | null;
}

/** Header of an archive's member, its owner as it will be (contexts belong to root). */
export function headerOfEntry(entry: TarEntry): SumHeader {
  const flag =
    entry.type === "dir" ? "5" : entry.flag === 0 || entry.flag === 0x37 ? "0" : String.fromCharCode(entry.flag);
  return { ...entry, typeflag: flag };
}

const TYPEFLAGS: Record<number, string> = {
  [S.IFREG]: "0",
  [S.IFLNK]: "2",
  [S.IFCHR]: "3",
  [S.IFBLK]: "4",
  [S.IFDIR]: "5",
  [S.IFIFO]: "6",
};

/** Header of a file on disk. `path` is relative to its tree's root. */
export function headerOfStat(path: string, stat: FileStat, linkname: string, capability: Uint8Array | null): SumHeader {
  const type = stat.mode & S.IFMT;
  return {
    name: type === S.IFDIR ? `${path}/` : path,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: type === S.IFREG ? stat.size : 0,
    typeflag: TYPEFLAGS[type] ?? "?",
    linkname,
    uname: "",
    gname: "",
    devMajor: type === S.IFCHR || type === S.IFBLK ? stat.rdevMajor : 0,
    devMinor: type === S.IFCHR || type === S.IFBLK ? stat.rdevMinor : 0,
    xattrs: capability ? new Map([["security.capability", capability]]) : null,
  };
}

/** One checksum for several: `dir:<hex>` or `multi:<hex>`, as Docker joins them. */
export function joinSums(prefix: "dir" | "multi", sums: string[]): string {
  return `${prefix}:${new Bun.CryptoHasher("sha256").update(sums.join(",")).digest("hex")}`;
}
