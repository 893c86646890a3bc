import {
  type Descriptor,
  type Digest,
  familiarString,
  type ImageConfig,
  invalidParameter,
  isDigest,
  MediaType,
  notFound,
  parseJson,
  parseReference,
  withDefaultTag,
} from "@gantry/spec";
import { detectCompression, MAGIC_LENGTH } from "../archive/decompress.ts";
import { abortable, decompressByProgram, needsProgram, peek } from "../archive/feed.ts";
import { inflate } from "../archive/inflate.ts";
import { cleanName } from "../archive/path.ts";
import type { Content } from "../content/store.ts";
import type { ImageStore, LoadedImage, LoadOptions } from "../contract.ts";
import type { Layers } from "../layers/store.ts";
import { parseConfig, parseObject } from "./config.ts";
import { legacyImages } from "./legacy.ts";
import { type LoadedLayer, type Members, readMembers } from "./members.ts";
import { hostPlatform, matchesPlatform, parsePlatform } from "./platform.ts";

export interface Stores {
  content: Content;
  layers: Layers;
  images: Omit<ImageStore, "load" | "save">;
}

/** One image as the archive describes it. */
export interface Candidate {
  /** Its bytes, or (before there were configs) how to make them once the layers' diffIDs are known. */
  config: Uint8Array | ((diffIds: Digest[]) => Uint8Array);
  /** Member names, bottommost first. */
  layers: string[];
  tags: string[];
  manifest?: { descriptor: Descriptor; bytes: Uint8Array };
  /** Descriptors of the layers, where a manifest has them. */
  blobs?: Descriptor[];
}

const MAX_IMAGES = 4096;

/** Loads all images of an archive: Docker's (manifest.json, or the old `repositories`) and OCI layouts, or both in one. */
export async function load(
  stores: Stores,
  source: ReadableStream<Uint8Array>,
  options: LoadOptions,
): Promise<LoadedImage[]> {
  const members = await readMembers(stores, await uncompressed(abortable(source, options.signal)), options);
  try {
    return await registerAll(stores, members, options);
  } finally {
    // Layers that no manifest named may still be on their way: nothing goes on behind the caller's back.
    await Promise.allSettled([...members.layers.values()].map(({ layer }) => layer));
  }
}

async function registerAll(stores: Stores, members: Members, options: LoadOptions): Promise<LoadedImage[]> {
  const candidates = candidatesOf(members, options);
  const loaded: LoadedImage[] = [];
  for (const candidate of candidates) {
    options.signal?.throwIfAborted();
    const image = await register(stores, members, candidate);
    const seen = loaded.find(({ id }) => id === image.id);
    if (!seen) loaded.push(image);
    else for (const tag of image.tags) if (!seen.tags.includes(tag)) seen.tags.push(tag);
  }
  return loaded;
}

async function uncompressed(source: ReadableStream<Uint8Array>): Promise<ReadableStream<Uint8Array>> {
  const [head, whole] = await peek(source, MAGIC_LENGTH);
  const kind = detectCompression(head);
  if (kind === "none") return whole;
  return needsProgram(kind) ? decompressByProgram(kind, whole) : inflate(whole);
}

function candidatesOf(members: Members, options: LoadOptions): Candidate[] {
  const wanted = options.platform === undefined ? null : parsePlatform(options.platform);
  const manifest = members.json.get("manifest.json");
  let candidates: Candidate[];
  if (manifest) {
    candidates = dockerImages(members, manifest);
    if (wanted) {
      candidates = candidates.filter(
        ({ config }) => typeof config === "function" || matchesPlatform(parseConfig(config), wanted),
      );
    }
  } else if (members.json.has("index.json")) {
    candidates = ociImages(members, wanted);
  } else {
    candidates = legacyImages(members);
  }
  if (wanted && candidates.length === 0) {
    throw notFound(`image does not provide the specified platform (${options.platform})`);
  }
  return candidates;
}

