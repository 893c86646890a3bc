import { badArchive, entryType, type Segment, type TarEntry } from "./entry.ts";
import { BLOCK, decodeHeader, isZeroBlock, type RawHeader } from "./header.ts";
import { decodeName } from "./names.ts";
import { type PaxRecords, parsePax, paxInteger, paxTime, paxXattr } from "./pax.ts";
import { checkSparse, oldGnuRealSize, readOldGnuMap, SparseMapReader, sparseFromPax } from "./sparse.ts";

/** Who receives an archive as it is parsed. All calls happen inside `push`, in archive order. */
export interface TarSink {
  /** A member begins. Its payload, if any, follows in `data`, then `end`. */
  entry(entry: TarEntry): void;
  /** Payload of the current member: `entry.stored` bytes in total. The chunk is only valid during the call. */
  data(chunk: Uint8Array): void;
  end(): void;
  /** Everything that is not payload given to `data`: headers, maps, padding, trailer. Concatenated in order with the payloads it is the archive. */
  raw?(bytes: Uint8Array): void;
}

/** Extended headers and long names larger than this are refused (bytes); the same bound as Docker's tar library. */
export const MAX_META = 1 << 20;

enum State {
  Header,
  Meta,
  OldSparse,
  SparseMap,
  Payload,
  Padding,
  Trailer,
}

/**
 * A tar parser fed by chunks of any size, for every dialect: v7, ustar, pax (global and extended headers, SCHILY and
 * LIBARCHIVE attributes), GNU (long names, base-256, sparse old, 0.0, 0.1, 1.0), star. Synchronous and without
 * copies of payload. Throws invalidParameter for archives that are damaged or lie.
 */
export class TarParser {
  private state: State = State.Header;
  private block = new Uint8Array(BLOCK);
  private filled = 0;
  private remaining = 0;
  private padding = 0;
  private zeros = 0;
  private meta: Uint8Array[] = [];
  private metaFlag = 0;
  private metaSize = 0;
  private global: PaxRecords = [];
  private local: PaxRecords = [];
  private longName: string | null = null;
  private longLink: string | null = null;
  private pending: TarEntry | null = null;
  private segments: Segment[] = [];
  private mapReader: SparseMapReader | null = null;

  constructor(private readonly sink: TarSink) {}

  /** Feeds the next bytes. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.state) {
        case State.Payload: {
          const length = Math.min(this.remaining, chunk.length - at);
          this.sink.data(at === 0 && length === chunk.length ? chunk : chunk.subarray(at, at + length));
          at += length;
          this.remaining -= length;
          if (this.remaining === 0) this.payloadDone();
          break;
        }
        case State.Meta: {
          const length = Math.min(this.remaining, chunk.length - at);
          const piece = chunk.slice(at, at + length);
          this.meta.push(piece);
          this.sink.raw?.(piece);
          at += length;
          this.remaining -= length;
          if (this.remaining === 0) this.metaDone();
          break;
        }
        case State.Padding: {
          const length = Math.min(this.padding, chunk.length - at);
          this.sink.raw?.(chunk.subarray(at, at + length));
          at += length;
          this.padding -= length;
          if (this.padding === 0) this.state = State.Header;
          break;
        }
        case State.Trailer:
          this.sink.raw?.(chunk.subarray(at));
          return;
        default: {
          const length = Math.min(BLOCK - this.filled, chunk.length - at);
          this.block.set(chunk.subarray(at, at + length), this.filled);
          at += length;
          this.filled += length;
          if (this.filled < BLOCK) break;
          this.filled = 0;
          this.sink.raw?.(this.block);
          if (this.state === State.Header) this.header();
          else if (this.state === State.OldSparse) this.oldSparse(false);
          else this.sparseMap();
        }
      }
    }
  }

  /** The archive ended. Throws where that is in the middle of a member. */
  finish(): void {
    const between = this.state === State.Header && this.filled === 0 && this.longName === null;
    if (this.state === State.Trailer || (between && this.longLink === null && this.local.length === 0)) return;
    // Padding of the last member may be missing: nothing of it was lost.
    if (this.state === State.Padding && this.pending === null) return;
    throw badArchive("unexpected EOF");
  }

  /** Whether the end-of-archive mark was seen. */
  get ended(): boolean {
    return this.state === State.Trailer;
  }

  private header(): void {
    if (isZeroBlock(this.block)) {
      if (++this.zeros === 2) this.state = State.Trailer;
      return;
    }
    if (this.zeros > 0) throw badArchive("invalid tar header");
    const raw = decodeHeader(this.block);
    const flag = String.fromCharCode(raw.flag);
    if (flag === "x" || flag === "X" || flag === "g" || flag === "L" || flag === "K") {
      if (raw.size > MAX_META) throw badArchive("invalid tar header: extended header too large");
      this.metaFlag = raw.flag;
      this.metaSize = raw.size;
      this.meta = [];
      this.remaining = raw.size;
      this.state = State.Meta;
      if (raw.size === 0) this.metaDone();
      return;
    }
    this.begin(raw);
  }

