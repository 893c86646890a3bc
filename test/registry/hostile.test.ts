import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { GantryError } from "@gantry/spec";
import { TestEngine } from "./support/engine.ts";
import { makeImage, sha256, type TestImage } from "./support/images.ts";

/** Numbers that look random and are the same in each run. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (state >>> 8) % below;
  };
}

/** A registry that answers correctly, most of the time, and otherwise anything at all. */
class HostileRegistry {
  image: TestImage = makeImage();
  roll = dice(1);
  readonly #server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 5,
    fetch: (request) => this.#answer(request),
  });

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  stop(): void {
    this.#server.stop(true);
  }

  #answer(request: Request): Response {
    const path = new URL(request.url).pathname;
    const last = path.split("/").at(-1) ?? "";
    const parts = [this.image.manifest, this.image.config, ...this.image.layers];
    const found = path.includes("/manifests/") ? this.image.manifest : parts.find(({ digest }) => digest === last);
    const right = found ? found.bytes : new TextEncoder().encode("?");
    const headers: Record<string, string> = { "content-type": found?.mediaType ?? "text/plain" };
    if (this.roll(5) > 0) return new Response(right as never, { headers, status: found ? 200 : 404 });
    const bytes = right.slice();
    switch (this.roll(14)) {
      case 0:
        bytes[this.roll(bytes.length)]! ^= 1 << this.roll(8);
        return new Response(bytes as never, { headers });
      case 1:
        return new Response(bytes.subarray(0, this.roll(bytes.length)) as never, { headers });
      case 2:
        return new Response(Buffer.concat([bytes, bytes]) as never, { headers });
      case 3:
        return new Response("", {
          status: [204, 301, 302, 400, 401, 403, 404, 416, 418, 429, 500, 503][this.roll(12)],
        });
      case 4:
        return new Response(null, {
          status: 307,
          headers: { location: ["//", "http://[", "/v2/", "ftp://x", path][this.roll(5)]! },
        });
      case 5:
        return new Response("{}", {
          status: 401,
          headers: { "www-authenticate": ["Bearer", 'Bearer realm=""', "Basic", '"'][this.roll(4)]! },
        });
      case 6:
        return new Response(bytes as never, {
          headers: { ...headers, "docker-content-digest": `sha256:${"0".repeat(64)}` },
        });
      case 7:
        return new Response(bytes as never, { status: 206, headers: { ...headers, "content-range": "bytes 5-9/3" } });
      case 8:
        return new Response("<html>", { headers: { "content-type": "text/html" } });
      case 9:
        // Half of it, and then nothing.
        return new Response(
          new ReadableStream({ start: (controller) => controller.enqueue(bytes.subarray(0, bytes.length >> 1)) }),
          { headers },
        );
      case 10:
        return new Response('{"errors":[null,{"code":7},"x"]}', { status: 404 });
      case 11:
        return new Response(new Uint8Array(5_000_000) as never, { headers });
      case 12:
        return new Response(JSON.stringify({ schemaVersion: 2, layers: [], config: {} }), { headers });
      default:
        return new Response(bytes as never, {
          headers: { ...headers, "retry-after": "x", "content-encoding": "gzip" },
        });
    }
  }
}

let registry: HostileRegistry;
let engine: TestEngine;
beforeAll(() => {
  registry = new HostileRegistry();
  engine = new TestEngine({ maxDownloadAttempts: 2, retryDelay: 1, stallTimeout: 150 });
});
afterAll(async () => {
  registry.stop();
  await engine.close();
});

test("100 pulls from a registry that answers anything at all: the right image, or an error; never a broken one", async () => {
  let pulled = 0;
  let refused = 0;
  for (let i = 0; i < 100; i++) {
    registry.image = makeImage({ layers: 1 + (i % 3), layerSize: 3000 });
    registry.roll = dice(i + 1);
    const name = `${registry.host}/x${i}:1`;
    try {
      await engine.pull(name);
      // What was pulled is what its own manifest says, by digest; a tag may have been given another one.
      const image = engine.images.resolve(name);
      expect(sha256(await engine.storage.content.read(image.id))).toBe(image.id);
      expect(image.config.rootfs.diff_ids).toEqual(registry.image.diffIds as never);
      pulled++;
    } catch (error) {
      if (!(error instanceof GantryError)) throw error;
      expect(error.message.length).toBeLessThan(5000);
      refused++;
    }
  }
  expect(pulled).toBeGreaterThan(10);
  expect(refused).toBeGreaterThan(10);
  await engine.check();
  expect(readdirSync(join(engine.root, "layers")).filter((name) => name.startsWith(".tmp-"))).toEqual([]);
}, 60_000);
