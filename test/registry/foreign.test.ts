import { afterAll, beforeAll, expect, test } from "bun:test";
import { statuses, TestEngine } from "./support/engine.ts";
import { makeImage, sha256, type TestImage } from "./support/images.ts";

/** A registry as small as can be, which takes everything and asks for a password; and another host that foreign layers lie on. */
const blobs = new Map<string, Uint8Array>();
const manifests = new Map<string, { type: string; bytes: Uint8Array }>();
const seen: { host: "registry" | "elsewhere"; line: string; authorization: string | null }[] = [];
let registry: ReturnType<typeof Bun.serve>;
let elsewhere: ReturnType<typeof Bun.serve>;
let altered = false;
const engines: TestEngine[] = [];

async function answer(request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const line = `${request.method} ${pathname}`;
  seen.push({ host: "registry", line, authorization: request.headers.get("authorization") });
  if (request.headers.get("authorization") === null)
    return new Response(null, { status: 401, headers: { "www-authenticate": 'Basic realm="test"' } });
  const blob = /\/blobs\/(sha256:\w+)$/.exec(pathname)?.[1];
  if (blob !== undefined) {
    const bytes = blobs.get(blob);
    return bytes === undefined ? new Response(null, { status: 404 }) : new Response(bytes as never);
  }
  if (pathname.endsWith("/blobs/uploads/"))
    return new Response(null, { status: 202, headers: { location: `${pathname}one` } });
  if (pathname.endsWith("/blobs/uploads/one")) {
    const bytes = await request.bytes();
    const digest = searchParams.get("digest");
    if (digest === null) return new Response(null, { status: 400 });
    expect(sha256(bytes)).toBe(digest);
    blobs.set(digest, bytes);
    return new Response(null, { status: 201, headers: { location: pathname } });
  }
  const manifest = /\/manifests\/(.+)$/.exec(pathname)?.[1];
  if (manifest === undefined) return Response.json({});
  if (request.method === "PUT") {
    const bytes = await request.bytes();
    manifests.set(manifest, { type: request.headers.get("content-type") ?? "", bytes });
    return new Response(null, { status: 201, headers: { "docker-content-digest": sha256(bytes) } });
  }
  const found = manifests.get(manifest);
  if (found === undefined) return new Response(null, { status: 404 });
  return new Response(found.bytes as never, { headers: { "content-type": found.type } });
}

beforeAll(() => {
  registry = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer });
  elsewhere = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname } = new URL(request.url);
      seen.push({ host: "elsewhere", line: pathname, authorization: request.headers.get("authorization") });
      const bytes = foreign.layers[0]!.bytes.slice();
      if (altered) bytes[20]! ^= 1;
      return new Response(bytes);
    },
  });
});
afterAll(async () => {
  await registry.stop(true);
  await elsewhere.stop(true);
  for (const engine of engines) await engine.close();
});

const foreign: TestImage = makeImage({ layers: 2, format: "docker" });

/** Puts the image into the registry with its first layer foreign: named by the manifest, kept elsewhere. */
function publish(tag: string): string {
  const manifest = JSON.parse(new TextDecoder().decode(foreign.manifest.bytes)) as { layers: object[] };
  manifest.layers[0] = {
    ...manifest.layers[0],
    mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    urls: ["ftp://127.0.0.1/no", `http://127.0.0.1:${elsewhere.port}/layer`],
  };
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  manifests.set(tag, { type: foreign.manifest.mediaType, bytes });
  for (const item of [foreign.config, foreign.layers[1]!]) blobs.set(item.digest, item.bytes);
  return sha256(bytes);
}

const credentials = { username: "u", password: "secret" };
const host = () => `127.0.0.1:${registry.port}`;

async function newEngine(allowNondistributable: string[] = []): Promise<TestEngine> {
  const engine = new TestEngine({ allowNondistributable });
  engines.push(engine);
  return engine;
}

test("a foreign layer comes from where its manifest says, and no credential goes there", async () => {
  publish("1");
  const engine = await newEngine();
  await engine.pull(`${host()}/app:1`, { credentials });
  await engine.check();
  const asked = seen.filter((one) => one.host === "elsewhere");
  expect(asked.map(({ line }) => line)).toEqual(["/layer"]);
  expect(asked.map(({ authorization }) => authorization)).toEqual([null]);
  expect(seen.some((one) => one.host === "registry" && one.authorization?.startsWith("Basic "))).toBe(true);
});

test("what comes from there must have the digest", async () => {
  publish("2");
  altered = true;
  const engine = await newEngine();
  await expect(engine.pull(`${host()}/app:2`, { credentials })).rejects.toThrow();
  altered = false;
  expect(() => engine.images.resolve(`${host()}/app:2`)).toThrow("No such image");
});

test("a push leaves it out, unless the registry is allowed to have it; the digest stays the same", async () => {
  const digest = publish("3");
  for (const allowed of [false, true]) {
    const engine = await newEngine(allowed ? [host()] : []);
    await engine.pull(`${host()}/app:3`, { credentials });
    const layer = foreign.layers[0]!.digest;
    blobs.delete(layer);
    blobs.delete(foreign.layers[1]!.digest);
    const said = await engine.push(`${host()}/app`, { tag: "3", credentials });
    const short = foreign.diffIds[0]!.slice(7, 19);
    expect(statuses(said).includes(`${short}: Skipped foreign layer`)).toBe(!allowed);
    expect(blobs.has(layer)).toBe(allowed);
    expect(blobs.has(foreign.layers[1]!.digest)).toBe(true);
    expect(said.at(-1)?.aux).toMatchObject({ Tag: "3", Digest: digest });
    expect(sha256(manifests.get("3")!.bytes)).toBe(digest);
  }
});
