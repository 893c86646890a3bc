import { invalidParameter } from "@gantry/spec";

export type EntryType = "file" | "link" | "symlink" | "char" | "block" | "dir" | "fifo" | "other";

/** A stretch of a sparse file that holds data; everything between is a hole. Bytes. */
export interface Segment {
  offset: number;
  length: number;
}

/** One member of an archive, whatever dialect it was written in. */
export interface TarEntry {
  /** As written in the archive, not cleaned. Bytes that are not UTF-8: see `decodeName`. */
  name: string;
  type: EntryType;
  /** Type flag as written, for messages about types nobody handles. */
  flag: number;
  /** Target of a symbolic link, or the name of the member a hard link refers to. */
  linkname: string;
  /** Permission bits including set-id and sticky (07777). */
  mode: number;
  uid: number;
  gid: number;
  uname: string;
  gname: string;
  /** Logical size in bytes; with holes for sparse files. 0 for everything but files. */
  size: number;
  /** Bytes of payload that follow, without the padding and without a sparse map inside the payload. */
  stored: number;
  /** Seconds since the epoch (may be negative), and nanoseconds 0..999999999. */
  mtime: number;
  mtimeNsec: number;
  devMajor: number;
  devMinor: number;
  /** By full name, e.g. "security.capability". */
  xattrs: Map<string, Uint8Array> | null;
  sparse: Segment[] | null;
}

/** An archive that is not one, or not whole. */
export function badArchive(message: string): Error {
  // The end of the input is not the format's own error, to Docker.
  return invalidParameter(message === "unexpected EOF" ? message : `archive/tar: ${message}`);
}

const TYPES: Record<string, EntryType> = {
  "\0": "file",
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "dir",
  "6": "fifo",
  "7": "file",
  S: "file",
};

/** What a header's type flag stands for. */
export function entryType(flag: number): EntryType {
  return TYPES[String.fromCharCode(flag)] ?? "other";
}
