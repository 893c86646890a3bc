import { createHash, randomBytes } from "node:crypto";
import { makeTar } from "./tar.ts";

export interface TestBlob {
  digest: string;
  bytes: Uint8Array;
  mediaType: string;
}

/** An image made by hand, to be put into a registry without the code under test. */
export interface TestImage {
  manifest: TestBlob;
  config: TestBlob;
  layers: TestBlob[];
  diffIds: string[];
}

export interface TestIndex {
  manifest: TestBlob;
  images: TestImage[];
}

export interface ImageOptions {
  layers?: number;
  /** Bytes of random content in each layer. */
  layerSize?: number;
  compression?: "gzip" | "zstd" | "none";
  format?: "oci" | "docker";
  platform?: { os: string; architecture: string; variant?: string };
  config?: Record<string, unknown>;
}

export const sha256 = (bytes: Uint8Array | string): string =>
  `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

const LAYER_TYPES = {
  oci: {
    gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
    zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
    none: "application/vnd.oci.image.layer.v1.tar",
  },
  docker: {
    gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    zstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
    none: "application/vnd.docker.image.rootfs.diff.tar",
  },
};
const TYPES = {
  oci: {
    manifest: "application/vnd.oci.image.manifest.v1+json",
    index: "application/vnd.oci.image.index.v1+json",
    config: "application/vnd.oci.image.config.v1+json",
  },
  docker: {
    manifest: "application/vnd.docker.distribution.manifest.v2+json",
    index: "application/vnd.docker.distribution.manifest.list.v2+json",
    config: "application/vnd.docker.container.image.v1+json",
  },
};

function blob(bytes: Uint8Array | string, mediaType: string): TestBlob {
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  return { digest: sha256(data), bytes: data, mediaType };
}

const descriptor = (of: TestBlob) => ({ mediaType: of.mediaType, digest: of.digest, size: of.bytes.length });

/** An image with random content, so that no two tests share a layer unless they mean to. */
export function makeImage(options: ImageOptions = {}): TestImage {
  const { layers = 2, layerSize = 1000, compression = "gzip", format = "oci" } = options;
  const tars = Array.from({ length: layers }, (_, i) =>
    makeTar([
      { name: `dir${i}/` },
      { name: `dir${i}/file`, content: randomBytes(layerSize) },
      { name: `dir${i}/link`, link: "file" },
    ]),
  );
  const pack = { gzip: Bun.gzipSync, zstd: Bun.zstdCompressSync, none: (bytes: Uint8Array) => bytes }[compression];
  const blobs = tars.map((tar) => blob(pack(tar as never), LAYER_TYPES[format][compression]));
  const platform = options.platform ?? { os: "linux", architecture: process.arch === "x64" ? "amd64" : "arm64" };
  const diffIds = tars.map(sha256);
  const config = blob(
    JSON.stringify({
      created: "2024-01-02T03:04:05Z",
      ...platform,
      config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"], ...options.config },
      rootfs: { type: "layers", diff_ids: diffIds },
      history: diffIds.map((_, i) => ({ created: "2024-01-02T03:04:05Z", created_by: `step ${i}` })),
    }),
    TYPES[format].config,
  );
  const manifest = blob(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: TYPES[format].manifest,
      config: descriptor(config),
      layers: blobs.map(descriptor),
    }),
    TYPES[format].manifest,
  );
  return { manifest, config, layers: blobs, diffIds };
}

/** What BuildKit says of an image: where it comes from, and what is in it. */
function makeAttestation(of: string): TestImage {
  const says = (predicateType: string, predicate: string) => ({
    // A number that is not the same any more once it went through a double.
    ...blob(
      `{"_type": "https://in-toto.io/Statement/v0.1", "subject": "${of}", "predicateType": "${predicateType}", "predicate": ${predicate}}`,
      "application/vnd.in-toto+json",
    ),
    predicateType,
  });
  const layers = [
    says("https://slsa.dev/provenance/v0.2", '{"serial": 12345678901234567890}'),
    says("https://spdx.dev/Document", '{"packages": []}'),
  ];
  const unknown = { os: "unknown", architecture: "unknown" };
  const { config } = makeImage({ layers: 0, platform: unknown, config: { Labels: { of } } });
  const mediaType = TYPES.oci.manifest;
  const described = layers.map(({ predicateType, ...layer }) => ({
    ...descriptor(layer),
    annotations: { "in-toto.io/predicate-type": predicateType },
  }));
  const manifest = { schemaVersion: 2, mediaType, config: descriptor(config), layers: described };
  return { manifest: blob(JSON.stringify(manifest), mediaType), config, layers, diffIds: [] };
}

/** An index of images for these platforms, with an attestation for each as BuildKit adds them. */
export function makeIndex(
  platforms: { os: string; architecture: string; variant?: string }[],
  options: ImageOptions = {},
): TestIndex {
  const { format = "oci" } = options;
  const images = platforms.map((platform) => makeImage({ ...options, platform }));
  const entries: unknown[] = images.map((image, i) => ({ ...descriptor(image.manifest), platform: platforms[i] }));
  const attestations = images.map((image) => {
    const statement = makeAttestation(image.manifest.digest);
    entries.push({
      ...descriptor(statement.manifest),
      platform: { os: "unknown", architecture: "unknown" },
      annotations: {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image.manifest.digest,
      },
    });
    return statement;
  });
  const type = TYPES[format].index;
  const manifest = blob(JSON.stringify({ schemaVersion: 2, mediaType: type, manifests: entries }), type);
  return { manifest, images: [...images, ...attestations] };
}

/** Puts an image or index into a registry under a tag, with plain requests. */
export async function seed(
  url: string,
  repository: string,
  tag: string,
  what: TestImage | TestIndex,
  headers: Record<string, string> = {},
): Promise<void> {
  const send = async (path: string, init: RequestInit & { tls?: unknown }) => {
    const target = path.startsWith("http") ? path : `${url}/v2/${repository}/${path}`;
    const response = await fetch(target, {
      ...init,
      headers: { ...headers, ...(init.headers as Record<string, string>) },
      tls: { rejectUnauthorized: false },
    } as RequestInit);
    if (!response.ok) throw new Error(`${init.method} ${target}: ${response.status} ${await response.text()}`);
    return response;
  };
  const put = async (item: TestBlob) => {
    const opened = await send("blobs/uploads/", { method: "POST" });
    const location = new URL(opened.headers.get("location")!, url);
    location.searchParams.set("digest", item.digest);
    await send(location.href, {
      method: "PUT",
      body: item.bytes,
      headers: { "content-type": "application/octet-stream" },
    });
  };
  const manifest = (item: TestBlob, at: string) =>
    send(`manifests/${at}`, { method: "PUT", body: item.bytes, headers: { "content-type": item.mediaType } });
  for (const image of "images" in what ? what.images : [what]) {
    for (const item of [image.config, ...image.layers]) await put(item);
    if ("images" in what) await manifest(image.manifest, image.manifest.digest);
  }
  await manifest(what.manifest, tag);
}
