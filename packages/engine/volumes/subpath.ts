import { invalidParameter, notFound } from "@gantry/spec";
import { close, isErrno, O, open, openat2, RESOLVE } from "@gantry/sys";

/**
 * Opens (`O_PATH`) what `subpath` names below the directory `base`. Whoever writes to a volume chooses the symbolic links in it:
 * none of them leads out. Throws invalidParameter where one would, and notFound where nothing is there.
 */
export function openSubpath(base: string, subpath: string): number {
  const root = open(base, O.PATH | O.DIRECTORY);
  try {
    return openat2(root, subpath, { flags: O.PATH, resolve: RESOLVE.BENEATH | RESOLVE.NO_MAGICLINKS });
  } catch (error) {
    if (isErrno(error, "EXDEV")) {
      throw invalidParameter(
        `path concatenation escapes the base directory, base: ${base}, subpath: ${subpath}`,
        error,
      );
    }
    const path = `${base}/${subpath}`;
    if (isErrno(error, "ENOENT", "ENOTDIR")) {
      throw notFound(`cannot access path ${path}: lstat ${path}: no such file or directory`, error);
    }
    throw error;
  } finally {
    close(root);
  }
}
