import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { CutLine } from "./support/cut-line.ts";
import { statuses, TestEngine } from "./support/engine.ts";
import { type Fault, FaultProxy, type Seen } from "./support/fault-proxy.ts";
import { makeImage, seed, sha256, type TestImage } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

describe.skipIf(!registryInstalled)("a bad line to the registry", () => {
  let registry: RunningRegistry;
  let proxy: FaultProxy;
  let engine: TestEngine;
  let image: TestImage;
  let name = "";
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.stop());
  beforeEach(async () => {
    proxy = await new FaultProxy(registry.url).start();
    engine = new TestEngine();
    image = makeImage({ layers: 2, layerSize: 600_000 });
    await seed(registry.url, "app", "1", image);
    name = `${proxy.host}/app:1`;
  });
  afterEach(async () => {
    proxy.stop();
    await engine.close();
  });

  const blob = (seen: Seen) => seen.method === "GET" && seen.path.includes("/blobs/");
  const onBlobs = (make: (before: number, seen: Seen) => Fault | undefined) => {
    proxy.plan = (seen, before) =>
      blob(seen) && !seen.path.includes(image.config.digest) ? make(before, seen) : undefined;
  };
  const right = async () => {
    expect(engine.images.resolve(name).id).toBe(image.config.digest as never);
    for (const layer of image.layers) expect(engine.storage.content.has(layer.digest as never)).toBe(true);
    await engine.check();
  };
  const nothing = async () => {
    expect(() => engine.images.resolve(name)).toThrow("No such image");
    await engine.check();
  };

  test("cuts are resumed where they happened, at any place", async () => {
    const size = image.layers[0]!.bytes.length;
    const places = [0, 1, 700, size >> 1, size - 1];
    onBlobs((before) =>
      before < places.length ? { kind: "cut", after: Math.max(1, (places[before] ?? 0) >> 3) } : undefined,
    );
    engine.config = { ...engine.config, maxDownloadAttempts: 8 };
    await engine.pull(name);
    await right();
    const ranges = proxy.seen
      .filter(blob)
      .map(({ headers }) => headers["range"])
      .filter(Boolean);
    expect(ranges.length).toBeGreaterThanOrEqual(2);
  });

  test.skipIf(process.getuid?.() !== 0)(
    "a full disk is told of, not tried again and again, and nothing partial fills it further",
    async () => {
      const ingest = `${engine.root}/content/ingest`;
      expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=128k", "none", ingest]).exitCode).toBe(0);
      try {
        await expect(engine.pull(name)).rejects.toThrow("no space left on device");
        expect(proxy.seen.filter((seen) => blob(seen) && seen.path.includes(image.layers[0]!.digest)).length).toBe(1);
        await eventually(() => readdirSync(ingest).length === 0);
        expect(readdirSync(`${engine.root}/layers`)).toEqual(["init"]);
        await nothing();
      } finally {
        // What was given up may not be closed yet.
        await eventually(() => Bun.spawnSync(["umount", ingest]).exitCode === 0);
      }
      await engine.pull(name);
      await right();
    },
  );

  test("stalls are noticed and resumed", async () => {
    onBlobs((before) => (before === 0 ? { kind: "stall", after: 200_000 } : undefined));
    // So often, because where the machine itself stands still that counts as a stall too.
    engine.config = { ...engine.config, stallTimeout: 400, maxDownloadAttempts: 30 };
    const said = statuses(await engine.pull(name));
    expect(said.some((line) => line.includes("Retrying in 1 second"))).toBe(true);
    await right();
  });

  test("429 waits as long as it was asked to, 500 and 503 are tried again", async () => {
    const times: number[] = [];
    proxy.plan = (seen, before) => {
      if (seen.path.includes("/manifests/")) {
        times.push(performance.now());
        return before === 0 ? { kind: "status", status: 429, headers: { "retry-after": "1" } } : undefined;
      }
      return blob(seen) && before < 2 ? { kind: "status", status: before === 0 ? 500 : 503 } : undefined;
    };
    await engine.pull(name);
    expect(times[1]! - times[0]!).toBeGreaterThan(950);
    await right();
  });

  test("a range other than asked for, or none, or 416: begun again", async () => {
    for (const fault of [
      { kind: "wrong-range", shift: 100 },
      { kind: "wrong-range", shift: -50 },
      { kind: "ignore-range" },
      { kind: "status", status: 416 },
    ] as Fault[]) {
      const fresh = new TestEngine();
      onBlobs((before) => (before === 0 ? { kind: "cut", after: 150_000 } : before === 1 ? fault : undefined));
      await fresh.pull(name);
      expect(fresh.images.resolve(name).id).toBe(image.config.digest as never);
      await fresh.check();
      await fresh.close();
      proxy.seen.length = 0;
    }
  });

  test("a shortened body is not taken for the whole", async () => {
    onBlobs((before) => (before === 0 ? { kind: "truncate", by: 10 } : undefined));
    await engine.pull(name);
    await right();
  });

  test("an altered body is fetched again; one that stays altered is an error that names the digest", async () => {
    onBlobs((before) => (before === 0 ? { kind: "alter", at: 5000 } : undefined));
    await engine.pull(name);
    await right();

    const always = new TestEngine();
    try {
      onBlobs((_, seen) => (seen.path.includes(image.layers[1]!.digest) ? { kind: "alter", at: 5000 } : undefined));
      await expect(always.pull(name)).rejects.toThrow(
        `filesystem layer verification failed for digest ${image.layers[1]!.digest}`,
      );
      expect(() => always.images.resolve(name)).toThrow("No such image");
      await always.check();
      // The good layer stays for the next try, which then succeeds.
      proxy.plan = () => undefined;
      await always.pull(name);
      expect(always.images.resolve(name).id).toBe(image.config.digest as never);
    } finally {
      await always.close();
    }
  });

  test("altered manifests and configs are refused", async () => {
    proxy.plan = (seen, before) =>
      seen.path.includes("/manifests/") && before === 0 ? { kind: "alter", at: 30 } : undefined;
    await engine.pull(name);
    await right();
    const fresh = new TestEngine();
    proxy.plan = (seen) => (seen.path.includes("/manifests/") ? { kind: "alter", at: 30 } : undefined);
    await expect(fresh.pull(name)).rejects.toThrow("manifest verification failed for digest sha256:");
    proxy.plan = (seen) => (seen.path.includes(image.config.digest) ? { kind: "alter", at: 30 } : undefined);
    await expect(fresh.pull(name)).rejects.toThrow(
      `image config verification failed for digest ${image.config.digest}`,
    );
    await fresh.close();
  });

  test("a registry that only fails ends in its own words, and quickly", async () => {
    onBlobs(() => ({ kind: "status", status: 500 }));
    await expect(engine.pull(name)).rejects.toThrow("received unexpected HTTP status: 500 Internal Server Error");
    await nothing();
    onBlobs(() => ({ kind: "status", status: 403 }));
    const before = proxy.seen.length;
    await expect(engine.pull(name)).rejects.toThrow("denied");
    // What is not transient is not tried again (five tries would be ten requests).
    expect(proxy.seen.slice(before).filter(blob).length).toBeLessThanOrEqual(5);
  });

  test("a redirect to another host carries no credential; back to the registry is followed", async () => {
    const other: Record<string, string>[] = [];
    const storage = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        other.push(Object.fromEntries(request.headers));
        const digest = new URL(request.url).pathname.slice(1);
        const found = image.layers.find((layer) => layer.digest === digest);
        return found ? new Response(found.bytes as never) : new Response("", { status: 404 });
      },
    });
    const challenge = { "www-authenticate": 'Basic realm="x"' };
    proxy.plan = (seen) => {
      if (!seen.headers["authorization"]) return { kind: "status", status: 401, headers: challenge };
      const digest = /blobs\/(sha256:.*)$/.exec(seen.path)?.[1];
      if (digest && image.layers.some((layer) => layer.digest === digest)) {
        // Another port is another origin.
        return { kind: "redirect", to: `http://127.0.0.1:${storage.port}/${digest}` };
      }
      return undefined;
    };
    try {
      await engine.pull(name, { credentials: { username: "ann", password: "secret" } });
      await right();
      expect(other).toHaveLength(2);
      for (const headers of other) {
        expect(headers["authorization"]).toBeUndefined();
        expect(headers["cookie"]).toBeUndefined();
      }
    } finally {
      storage.stop(true);
    }
  });

  test("redirects in a circle, and to schemes that are none of ours, end in an error", async () => {
    onBlobs((_, seen) => ({ kind: "redirect", to: seen.path }));
    await expect(engine.pull(name)).rejects.toThrow("stopped after 10 redirects");
    onBlobs(() => ({ kind: "redirect", to: "file:///etc/passwd" }));
    await expect(engine.pull(name)).rejects.toThrow("unsupported scheme");
    await nothing();
  });

  test("a pull that was stopped is resumed by the next, in the same or another engine process", async () => {
    const big = makeImage({ layers: 1, layerSize: 6_000_000 });
    await seed(registry.url, "big", "1", big);
    const bigName = `${proxy.host}/big:1`;
    const [layer] = big.layers;
    const abort = new AbortController();
    proxy.plan = (seen, before) =>
      seen.path.includes(layer!.digest) && before === 0 ? { kind: "stall", after: 4_000_000 } : undefined;
    engine.config = { ...engine.config, stallTimeout: 60_000 };
    const pulling = engine.pull(bigName, { signal: abort.signal });
    const ingest = join(engine.root, "content/ingest");
    await eventually(() => proxy.seen.some(({ path }) => path.includes(layer!.digest)));
    await eventually(() => readdirSync(ingest).reduce((sum, one) => sum + statSync(join(ingest, one)).size, 0) >= 2e6);
    abort.abort(new Error("stopped"));
    await expect(pulling).rejects.toThrow("stopped");
    expect(readdirSync(ingest)).toEqual([layer!.digest.replace(":", "-")]);
    await engine.check();
    // As a daemon does when it starts.
    await engine.storage.recover();
    await engine.pull(bigName);
    expect(engine.images.resolve(bigName).id).toBe(big.config.digest as never);
    const last = proxy.seen.findLast(({ path }) => path.includes(layer!.digest));
    expect(Number(/^bytes=(\d+)-$/.exec(String(last?.headers["range"]))?.[1])).toBeGreaterThan(1_000_000);
  });

  test("uploads are tried again after a refusal and after a cut", async () => {
    const big = makeImage({ layers: 1, layerSize: 6_000_000 });
    await seed(registry.url, "big", "1", big);
    await engine.pull(`${registry.host}/big:1`);
    const digestOf = async (name: string) => (await engine.images.inspectRemote(name)).Descriptor.digest;

    let refused = 0;
    proxy.plan = (seen) => (seen.method === "PATCH" && refused++ < 1 ? { kind: "status", status: 503 } : undefined);
    // Another name of the registry, so that nothing can be mounted from where it came.
    engine.images.tag(`${registry.host}/big:1`, `${proxy.host}/refused`, "1");
    await engine.push(`${proxy.host}/refused`, { tag: "1" });
    expect(await digestOf(`${registry.host}/refused:1`)).toBe(big.manifest.digest);
    expect(proxy.count("PATCH", "/uploads/")).toBe(2);

    const line = new CutLine(registry.url, 4_000_000);
    const host = await line.start();
    try {
      engine.images.tag(`${registry.host}/big:1`, `${host}/cut`, "1");
      await engine.push(`${host}/cut`, { tag: "1" });
      expect(line.cuts).toBe(1);
      expect(await digestOf(`${registry.host}/cut:1`)).toBe(big.manifest.digest);
    } finally {
      line.stop();
    }
  });

  test("a registry that knows how far an upload came gets only the rest", async () => {
    await engine.pull(`${registry.host}/app:1`);
    const big = makeImage({ layers: 1, layerSize: 5_000_000 });
    await seed(registry.url, "big", "1", big);
    await engine.pull(`${registry.host}/big:1`);
    const layer = big.layers[0]!;
    const kept: Uint8Array[] = [];
    const ranges: (string | null)[] = [];
    const done = new Set<string>();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const url = new URL(request.url);
        const digest = url.pathname.split("/").at(-1) ?? "";
        const location = { location: "/v2/x/blobs/uploads/1" };
        if (request.method === "HEAD") return new Response(null, { status: done.has(digest) ? 200 : 404 });
        if (request.method === "POST") return new Response(null, { status: 202, headers: location });
        if (request.method === "GET")
          return new Response(null, { status: 204, headers: { ...location, range: "0-1999999" } });
        const body = await request.bytes();
        if (request.method === "PATCH") {
          ranges.push(request.headers.get("content-range"));
          kept.push(ranges.length === 1 ? body.subarray(0, 2_000_000) : body);
          return new Response(null, { status: ranges.length === 1 ? 503 : 202, headers: location });
        }
        done.add(url.searchParams.get("digest") ?? digest);
        return new Response(null, { status: 201 });
      },
    });
    try {
      const name = `127.0.0.1:${server.port}/x`;
      engine.images.tag(`${registry.host}/big:1`, name, "1");
      await engine.push(name, { tag: "1" });
      expect(ranges).toEqual([null, `2000000-${layer.bytes.length - 1}`]);
      expect(sha256(Buffer.concat(kept))).toBe(layer.digest);
    } finally {
      server.stop(true);
    }
  });
});