  private metaDone(): void {
    const bytes = this.meta.length === 1 ? this.meta[0]! : Buffer.concat(this.meta);
    this.meta = [];
    const flag = String.fromCharCode(this.metaFlag);
    if (flag === "L" || flag === "K") {
      const nul = bytes.indexOf(0);
      const name = decodeName(bytes, 0, nul < 0 ? bytes.length : nul);
      if (flag === "L") this.longName = name;
      else this.longLink = name;
    } else if (flag === "g") {
      for (const [key, value] of parsePax(bytes)) {
        this.global = this.global.filter(([other]) => other !== key);
        if (value.length > 0) this.global.push([key, value]);
      }
      if (this.global.length > 1024) throw badArchive("invalid tar header: too many global records");
    } else {
      this.local = parsePax(bytes);
    }
    this.skipPadding(this.metaSize);
  }

  private begin(raw: RawHeader): void {
    let type = entryType(raw.flag);
    const entry: TarEntry = {
      name: this.longName ?? raw.name,
      type,
      flag: raw.flag,
      linkname: this.longLink ?? raw.linkname,
      mode: raw.mode & 0o7777,
      uid: raw.uid,
      gid: raw.gid,
      uname: raw.uname,
      gname: raw.gname,
      size: raw.size,
      stored: raw.size,
      mtime: raw.mtime,
      mtimeNsec: 0,
      devMajor: raw.devMajor,
      devMinor: raw.devMinor,
      xattrs: null,
      sparse: null,
    };
    const records = this.global.length > 0 ? [...this.global, ...this.local] : this.local;
    if (records.length > 0) applyPax(entry, records);
    // Before there was a type for directories (v7), a trailing slash said it.
    if (type === "file" && (raw.flag === 0 || raw.flag === 0x30) && entry.name.endsWith("/")) type = "dir";
    entry.type = type;
    if (type !== "file" && type !== "other") entry.stored = entry.size = 0;
    if (entry.stored < 0 || entry.uid < 0 || entry.gid < 0) throw badArchive("invalid tar header: negative number");
    this.longName = this.longLink = null;
    this.local = [];
    this.pending = entry;
    if (type === "file" && raw.flag === 0x53) {
      if (!raw.gnu) throw badArchive("invalid tar header");
      this.segments = [];
      entry.size = oldGnuRealSize(this.block);
      this.oldSparse(true);
      return;
    }
    const sparse = type === "file" && records.length > 0 ? sparseFromPax(records) : null;
    if (sparse) {
      entry.size = sparse.size;
      if (sparse.name !== undefined) entry.name = sparse.name;
      if (sparse.map === null) {
        this.mapReader = new SparseMapReader();
        if (entry.stored < BLOCK) throw badArchive("invalid sparse map");
        this.state = State.SparseMap;
        return;
      }
      entry.sparse = checkSparse(sparse.map, entry.size, entry.stored);
    }
    this.start(entry.stored);
  }

  private oldSparse(header: boolean): void {
    if (readOldGnuMap(this.block, header, this.segments)) {
      this.state = State.OldSparse;
      return;
    }
    const entry = this.pending!;
    entry.sparse = checkSparse(this.segments, entry.size, entry.stored);
    this.start(entry.stored);
  }

  private sparseMap(): void {
    const entry = this.pending!;
    const reader = this.mapReader!;
    const map = reader.push(this.block);
    if (map === null) {
      if (reader.length + BLOCK > entry.stored) throw badArchive("invalid sparse map");
      return;
    }
    this.mapReader = null;
    const total = entry.stored;
    entry.stored = total - reader.length;
    entry.sparse = checkSparse(map, entry.size, entry.stored);
    this.start(total);
  }

  /** `total`: payload as the header counts it, for the padding. */
  private start(total: number): void {
    const entry = this.pending!;
    this.padding = (BLOCK - (total % BLOCK)) % BLOCK;
    this.remaining = entry.stored;
    this.state = State.Payload;
    this.sink.entry(entry);
    if (this.remaining === 0) this.payloadDone();
  }

  private payloadDone(): void {
    this.pending = null;
    this.sink.end();
    this.state = this.padding > 0 ? State.Padding : State.Header;
  }

  private skipPadding(size: number): void {
    this.padding = (BLOCK - (size % BLOCK)) % BLOCK;
    this.state = this.padding > 0 ? State.Padding : State.Header;
  }
}

function applyPax(entry: TarEntry, records: PaxRecords): void {
  for (const [key, value] of records) {
    if (value.length === 0 && !key.includes("xattr.")) continue;
    switch (key) {
      case "path":
        entry.name = decodeName(value);
        break;
      case "linkpath":
        entry.linkname = decodeName(value);
        break;
      case "size":
        entry.size = entry.stored = paxInteger(value);
        break;
      case "uid":
        entry.uid = paxInteger(value);
        break;
      case "gid":
        entry.gid = paxInteger(value);
        break;
      case "uname":
        entry.uname = decodeName(value);
        break;
      case "gname":
        entry.gname = decodeName(value);
        break;
      case "mtime":
        [entry.mtime, entry.mtimeNsec] = paxTime(value);
        break;
      case "SCHILY.devmajor":
        entry.devMajor = paxInteger(value);
        break;
      case "SCHILY.devminor":
        entry.devMinor = paxInteger(value);
        break;
      default: {
        const xattr = paxXattr(key, value);
        if (!xattr) break;
        entry.xattrs ??= new Map();
        entry.xattrs.set(xattr[0], xattr[1]);
      }
    }
  }
}
