import type { Digest } from "@gantry/spec";
import { close, O, open } from "@gantry/sys";
import { Packer } from "./packer.ts";
import { RecipeWriter } from "./recipe.ts";
import type { UnpackResult } from "./unpack.ts";

/**
 * Makes a layer of a container's writable directory where it is: computes the digest of its canonical tar and writes the
 * recipe to `directory`; the caller then moves the directory to `<directory>/diff`. No file is copied.
 */
export function seal(job: { upper: string; directory: string }): UnpackResult {
  const diffFd = open(job.upper, O.RDONLY | O.DIRECTORY);
  const recipe = new RecipeWriter(job.directory, diffFd);
  const hash = new Bun.CryptoHasher("sha256");
  let tarSize = 0;
  try {
    const packer = new Packer(
      diffFd,
      {
        write(bytes, payload) {
          hash.update(bytes);
          tarSize += bytes.length;
          if (!payload) recipe.raw(bytes);
        },
        file: (path, size) => recipe.reference(path, [{ offset: 0, length: size }]),
      },
      { whiteouts: "overlay" },
    );
    for (const _ of packer.walk());
    recipe.finish();
    const digest: Digest = `sha256:${hash.digest("hex")}`;
    return {
      diffId: digest,
      tarSize,
      size: packer.bytes,
      entries: packer.entries,
      tarFrom: "recipe",
      compression: "none",
      blobDigest: digest,
      blobSize: tarSize,
    };
  } finally {
    recipe.dispose();
    close(diffFd);
  }
}