function dockerImages(members: Members, bytes: Uint8Array): Candidate[] {
  let list: unknown;
  try {
    list = parseJson(Buffer.from(bytes).toString());
  } catch (error) {
    throw invalidParameter("invalid manifest.json", error);
  }
  if (!Array.isArray(list) || list.length > MAX_IMAGES) throw invalidParameter("invalid manifest.json");
  const manifests = ociManifests(members);
  return list.map((item: unknown) => {
    const { Config, RepoTags, Layers } = (item ?? {}) as { Config?: unknown; RepoTags?: unknown; Layers?: unknown };
    const layers = Layers ?? [];
    const tags = RepoTags ?? [];
    if (typeof Config !== "string" || !isStrings(layers) || !isStrings(tags)) {
      throw invalidParameter("invalid manifest.json");
    }
    const config = members.json.get(cleanName(Config) ?? "");
    if (!config) throw invalidParameter(`invalid archive: no such file: ${Config.slice(0, 300)}`);
    const digest = sha256(config);
    const found = manifests.find(({ parsed }) => parsed.config.digest === digest);
    return {
      config,
      layers: layers.map((name) => cleanName(name) ?? ""),
      tags,
      ...(found ? { manifest: found, blobs: found.parsed.layers } : {}),
    };
  });
}

const isStrings = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

