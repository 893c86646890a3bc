import { expect, test } from "bun:test";
import { GantryError } from "@gantry/spec";
import { digestOf, dockerLayerType, layerKind, MAX_MANIFEST, parseManifest } from "./manifest.ts";

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const digest = `sha256:${"a".repeat(64)}`;
const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest, size: 10 };
const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 2 };
const image = { schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config, layers: [layer] };
const index = {
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.index.v1+json",
  manifests: [{ mediaType: image.mediaType, digest, size: 5, platform: { os: "linux", architecture: "amd64" } }],
};
const parse = (value: unknown, type = "application/json") => parseManifest(bytes(value), type, "x:1");

test("images and indexes, told by their own media type, then the response's, then what is in them", () => {
  expect(parse(image).kind).toBe("image");
  expect(parse(index).kind).toBe("index");
  expect(parse(image).descriptor).toEqual({
    mediaType: image.mediaType,
    digest: digestOf(bytes(image)),
    size: bytes(image).length,
  });
  const { mediaType: _, ...bare } = image;
  expect(parse(bare).descriptor.mediaType).toBe(image.mediaType);
  const docker = "application/vnd.docker.distribution.manifest.v2+json";
  expect(parse(bare, `${docker}; charset=utf-8`).descriptor.mediaType).toBe(docker);
});

test("what is not well-formed is refused", () => {
  const bad: [unknown, string][] = [
    ["{", "invalid manifest"],
    ["[]", "not an object"],
    ["null", "not an object"],
    [{ ...image, schemaVersion: 3 }, "unsupported schema version"],
    [{ ...image, schemaVersion: 1 }, "DEPRECATION NOTICE"],
    [{ ...image, mediaType: "application/x" }, "unsupported manifest media type"],
    [{ schemaVersion: 2 }, "unsupported manifest media type"],
    [{ ...image, manifests: [] }, "both layers and manifests"],
    [{ ...image, layers: undefined }, "no layers"],
    [{ ...image, layers: [null] }, "no descriptor"],
    [{ ...image, config: { ...config, digest: "sha256:../../x" } }, "invalid checksum digest format"],
    [{ ...image, config: { ...config, digest: "md5:aa" } }, "invalid checksum digest format"],
    [{ ...image, layers: [{ ...layer, size: -1 }] }, "invalid size"],
    [{ ...image, layers: [{ ...layer, size: 1.5 }] }, "invalid size"],
    [{ ...image, layers: [{ ...layer, size: 2 ** 52 }] }, "invalid size"],
    [{ ...image, layers: [{ ...layer, urls: "x" }] }, "invalid urls"],
    [{ ...image, layers: Array(501).fill(layer) }, "more than 500 layers"],
    [{ ...index, manifests: [{ ...index.manifests[0], platform: { os: 1 } }] }, "invalid platform"],
    [" ".repeat(MAX_MANIFEST + 1), "too large"],
  ];
  for (const [value, message] of bad) expect(() => parse(value)).toThrow(message);
});

test("kinds of layers", () => {
  expect(layerKind(layer as never)).toBe("layer");
  expect(layerKind({ ...layer, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" } as never)).toBe(
    "foreign",
  );
  expect(layerKind({ ...layer, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar" } as never)).toBe(
    "foreign",
  );
  expect(layerKind({ ...layer, mediaType: "application/vnd.in-toto+json" } as never)).toBe("other");
  expect(dockerLayerType("application/vnd.oci.image.layer.v1.tar+zstd")).toBe(
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
  );
});

test("10,000 mutated manifests: an answer or a GantryError, never anything else", () => {
  let seed = 42;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed % below;
  };
  const originals = [bytes(image), bytes(index)];
  const tokens = [
    "null",
    "[]",
    "{}",
    "-1",
    "1e309",
    '""',
    "true",
    '"sha256:"',
    '"__proto__"',
    "9007199254740993",
    "[[[[",
  ];
  let taken = 0;
  for (let i = 0; i < 10_000; i++) {
    let text: Uint8Array = originals[i % 2]!.slice();
    for (let n = 0; n <= random(3); n++) {
      const at = random(text.length);
      const kind = random(4);
      if (kind === 0) text[at] = random(256);
      else if (kind === 1) text = Buffer.concat([text.subarray(0, at), text.subarray(at + random(40))]);
      else if (kind === 2) text = Buffer.concat([text.subarray(0, at), text.subarray(random(text.length))]);
      else
        text = Buffer.concat([
          text.subarray(0, at),
          bytes(tokens[random(tokens.length)]!),
          text.subarray(at + random(8)),
        ]);
      if (text.length === 0) text = bytes("{}");
    }
    try {
      const manifest = parseManifest(text, i % 3 ? "" : "application/vnd.oci.image.manifest.v1+json", "x");
      const list =
        manifest.kind === "image" ? [manifest.image.config, ...manifest.image.layers] : manifest.index.manifests;
      for (const entry of list) expect(entry.digest).toMatch(/^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$/);
      taken++;
    } catch (error) {
      if (!(error instanceof GantryError)) throw error;
    }
  }
  expect(taken).toBeGreaterThan(50);
});
