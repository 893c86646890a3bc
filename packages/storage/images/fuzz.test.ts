import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import zlib from "node:zlib";
import { GantryError, MediaType } from "@gantry/spec";
import { sha256, streamOf, type TestMember, tarOf } from "../archive/testing.ts";
import { openStorage } from "../storage.ts";

/** How many mutated image archives; GANTRY_FUZZ=10000 for the long run. */
const ROUNDS = Number(process.env["GANTRY_FUZZ"] ?? 150);

const json = (value: unknown) => JSON.stringify(value);
const layer = tarOf({ name: "f", type: "file", content: "content" });
const gz = new Uint8Array(zlib.gzipSync(layer));
const config = json({
  architecture: "amd64",
  os: "linux",
  config: { Env: ["A=b"] },
  rootfs: { type: "layers", diff_ids: [sha256(layer)] },
});
const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const descriptor = (mediaType: string, content: Uint8Array) => ({
  mediaType,
  digest: sha256(content),
  size: content.length,
});
const manifest = json({
  schemaVersion: 2,
  mediaType: MediaType.ociManifest,
  config: descriptor(MediaType.ociConfig, bytes(config)),
  layers: [descriptor(MediaType.ociLayerGzip, gz)],
});
const name = { "io.containerd.image.name": "docker.io/library/fuzz:1" };
const index = json({
  schemaVersion: 2,
  manifests: [{ ...descriptor(MediaType.ociManifest, bytes(manifest)), annotations: name }],
});
const docker = json([{ Config: "c.json", RepoTags: ["fuzz:1"], Layers: ["l/layer.tar"] }]);
const v1 = "a".repeat(64);

/** Texts by member name, and what stands beside them. */
const archives: [Record<string, string>, TestMember[]][] = [
  [{ "manifest.json": docker, "c.json": config }, [{ name: "l/layer.tar", type: "file", content: layer }]],
  [
    { "index.json": index, [blobName(bytes(manifest))]: manifest, [blobName(bytes(config))]: config },
    [{ name: blobName(gz), type: "file", content: gz }],
  ],
  [
    { repositories: json({ fuzz: { "1": v1 } }), [`${v1}/json`]: json({ id: v1, os: "linux", architecture: "amd64" }) },
    [{ name: `${v1}/layer.tar`, type: "file", content: layer }],
  ],
];

function blobName(content: Uint8Array): string {
  return `blobs/sha256/${sha256(content).slice(7)}`;
}

const VALUES = [
  "null",
  "[]",
  "{}",
  "0",
  "-1",
  "1e99",
  '""',
  '"../../victim"',
  '"/etc/passwd"',
  "true",
  '["x"]',
  '{"a":{}}',
  `"${"x".repeat(300)}"`,
  '"sha256:00"',
  '"__proto__"',
];

function mutate(text: string, next: (below: number) => number): string {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?[0-9.]+|true|false|null|[[{][\]}]/g)];
  const token = tokens[next(tokens.length)];
  const value = VALUES[next(VALUES.length)]!;
  switch (next(4)) {
    case 0: {
      const at = next(text.length);
      return text.slice(0, at) + String.fromCharCode(next(256)) + text.slice(at + 1);
    }
    case 1:
      return text.slice(0, next(text.length));
    default:
      if (!token) return value;
      return text.slice(0, token.index) + value + text.slice(token.index + token[0].length);
  }
}

function random(seed: number): (below: number) => number {
  let state = (Math.imul(seed, 2654435761) >>> 0) + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test(`${ROUNDS} mutated manifests: an error or a whole image; nothing outside`, async () => {
  const place = mkdtempSync(`${tmpdir()}/gantry-fuzz-`);
  writeFileSync(`${place}/victim`, "untouched");
  mkdirSync(`${place}/root`);
  const storage = openStorage({ root: `${place}/root`, db: new Database(":memory:") });
  let loaded = 0;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const next = random(round + 1);
      const [texts, members] = archives[next(archives.length)]!;
      const changed = { ...texts };
      const victim = Object.keys(texts)[next(Object.keys(texts).length)]!;
      for (let i = 1 + next(2); i > 0; i--) changed[victim] = mutate(changed[victim]!, next) || " ";
      // A manifest's own digest is put right, or its content would never be looked at.
      const renamed: [string, string][] = Object.entries(changed).map(([key, text]) => [
        key.startsWith("blobs/") && next(4) !== 0 ? blobName(bytes(text)) : key,
        text,
      ]);
      if (changed["index.json"] && changed["index.json"] === texts["index.json"]) {
        const moved = renamed.find(([key], i) => key !== Object.keys(changed)[i]);
        if (moved) {
          const entry = { ...descriptor(MediaType.ociManifest, bytes(moved[1])), annotations: name };
          renamed[0] = ["index.json", json({ schemaVersion: 2, manifests: [entry] })];
        }
      }
      const archive = tarOf(
        ...members,
        ...renamed.map(([key, text]): TestMember => ({ name: key, type: "file", content: bytes(text) })),
      );
      try {
        loaded += (await storage.images.load(streamOf(archive))).length;
      } catch (error) {
        if (!(error instanceof GantryError) || error.kind === "system")
          throw new Error(`round ${round}: ${(error as Error).stack}`);
      }
      for (const image of storage.images.list()) {
        for (const diffId of image.config.rootfs.diff_ids)
          if (!storage.layers.has(diffId)) throw new Error(`round ${round}: broken image`);
        storage.images.delete(image.id);
      }
      if (next(10) === 0) await storage.collect();
    }
    expect(loaded).toBeGreaterThan(ROUNDS / 20);
    expect(readdirSync(place).sort()).toEqual(["root", "victim"]);
    expect(readFileSync(`${place}/victim`, "utf8")).toBe("untouched");
    await storage.collect();
    await storage.settled();
    expect(readdirSync(`${place}/root/layers`)).toEqual(["init"]);
  } finally {
    await storage.settled();
    rmSync(place, { recursive: true, force: true });
  }
}, 900_000);