describe.skipIf(!registryInstalled)("mirrors", () => {
  let registry: RunningRegistry;
  let engine: TestEngine;
  let image: TestImage;
  beforeAll(async () => {
    registry = await startRegistry();
    engine = new TestEngine();
    image = makeImage();
    await seed(registry.url, "library/thing", "1", image);
    await seed(registry.url, "proxied/team/app", "1", image);
  });
  afterAll(async () => {
    await registry.stop();
    await engine.close();
  });

  test("of Docker Hub, and of any registry; the names stay those of the registry", async () => {
    engine.config = { ...engine.config, registryMirrors: [registry.url] };
    await engine.pull("thing:1");
    expect(engine.images.resolve("thing:1").digests).toEqual([`thing@${image.manifest.digest}`]);

    engine.config = { ...engine.config, registries: { "ghcr.invalid": { mirrors: [registry.url] } } };
    await seed(registry.url, "team/app", "1", image);
    await engine.pull("ghcr.invalid/team/app:1", { credentials: { username: "a", password: "b" } });
    expect(engine.images.resolve("ghcr.invalid/team/app:1").id).toBe(image.config.digest as never);
  });

  test("one that fails, lacks the image or breaks off is passed over, and sees no credentials", async () => {
    const proxy = await new FaultProxy(registry.url).start();
    const origin = await startRegistry();
    const own = makeImage({ layers: 2, layerSize: 200_000 });
    await seed(origin.url, "app", "1", own);
    await seed(registry.url, "app", "1", own);
    const credentials = { username: "ann", password: "secret" };
    const challenge = { "www-authenticate": 'Basic realm="mirror"' };
    const plans: ((seen: Seen) => Fault | undefined)[] = [
      () => ({ kind: "status", status: 502 }),
      () => ({ kind: "status", status: 404 }),
      () => ({ kind: "status", status: 401, headers: challenge }),
      (seen) => (seen.path.includes("/blobs/") ? { kind: "status", status: 404 } : undefined),
      (seen) => (seen.path.includes("/blobs/") ? { kind: "cut", after: 50_000 } : undefined),
    ];
    for (const plan of plans) {
      proxy.plan = plan;
      const fresh = new TestEngine({
        registries: { [origin.host]: { mirrors: ["http://127.0.0.1:1", `http://${proxy.host}`] } },
        maxDownloadAttempts: 2,
      });
      await fresh.pull(`${origin.host}/app:1`, { credentials });
      expect(fresh.images.resolve(`${origin.host}/app:1`).id).toBe(own.config.digest as never);
      await fresh.close();
    }
    expect(proxy.seen.length).toBeGreaterThan(0);
    for (const { headers } of proxy.seen) expect(headers["authorization"]).toBeUndefined();
    proxy.stop();
    await origin.stop();
  });
});
