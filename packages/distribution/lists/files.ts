import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Descriptor } from "@gantry/spec";

/** One manifest of a list that is being put together. */
export interface ListEntry {
  /** The reference it was given as, in full. */
  reference: string;
  /** With the platform, as annotated so far. */
  descriptor: Descriptor;
  /** The manifest's bytes, in base64. */
  raw: string;
}

const MAX_ENTRIES = 1000;

/** Lists that are being put together, kept below the client's configuration folder until they are pushed. */
export class ListFiles {
  readonly #root: string;

  constructor(configDir: string) {
    this.#root = join(configDir, "manifests");
  }

  /** The entries of a list, or undefined where it was not created. */
  async read(list: string): Promise<ListEntry[] | undefined> {
    const dir = this.#dir(list);
    const names = await readdir(dir).catch(() => undefined);
    if (!names) return undefined;
    const entries: ListEntry[] = [];
    for (const name of names
      .filter((file) => file.endsWith(".json"))
      .sort()
      .slice(0, MAX_ENTRIES)) {
      entries.push(JSON.parse(await readFile(join(dir, name), "utf8")) as ListEntry);
    }
    return entries;
  }

  /** Writes one entry, in the place of an earlier one of the same reference. */
  async write(list: string, entry: ListEntry): Promise<void> {
    const dir = this.#dir(list);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, `${fileName(entry.reference)}.json`);
    await writeFile(`${path}.new`, JSON.stringify(entry), { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  /** Removes a list. Returns whether there was one. */
  async remove(list: string): Promise<boolean> {
    if ((await this.read(list)) === undefined) return false;
    await rm(this.#dir(list), { recursive: true, force: true });
    return true;
  }

  #dir(list: string): string {
    return join(this.#root, fileName(list));
  }
}

/** A reference as one file name: none of its characters that survive can lead anywhere. */
function fileName(reference: string): string {
  return reference.replaceAll(":", "-").replaceAll(/[^A-Za-z0-9._-]/g, "_");
}
