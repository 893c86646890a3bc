import {
  type Descriptor,
  type Digest,
  digestHex,
  familiarName,
  familiarString,
  GantryError,
  type ImageManifest,
  isNameOnly,
  MediaType,
  notFound,
  parseAnyReference,
  parseReference,
  referenceString,
} from "@gantry/spec";
import { encodeHeader, padding, TRAILER } from "../archive/writer.ts";
import type { ImageStore, SavedImage, StoredImage } from "../contract.ts";
import type { Stores } from "./load.ts";

/**
 * The archive that Docker 25 and later writes: an OCI layout of uncompressed layers, with manifest.json and
 * `repositories` for older readers. `ended` is called once the stream is, in whichever way.
 */
export function save(stores: Stores, selected: SavedImage[], ended = () => {}): ReadableStream<Uint8Array> {
  const members = archive(stores, selected);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await members.next();
          if (!done) return controller.enqueue(value);
        } catch (error) {
          ended();
          throw error;
        }
        ended();
        controller.close();
      },
      async cancel() {
        ended();
        await members.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

/** What references mean to a save: a name without tag all its tags, an ID an image without names. Throws notFound. */
export function select(images: Pick<ImageStore, "list" | "resolve">, references: string[]): SavedImage[] {
  const byId = new Map<Digest, SavedImage>();
  const add = (image: StoredImage, tags: string[]) => {
    const entry = byId.get(image.id) ?? { image, tags: [] };
    for (const tag of tags) if (!entry.tags.includes(tag)) entry.tags.push(tag);
    byId.set(image.id, entry);
  };
  for (const text of references) {
    const parsed = parseAnyReference(text);
    if (!("id" in parsed) && isNameOnly(parsed)) {
      const prefix = `${familiarName(parsed)}:`;
      const named = images.list().filter(({ tags }) => tags.some((tag) => tag.startsWith(prefix)));
      for (const image of named)
        add(
          image,
          image.tags.filter((tag) => tag.startsWith(prefix)),
        );
      if (named.length > 0) continue;
    }
    const image = resolveIn(images, text);
    const name = "id" in parsed ? undefined : familiarString(parsed);
    add(image, name !== undefined && image.tags.includes(name) ? [name] : []);
  }
  return [...byId.values()];
}

/** A save has words of its own for what is not here: a name as it was written, and none for a tag. */
function resolveIn(images: Pick<ImageStore, "resolve">, text: string): StoredImage {
  try {
    return images.resolve(text);
  } catch (error) {
    const parsed = parseAnyReference(text);
    if (!(error instanceof GantryError && error.kind === "notFound") || "id" in parsed) throw error;
    throw notFound(isNameOnly(parsed) ? `No such image: ${text}` : "reference does not exist", error);
  }
}

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const sha256 = (bytes: Uint8Array): Digest => `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;

interface Blob {
  size: number;
  mtime: number;
  content: Uint8Array | { layer: Digest };
}

async function* archive(stores: Stores, selected: SavedImage[]): AsyncGenerator<Uint8Array, void, undefined> {
  const blobs = new Map<Digest, Blob>();
  const index: Descriptor[] = [];
  const manifests: unknown[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const { image, tags } of selected) {
    const mtime = Math.max(0, Math.floor(Date.parse(image.config.created ?? "") / 1000)) || 0;
    const layers = image.config.rootfs.diff_ids.map((digest): Descriptor => {
      const size = stores.layers.tarSize(digest);
      blobs.set(digest, { size, mtime, content: { layer: digest } });
      return { mediaType: MediaType.ociLayer, digest, size };
    });
    const config = await stores.content.read(image.id);
    blobs.set(image.id, { size: config.length, mtime, content: config });
    const manifest: ImageManifest = {
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: { mediaType: MediaType.ociConfig, digest: image.id, size: config.length },
      layers,
    };
    const bytes = json(manifest);
    const descriptor = { mediaType: MediaType.ociManifest, digest: sha256(bytes), size: bytes.length };
    blobs.set(descriptor.digest, { size: bytes.length, mtime: 0, content: bytes });
    index.push(...(tags.length === 0 ? [descriptor] : tags.map((tag) => named(descriptor, tag))));
    const top = layers.at(-1);
    for (const tag of tags) {
      const reference = parseReference(tag);
      const name = familiarName(reference);
      repositories[name] ??= {};
      repositories[name][reference.tag!] = top ? digestHex(top.digest) : "";
    }
    manifests.push({
      Config: blobName(image.id),
      RepoTags: tags.length === 0 ? null : tags,
      Layers: layers.map(({ digest }) => blobName(digest)),
      LayerSources: Object.fromEntries(layers.map((layer) => [layer.digest, layer])),
    });
  }
  yield encodeHeader({ name: "blobs/", type: "dir", mode: 0o755 });
  yield encodeHeader({ name: "blobs/sha256/", type: "dir", mode: 0o755 });
  for (const [digest, blob] of [...blobs].sort(([a], [b]) => (a < b ? -1 : 1)))
    yield* member(stores, blobName(digest), blob);
  const files: [string, unknown][] = [
    ["index.json", { schemaVersion: 2, mediaType: MediaType.ociIndex, manifests: index }],
    ["manifest.json", manifests],
    ["oci-layout", { imageLayoutVersion: "1.0.0" }],
  ];
  if (Object.keys(repositories).length > 0) files.push(["repositories", repositories]);
  for (const [name, value] of files) {
    const bytes = json(value);
    yield* member(stores, name, { size: bytes.length, mtime: 0, content: bytes });
  }
  yield TRAILER;
}

async function* member(stores: Stores, name: string, blob: Blob): AsyncGenerator<Uint8Array, void, undefined> {
  yield encodeHeader({ name, type: "file", mode: 0o644, size: blob.size, mtime: blob.mtime });
  if ("layer" in blob.content) {
    let sent = 0;
    for await (const chunk of stores.layers.tar(blob.content.layer)) {
      sent += chunk.length;
      yield chunk;
    }
    if (sent !== blob.size) throw new Error(`layer ${blob.content.layer} gave ${sent} bytes, not ${blob.size}`);
  } else {
    yield blob.content;
  }
  const rest = padding(blob.size);
  if (rest.length > 0) yield rest;
}

const blobName = (digest: Digest) => `blobs/${digest.replace(":", "/")}`;

function named(descriptor: Descriptor, tag: string): Descriptor {
  const reference = parseReference(tag);
  return {
    ...descriptor,
    annotations: {
      "io.containerd.image.name": referenceString(reference),
      "org.opencontainers.image.ref.name": reference.tag!,
    },
  };
}
