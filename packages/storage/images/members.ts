import { type Descriptor, type Digest, invalidParameter, isDigest, MediaType, messageOf } from "@gantry/spec";
import { detectCompression } from "../archive/decompress.ts";
import { checksumMatches, isZeroBlock } from "../archive/header.ts";
import { cleanName } from "../archive/path.ts";
import { readTar } from "../archive/read.ts";
import type { Content } from "../content/store.ts";
import type { Ingest, Layer, LoadOptions } from "../contract.ts";
import type { Layers } from "../layers/store.ts";

/** JSON members larger than this are not read (they are nobody's manifest or config), bytes. */
const MAX_JSON = 8 << 20;
/** All JSON members together. */
const MAX_JSON_TOTAL = 64 << 20;
const MAX_MEMBERS = 100_000;
const BLOCK = 512;

export interface LoadedLayer {
  layer: Promise<Layer>;
  /** The compressed bytes as they came, where they did. */
  blob?: Descriptor;
}

/** What an image archive holds, by clean member name. Layers are unpacked already, or just being. */
export interface Members {
  json: Map<string, Uint8Array>;
  layers: Map<string, LoadedLayer>;
}

/**
 * Takes an image archive apart as it streams by: layers go to disk unpacked at once (whichever manifest will name them
 * comes later in the archive), everything small is kept in memory. Nothing else of the archive is stored.
 */
export async function readMembers(
  stores: { content: Content; layers: Layers },
  source: ReadableStream<Uint8Array>,
  options: LoadOptions,
): Promise<Members> {
  const members: Members = { json: new Map(), layers: new Map() };
  const links: [name: string, target: string][] = [];
  let total = 0;
  let count = 0;
  try {
    for await (const { entry, body } of readTar(source)) {
      options.signal?.throwIfAborted();
      if (++count > MAX_MEMBERS) throw invalidParameter("image archive has too many members");
      const name = cleanName(entry.name);
      if (name === null) throw invalidParameter(`${JSON.stringify(entry.name)} is outside of the archive`);
      if (entry.type === "symlink" || entry.type === "link") {
        const folder = entry.type === "symlink" ? name.slice(0, name.lastIndexOf("/") + 1) : "";
        const target = cleanName(folder + entry.linkname);
        if (target !== null) links.push([name, target]);
        continue;
      }
      if (entry.type !== "file" || entry.sparse) continue;
      const reader = body[Symbol.asyncIterator]();
      const head = await readHead(reader);
      if (isLayer(head, entry.size, name)) {
        members.layers.set(name, await receiveLayer(stores, name, head, reader, entry.size, options));
      } else if (entry.size <= MAX_JSON && head.length > 0) {
        total += entry.size;
        if (total > MAX_JSON_TOTAL) throw invalidParameter("image archive has too much metadata");
        const pieces = [head];
        for (let next = await reader.next(); !next.done; next = await reader.next()) pieces.push(next.value);
        members.json.set(name, new Uint8Array(Buffer.concat(pieces)));
      }
    }
  } catch (error) {
    // What is still being unpacked is waited for, so that nothing goes on behind the caller's back.
    await Promise.allSettled([...members.layers.values()].map(({ layer }) => layer));
    throw error;
  }
  // Docker's old archives and podman's name one layer file several times by links.
  for (let pass = 0; pass < 2; pass++) {
    for (const [name, target] of links) {
      const layer = members.layers.get(target);
      if (layer) members.layers.set(name, layer);
      const json = members.json.get(target);
      if (json) members.json.set(name, json);
    }
  }
  return members;
}

/** At least one block of the payload, or all of it where it is shorter. */
async function readHead(reader: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  const first = await reader.next();
  if (first.done) return new Uint8Array(0);
  let head: Uint8Array = first.value;
  while (head.length < BLOCK) {
    const next = await reader.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  return head;
}

function isLayer(head: Uint8Array, size: number, name: string): boolean {
  if (detectCompression(head) !== "none") return true;
  if (head.length >= BLOCK) return isZeroBlock(head.subarray(0, BLOCK)) || checksumMatches(head);
  // A tar of nothing at all.
  return size === 0 && (name.endsWith("/layer.tar") || name.endsWith(".tar"));
}

/** sha256 digest that a member's name promises, in an OCI layout. */
function digestOfName(name: string): Digest | undefined {
  const match = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name);
  const digest = match && `sha256:${match[1]}`;
  return digest && isDigest(digest) ? digest : undefined;
}

