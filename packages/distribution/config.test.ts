import { expect, test } from "bun:test";
import { hostname, inAnyRange, LOOPBACK } from "./addresses.ts";
import { checkMirror, DEFAULT_REGISTRY_CONFIG, readRegistryConfig } from "./config.ts";
import { HostBook } from "./endpoints.ts";

test("daemon.json's registry keys", () => {
  const config = readRegistryConfig({
    "insecure-registries": ["reg.example:5000", "10.0.0.0/8"],
    "registry-mirrors": ["https://mirror.example/"],
    registries: { "ghcr.io": { mirrors: ["https://mirror.example/ghcr/"] }, "index.docker.io": { mirrors: [] } },
    "max-concurrent-downloads": 0,
    "max-concurrent-uploads": 7,
    debug: true,
  });
  expect(config.registryMirrors).toEqual(["https://mirror.example"]);
  expect(config.registries).toEqual({
    "ghcr.io": { mirrors: ["https://mirror.example/ghcr"] },
    "docker.io": { mirrors: [] },
  });
  expect(config.maxConcurrentDownloads).toBe(3);
  expect(config.maxConcurrentUploads).toBe(7);
});

test("what cannot be is refused", () => {
  for (const mirror of ["mirror.example", "ftp://x", "https://u:p@x", "https://x?y", "https://x#y", ""]) {
    expect(() => checkMirror(mirror)).toThrow("invalid mirror: ");
  }
  expect(() => readRegistryConfig({ "insecure-registries": ["https://x"] })).toThrow("should not contain 'https://'");
  expect(() => readRegistryConfig({ "max-concurrent-downloads": -1 })).toThrow("invalid max concurrent downloads: -1");
  expect(() => readRegistryConfig({ registries: [] })).toThrow("invalid registries");
  expect(() => readRegistryConfig({ registries: { x: { mirrors: "y" } } })).toThrow("invalid mirrors");
});

test("host names and ranges", () => {
  expect([hostname("x:5000"), hostname("[::1]:5000"), hostname("[::1]"), hostname("x")]).toEqual([
    "x",
    "::1",
    "::1",
    "x",
  ]);
  expect(inAnyRange(["127.3.4.5"], LOOPBACK)).toBe(true);
  expect(inAnyRange(["::1"], LOOPBACK)).toBe(true);
  expect(inAnyRange(["10.1.1.1"], ["10.1.0.0/16", "no range", "1.2.3.4/99", "/"])).toBe(true);
  expect(inAnyRange(["10.2.1.1"], ["10.1.0.0/16"])).toBe(false);
});

test("who is spoken to, and how", async () => {
  const config = {
    ...DEFAULT_REGISTRY_CONFIG,
    certificateDirs: [],
    insecureRegistries: ["192.0.2.1:5000", "198.51.100.0/24"],
    registryMirrors: ["http://mirror.invalid"],
    registries: { "192.0.2.9": { mirrors: ["https://m.invalid/x"] } },
  };
  const book = new HostBook(() => config);
  const urls = async (registry: string, push = false) => (await book.endpoints(registry, push)).map(({ url }) => url);
  expect(await urls("docker.io")).toEqual(["http://mirror.invalid", "https://registry-1.docker.io"]);
  expect(await urls("docker.io", true)).toEqual(["https://registry-1.docker.io"]);
  expect(await urls("192.0.2.9")).toEqual(["https://m.invalid/x", "https://192.0.2.9"]);
  const plain = async (registry: string) => (await book.endpoints(registry)).at(-1)?.plain?.url;
  expect(await plain("192.0.2.1:5000")).toBe("http://192.0.2.1:5000");
  expect(await plain("198.51.100.7")).toBe("http://198.51.100.7");
  expect(await plain("192.0.2.2")).toBeUndefined();
  expect(await plain("127.0.0.1:5000")).toBe("http://127.0.0.1:5000");
  expect((await book.trust("192.0.2.2")).tls.rejectUnauthorized).toBe(true);
  expect((await book.trust("198.51.100.7")).tls.rejectUnauthorized).toBe(false);
});
