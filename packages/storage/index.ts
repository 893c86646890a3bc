/** Content store, layers, images, volumes, archives. `openStorage` is the way in; `contract.ts` tells what it promises. */

// What the builder lays contexts and layers out with: byte-exact calls below a root, and archives as they stream by.
export { type FileStat, listDirectory, openAt, readlinkAt, setTimes, statAt } from "./archive/at.ts";
export type { TarEntry } from "./archive/entry.ts";
export { Extractor } from "./archive/extractor.ts";
export { preinflate } from "./archive/feed.ts";
export * from "./archive/index.ts";
export { TarParser, type TarSink } from "./archive/parser.ts";
export { removeAt } from "./archive/remove.ts";
export { Inflater } from "./archive/source.ts";
export * from "./contract.ts";
export { copyUp } from "./copy-up.ts";
export { importRootfs } from "./images/import.ts";
export { mountOverlay, OVERLAY_OPTIONS } from "./layers/mount.ts";
export type { DriverName } from "./layers/snapshotter.ts";
export { closeWorkers, openStorage, type StorageOptions } from "./storage.ts";
