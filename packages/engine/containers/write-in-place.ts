import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";

/**
 * Writes a small file that is, or will be, mounted into a container: it stays the file that it was. What was in it is not
 * cut off before, so that a full disk, or a death in between, leaves the old or the new text, and what is as it should
 * be is not touched.
 */
export function writeInPlace(path: string, text: string): void {
  const bytes = Buffer.from(text);
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  try {
    const { size } = fstatSync(fd);
    if (size === bytes.length && readFileSync(fd).equals(bytes)) return;
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, done);
    if (size > bytes.length) ftruncateSync(fd, bytes.length);
  } finally {
    closeSync(fd);
  }
}
