import { GantryError, invalidParameter, messageOf } from "@gantry/spec";
import { setTimes } from "@gantry/storage";
import { close, writeAll } from "@gantry/sys";
import { TemporaryTree } from "../tree/temporary-tree.ts";
import { get } from "./url.ts";

/** What a file without a name is called here. */
export const UNNAMED = "__unnamed__";

/**
 * ADD's download: one file in a tree of its own, named as the URL's path or the answer tells, with the time of its
 * Last-Modified and mode 0600. Throws `ADD failed: …`, also where the checksum is another one.
 */
export async function fetchFile(
  source: { url: string; checksum: string },
  temporary: string,
  progress: (message: object) => void,
  signal: AbortSignal,
): Promise<TemporaryTree> {
  const tree = TemporaryTree.create(temporary, { context: false });
  try {
    const response = await get(source.url, signal);
    const name = fileName(source.url, response);
    tree.file = name;
    const fd = tree.createFile(name || UNNAMED);
    try {
      const hasher = new Bun.CryptoHasher(source.checksum.startsWith("sha512:") ? "sha512" : "sha256");
      const total = Number(response.headers.get("content-length")) || undefined;
      let current = 0;
      let told = 0;
      for await (const chunk of response.body ?? []) {
        signal.throwIfAborted();
        writeAll(fd, chunk);
        hasher.update(chunk);
        current += chunk.length;
        if (current - told > 512 << 10) {
          told = current;
          progress({ status: "Downloading", progressDetail: { current, total } });
        }
      }
      if (source.checksum) checkSum(source.checksum, hasher.digest("hex"));
      const modified = Date.parse(response.headers.get("last-modified") ?? "");
      setTimes(fd, null, Number.isNaN(modified) ? 0 : Math.floor(modified / 1000), 0);
    } finally {
      close(fd);
    }
    return tree;
  } catch (error) {
    tree.close();
    throw new GantryError(error instanceof GantryError ? error.kind : "system", `ADD failed: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function checkSum(wanted: string, hex: string): void {
  const [algorithm, digest] = wanted.split(":");
  if (algorithm !== "sha256" && algorithm !== "sha512")
    throw invalidParameter(`invalid checksum digest format: ${wanted}`);
  if (digest !== hex) throw invalidParameter(`digest mismatch ${algorithm}:${hex}: ${wanted}`);
}

/** Last part of the path, else what Content-Disposition says. */
function fileName(url: string, response: Response): string {
  const { pathname } = new URL(url);
  const fromPath = pathname.endsWith("/") ? "" : decode(pathname.slice(pathname.lastIndexOf("/") + 1));
  const disposition = /filename\*?=(?:UTF-8'')?"?([^";]+)"?/i.exec(response.headers.get("content-disposition") ?? "");
  const name =
    fromPath ||
    decode(disposition?.[1] ?? "")
      .split("/")
      .at(-1)!;
  return name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0") ? "" : name;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