const sha256 = (bytes: Uint8Array): Digest => `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;

interface FoundManifest {
  descriptor: Descriptor;
  bytes: Uint8Array;
  parsed: { config: Descriptor; layers: Descriptor[] };
  name?: string;
}

const INDEXES: string[] = [MediaType.ociIndex, MediaType.dockerManifestList];

/** All image manifests that index.json leads to; those whose content is not in the archive are left out. */
function ociManifests(members: Members): FoundManifest[] {
  const found: FoundManifest[] = [];
  const visit = (descriptors: unknown, name: string | undefined, depth: number) => {
    if (!Array.isArray(descriptors) || descriptors.length > MAX_IMAGES || depth > 8) {
      throw invalidParameter("invalid image index");
    }
    for (const item of descriptors) {
      const descriptor = checkDescriptor(item);
      const bytes = members.json.get(blobName(descriptor.digest));
      if (!bytes) continue;
      if (sha256(bytes) !== descriptor.digest)
        throw invalidParameter(`content of ${descriptor.digest} does not match its digest`);
      const own = imageName(descriptor.annotations) ?? name;
      const body = parseObject(bytes, "manifest");
      const mediaType = descriptor.mediaType || body["mediaType"];
      if (INDEXES.includes(mediaType as string) || "manifests" in body) {
        visit(body["manifests"], own, depth + 1);
        continue;
      }
      // Artifacts and attestations are no images.
      if (!("layers" in body) || descriptor.annotations?.["vnd.docker.reference.type"] !== undefined) continue;
      const config = checkDescriptor(body["config"]);
      const layers = body["layers"];
      if (!Array.isArray(layers) || layers.length > MAX_IMAGES) throw invalidParameter("invalid image manifest");
      found.push({ descriptor, bytes, parsed: { config, layers: layers.map(checkDescriptor) }, name: own });
      if (found.length > MAX_IMAGES) throw invalidParameter("too many images in the archive");
    }
  };
  const index = members.json.get("index.json");
  if (index) visit(parseObject(index, "index.json")["manifests"], undefined, 0);
  return found;
}

function checkDescriptor(value: unknown): Descriptor {
  const { digest, size, mediaType, annotations } = (value ?? {}) as Partial<Descriptor>;
  const sound =
    typeof digest === "string" &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    size! >= 0 &&
    (mediaType === undefined || typeof mediaType === "string") &&
    (annotations === undefined || annotations === null || typeof annotations === "object");
  if (!sound) throw invalidParameter("invalid descriptor in the archive");
  return value as Descriptor;
}

const blobName = (digest: Digest) => `blobs/${digest.replace(":", "/")}`;

/** containerd writes the whole name; the OCI annotation may be a bare tag, which names nothing. */
function imageName(annotations: Record<string, string> | undefined | null): string | undefined {
  const whole = annotations?.["io.containerd.image.name"];
  if (typeof whole === "string") return whole;
  const name = annotations?.["org.opencontainers.image.ref.name"];
  return typeof name === "string" && /[/:]/.test(name) ? name : undefined;
}

function ociImages(members: Members, wanted: ReturnType<typeof parsePlatform> | null): Candidate[] {
  const all = ociManifests(members).flatMap((found) => {
    const config = members.json.get(blobName(found.parsed.config.digest));
    if (!config) return [];
    let parsed: ImageConfig;
    try {
      parsed = parseConfig(config);
    } catch {
      // An artifact: its config is no image's.
      return [];
    }
    return [{ found, config, parsed }];
  });
  const groups = new Map<string, typeof all>();
  for (const item of all) {
    const key = item.found.name ?? item.found.descriptor.digest;
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  const platform = wanted ?? hostPlatform();
  const candidates: Candidate[] = [];
  for (const group of groups.values()) {
    let chosen = group.filter(({ parsed }) => matchesPlatform(parsed, platform)).slice(0, 1);
    // Without a wish, an image for another machine is still an image.
    if (chosen.length === 0 && !wanted) chosen = group.slice(0, 1);
    for (const { found, config } of chosen) {
      candidates.push({
        config,
        layers: found.parsed.layers.map(({ digest }) => blobName(digest)),
        tags: found.name === undefined ? [] : [found.name],
        manifest: found,
        blobs: found.parsed.layers,
      });
    }
  }
  if (candidates.length === 0 && !wanted) throw invalidParameter("no image found in the archive");
  return candidates;
}

async function register(stores: Stores, members: Members, candidate: Candidate): Promise<LoadedImage> {
  const tags = candidate.tags.map((tag) => {
    const { domain, path, tag: name } = parseReference(tag);
    return familiarString(withDefaultTag({ domain, path, tag: name }));
  });
  const wanted = typeof candidate.config === "function" ? null : parseConfig(candidate.config).rootfs.diff_ids;
  if (wanted && wanted.length !== candidate.layers.length) {
    throw invalidParameter(
      `invalid manifest, layers length mismatch: expected ${wanted.length}, got ${candidate.layers.length}`,
    );
  }
  const diffIds: Digest[] = [];
  for (const [i, name] of candidate.layers.entries()) {
    diffIds.push(await layerOf(stores, members.layers.get(name), wanted?.[i], name, i, candidate.blobs?.[i]));
  }
  const config = typeof candidate.config === "function" ? candidate.config(diffIds) : candidate.config;
  // A manifest is worth keeping where all it names is kept; Docker's `save` writes ones for uncompressed layers.
  const whole = candidate.blobs?.every(({ digest }) => stores.content.has(digest));
  const manifest = whole ? candidate.manifest : undefined;
  const image = await stores.images.create(config, { manifest: manifest?.descriptor, manifestBytes: manifest?.bytes });
  for (const tag of tags) stores.images.tag(image.id, tag);
  return { id: image.id, tags };
}

async function layerOf(
  stores: Stores,
  member: LoadedLayer | undefined,
  wanted: Digest | undefined,
  name: string,
  i: number,
  blob: Descriptor | undefined,
): Promise<Digest> {
  if (!member) {
    // Archives may leave out a layer that the receiver is known to have.
    if (wanted && stores.layers.has(wanted)) return wanted;
    throw invalidParameter(`invalid archive: no such file: ${name.slice(0, 300)}`);
  }
  const { diffId } = await member.layer;
  if (wanted && diffId !== wanted) {
    throw invalidParameter(
      `invalid diffID for layer ${i}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(diffId)}`,
    );
  }
  if (blob && member.blob?.digest === blob.digest) stores.layers.setBlobFor(diffId, blob);
  return diffId;
}
