import { detectCompression, Inflater, openAt, TarParser } from "@gantry/storage";
import { close, O, read } from "@gantry/sys";
import { openDirectory, splitPath } from "../tree/follow.ts";

/** Bytes read to find a first member; long names and extended headers come before it. */
const PROBE = 1 << 16;

class Found extends Error {}

/** Whether a file is a tar archive, compressed or not, judged by its beginning: what ADD unpacks. */
export function isArchive(rootFd: number, real: string): boolean {
  const [folder, name] = splitPath(real);
  const dirFd = openDirectory(rootFd, folder);
  try {
    const fd = openAt(dirFd, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
    try {
      const buffer = new Uint8Array(PROBE);
      const n = read(fd, buffer);
      return n > 0 && beginsArchive(buffer.subarray(0, n));
    } finally {
      close(fd);
    }
  } finally {
    close(dirFd);
  }
}

/** Whether these first bytes are those of a tar, or of a compressed one. */
export function beginsArchive(head: Uint8Array): boolean {
  const parser = new TarParser({
    entry() {
      throw new Found();
    },
    data() {},
    end() {},
  });
  const inflater = new Inflater((chunk) => parser.push(chunk));
  try {
    inflater.push(head);
    // An archive shorter than a header is none; one without members is.
    if (detectCompression(head) === "none" && head.length >= 1024) inflater.finish();
    return parser.ended;
  } catch (error) {
    return error instanceof Found;
  } finally {
    inflater.dispose();
  }
}
