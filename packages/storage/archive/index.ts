/** Archives in and out; all heavy work happens on other threads. */
export { type Compression, detectCompression } from "./decompress.ts";
export type { EntryType, Segment, TarEntry } from "./entry.ts";
export { extract } from "./extract.ts";
export type { ExtractOptions, ExtractResult } from "./extractor.ts";
export type { IdRange } from "./ids.ts";
export { inflate } from "./inflate.ts";
export { pack } from "./pack.ts";
export type { PackOptions } from "./packer.ts";
export { cleanName } from "./path.ts";
export { readBody, readTar, type TarMember } from "./read.ts";
export { encodeHeader, type MemberHeader, padding, TRAILER } from "./writer.ts";