async function receiveLayer(
  stores: { content: Content; layers: Layers },
  name: string,
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  size: number,
  options: LoadOptions,
): Promise<LoadedLayer> {
  const promised = digestOfName(name);
  const compression = detectCompression(head);
  const report = progress(promised ? promised.slice(7, 19) : name.slice(0, 12), size, options);
  if (compression === "none") {
    if (promised && stores.layers.has(promised)) return { layer: Promise.resolve(stores.layers.get(promised)) };
    const sink = stores.layers.receive({ expected: promised });
    return pour(sink, head, rest, report, options);
  }
  const known = promised ? stores.layers.byBlob(promised) : null;
  if (known) return known;
  const { ingest, resumable } = await openIngest(stores.content, promised);
  let digest: Digest;
  try {
    let done = 0;
    // What a killed load left is not written twice.
    let skip = ingest.offset > size ? 0 : ingest.offset;
    for (let piece: Uint8Array | undefined = head; piece; ) {
      options.signal?.throwIfAborted();
      done += piece.length;
      const fresh: Uint8Array = piece.subarray(Math.min(skip, piece.length));
      skip -= piece.length - fresh.length;
      if (fresh.length > 0) await ingest.write(fresh);
      report(done);
      const next = await rest.next();
      piece = next.done ? undefined : next.value;
    }
    digest = await ingest.commit(promised ?? null, size);
  } catch (error) {
    if (resumable) ingest.close();
    else ingest.discard();
    throw error;
  }
  const mediaType = compression === "zstd" ? MediaType.ociLayerZstd : MediaType.ociLayerGzip;
  const blob: Descriptor = { mediaType, digest, size };
  const layer = stores.layers.unpack({ path: stores.content.path(digest) }, { blob, signal: options.signal });
  // Its failure is told where it is awaited.
  layer.catch(() => {});
  return { layer, blob };
}

/** Under the digest's own key, where a later try goes on with it; beside it where the digest is not known, or comes by another way just now. */
async function openIngest(content: Content, promised?: Digest): Promise<{ ingest: Ingest; resumable: boolean }> {
  try {
    if (promised) return { ingest: await content.ingest(promised), resumable: true };
  } catch (error) {
    if (!/locked/.test(messageOf(error))) throw error;
  }
  return { ingest: await content.ingest(`load-${crypto.randomUUID()}`), resumable: false };
}

async function pour(
  sink: { write(chunk: Uint8Array): Promise<boolean>; end(): Promise<Layer>; abort(): Promise<void> },
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
  report: (bytes: number) => void,
  options: LoadOptions,
): Promise<LoadedLayer> {
  let done = 0;
  try {
    for (let piece: Uint8Array | undefined = head; piece; ) {
      options.signal?.throwIfAborted();
      // False: the worker gave up; `end` tells why.
      if (!(await sink.write(piece))) break;
      done += piece.length;
      report(done);
      const next = await rest.next();
      piece = next.done ? undefined : next.value;
    }
  } catch (error) {
    await sink.abort();
    throw error;
  }
  const layer = sink.end();
  layer.catch(() => {});
  // Waited for, so that one thread does all the layers of a stream: what it has left is no more than the pipe holds.
  await layer.catch(() => {});
  return { layer };
}

function progress(id: string, total: number, options: LoadOptions): (bytes: number) => void {
  const { onProgress } = options;
  if (!onProgress) return () => {};
  let last = 0;
  return (current) => {
    const now = performance.now();
    if (now - last < 100 && current < total) return;
    last = now;
    onProgress({ id, status: "Loading layer", current, total });
  };
}
