import { type Digest, GantryError, invalidParameter } from "@gantry/spec";
import { AT, close, fchmod, mkdirat, O, open } from "@gantry/sys";
import { type Compression, detectCompression } from "./decompress.ts";
import { type ExtractOptions, Extractor } from "./extractor.ts";
import { TarParser } from "./parser.ts";
import { RecipeWriter } from "./recipe.ts";
import { type ByteSource, drain, Inflater } from "./source.ts";

/** Unpacking of one layer. All paths are ours, below the data root. */
export interface UnpackJob {
  source: ByteSource;
  /** An existing empty directory; gets `diff`, and `recipe` or `tar` where `keep` says so. */
  directory: string;
  /** Whether the tar must be given back from the directory alone (no blob of it is kept). */
  keep: boolean;
  /** Shared with the main thread: [0] counts bytes received in units of 4 KiB, [1] non-zero asks to stop. */
  control?: SharedArrayBuffer;
  expected?: Digest;
  extract?: ExtractOptions;
}

export interface UnpackResult {
  diffId: Digest;
  /** Bytes of the uncompressed tar. */
  tarSize: number;
  /** Sum of the sizes of files in bytes. */
  size: number;
  entries: number;
  /** What gives the tar back. */
  tarFrom: "recipe" | "tar" | "blob";
  compression: Compression;
  /** Digest and size of the bytes as received. */
  blobDigest: Digest;
  blobSize: number;
}

/** Lays a layer out below `directory`/diff and computes its digests, all in one pass. Throws where `expected` differs. */
export function unpack(job: UnpackJob): UnpackResult {
  mkdirat(AT.FDCWD, `${job.directory}/diff`, 0o755);
  const diffFd = open(`${job.directory}/diff`, O.RDONLY | O.DIRECTORY);
  const extractor = new Extractor(diffFd, { whiteouts: "overlay", ...job.extract });
  const recipe = job.keep ? new RecipeWriter(job.directory, diffFd) : null;
  if (recipe) extractor.onReplace = () => recipe.materialise();
  const control = job.control ? new Int32Array(job.control) : null;
  const uncompressed = new Bun.CryptoHasher("sha256");
  const received = new Bun.CryptoHasher("sha256");
  let tarSize = 0;
  let blobSize = 0;
  let compression: Compression | null = null;

  const parser = new TarParser({
    entry: (entry) => extractor.entry(entry),
    data(chunk) {
      extractor.data(chunk);
      if (extractor.path === null) recipe?.raw(chunk);
      else recipe?.payload(chunk);
    },
    end() {
      const { path, member } = extractor;
      extractor.end();
      if (path !== null && member !== null) recipe?.stored(path, member);
    },
    raw: (bytes) => recipe?.raw(bytes),
  });
  const inflater = new Inflater((chunk) => {
    uncompressed.update(chunk);
    tarSize += chunk.length;
    parser.push(chunk);
  });
  try {
    // The mask of the process is not ours to change, so modes are set after the fact.
    fchmod(diffFd, 0o755);
    drain(job.source, (chunk) => {
      compression ??= detectCompression(chunk);
      if (compression !== "none") received.update(chunk);
      blobSize += chunk.length;
      if (control) {
        Atomics.store(control, 0, Math.floor(blobSize / 4096));
        if (Atomics.load(control, 1) !== 0) throw new GantryError("cancelled", "context canceled");
      }
      inflater.push(chunk);
    });
    inflater.finish();
    parser.finish();
    const diffId: Digest = `sha256:${uncompressed.digest("hex")}`;
    if (job.expected && job.expected !== diffId) {
      throw invalidParameter(
        `wrong diff id calculated on extraction ${JSON.stringify(diffId)}, expected ${JSON.stringify(job.expected)}`,
      );
    }
    extractor.finish();
    recipe?.finish();
    return {
      diffId,
      tarSize,
      size: extractor.result.bytes,
      entries: extractor.result.entries,
      tarFrom: recipe === null ? "blob" : recipe.materialised ? "tar" : "recipe",
      compression: compression ?? "none",
      blobDigest: compression === null || compression === "none" ? diffId : `sha256:${received.digest("hex")}`,
      blobSize,
    };
  } finally {
    inflater.dispose();
    extractor.dispose();
    recipe?.dispose();
    close(diffFd);
  }
}
