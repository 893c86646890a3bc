import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { statuses, TestEngine } from "./support/engine.ts";
import { makeImage, seed, sha256 } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";
import { makeTar } from "./support/tar.ts";

describe.skipIf(!registryInstalled)("push to a registry", () => {
  let registry: RunningRegistry;
  let engine: TestEngine;
  beforeAll(async () => {
    registry = await startRegistry();
    engine = new TestEngine();
  });
  afterAll(async () => {
    await registry.stop();
    await engine.close();
  });

  const manifestOf = async (repository: string, tag: string) => {
    const response = await fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, {
      headers: {
        accept: "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json",
      },
    });
    const bytes = await response.bytes();
    return { status: response.status, digest: sha256(bytes), json: JSON.parse(new TextDecoder().decode(bytes)) };
  };
  const imported = (members: Parameters<typeof makeTar>[0], tag: string) =>
    engine.images.import({
      source: new Blob([makeTar(members) as never]).stream(),
      repository: `${registry.host}/${tag.split(":")[0]}`,
      tag: tag.split(":")[1],
      message: "test",
      changes: ['CMD ["/x"]', "ENV A=1"],
    });

  /** A proxy before the registry. What `first` answers is the answer; else the registry's is. */
  const proxied = (first: (request: Request) => Response | undefined | void | Promise<void>) =>
    Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        const url = new URL(request.url);
        const answer = await first(request);
        if (answer) return answer;
        return fetch(`${registry.url}${url.pathname}${url.search}`, {
          method: request.method,
          headers: request.headers,
          body: request.body,
          redirect: "manual",
          decompress: false,
        } as RequestInit);
      },
    });

  test("where nobody answers, that is told at once, of the way that was tried last", async () => {
    await imported([{ name: "a", content: "a" }], "nobody:1");
    engine.images.tag(`${registry.host}/nobody:1`, "127.0.0.1:1/nobody", "1");
    const said: string[] = [];
    const begin = performance.now();
    const push = engine.images.push({ image: "127.0.0.1:1/nobody", tag: "1" }, (step) => said.push(step.status ?? ""));
    await expect(push).rejects.toThrow(
      'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
    );
    expect(performance.now() - begin).toBeLessThan(30_000);
    expect(said).toEqual(["The push refers to repository [127.0.0.1:1/nobody]"]);
  });

  test("what was pulled goes out with the same digest, mounted from where it came", async () => {
    const image = makeImage({ layers: 2, format: "oci" });
    await seed(registry.url, "origin/app", "1", image);
    await engine.pull(`${registry.host}/origin/app:1`);
    engine.images.tag(`${registry.host}/origin/app:1`, `${registry.host}/copy/app`, "2");
    const said = await engine.push(`${registry.host}/copy/app`, { tag: "2" });
    const lines = statuses(said);
    expect(lines[0]).toBe(`The push refers to repository [${registry.host}/copy/app]`);
    for (const diffId of image.diffIds) {
      expect(lines).toContain(`${diffId.slice(7, 19)}: Preparing`);
      expect(lines).toContain(`${diffId.slice(7, 19)}: Mounted from origin/app`);
    }
    const size = image.manifest.bytes.length;
    expect(lines).toContain(`2: digest: ${image.manifest.digest} size: ${size}`);
    expect(said.at(-1)?.aux).toEqual({ Tag: "2", Digest: image.manifest.digest, Size: size });
    expect((await manifestOf("copy/app", "2")).digest).toBe(image.manifest.digest);
    expect(engine.images.resolve(`${registry.host}/copy/app:2`).digests).toContain(
      `${registry.host}/copy/app@${image.manifest.digest}`,
    );
    const again = statuses(await engine.push(`${registry.host}/copy/app`, { tag: "2" }));
    expect(again).toContain(`${image.diffIds[0]!.slice(7, 19)}: Layer already exists`);
  });

  test("what was made here gets a schema 2 manifest, and comes back the same", async () => {
    const id = await imported([{ name: "file", content: randomBytes(3_000_000) }], "made:1");
    const lines = statuses(await engine.push(`${registry.host}/made`, { tag: "1" }));
    expect(lines.some((line) => line.endsWith(": Pushing"))).toBe(true);
    expect(lines.some((line) => line.endsWith(": Pushed"))).toBe(true);
    const { json, digest } = await manifestOf("made", "1");
    expect(json.mediaType).toBe("application/vnd.docker.distribution.manifest.v2+json");
    expect(json.config.digest).toBe(id);
    expect(json.layers[0].mediaType).toBe("application/vnd.docker.image.rootfs.diff.tar.gzip");

    const other = new TestEngine();
    try {
      await other.pull(`${registry.host}/made:1`);
      const back = other.images.resolve(`${registry.host}/made:1`);
      expect(back.id).toBe(id);
      expect(back.digests).toEqual([`${registry.host}/made@${digest}`]);
      expect(back.config.config).toEqual({ Cmd: ["/x"], Env: ["A=1"] });
    } finally {
      await other.close();
    }
  });

  test("-a pushes every tag of the repository", async () => {
    await imported([{ name: "a", content: "a" }], "all:1");
    await imported([{ name: "b", content: "b" }], "all:2");
    const lines = statuses(await engine.push(`${registry.host}/all`, { all: true }));
    expect(lines.filter((line) => line.startsWith("The push refers"))).toHaveLength(1);
    expect((await manifestOf("all", "1")).status).toBe(200);
    expect((await manifestOf("all", "2")).status).toBe(200);
  });

  test("what is not here is refused", async () => {
    await imported([{ name: "a", content: "a" }], "something:1");
    await expect(engine.push(`${registry.host}/something`, { tag: "2" })).rejects.toMatchObject({
      kind: "notFound",
      message: `tag does not exist: ${registry.host}/something:2`,
    });
    await expect(engine.push(`${registry.host}/nothing`, { tag: "1" })).rejects.toMatchObject({
      kind: "notFound",
      message: `An image does not exist locally with the tag: ${registry.host}/nothing`,
    });
  });

  test("behind a proxy that takes no large bodies, a blob goes in chunks", async () => {
    const limit = 8 * 1024 * 1024;
    let chunks = 0;
    const proxy = proxied(({ headers, method }) => {
      if (Number(headers.get("content-length") ?? 0) > limit) return new Response(null, { status: 413 });
      if (method === "PATCH") chunks++;
    });
    try {
      const host = `127.0.0.1:${proxy.port}`;
      const id = await imported([{ name: "big", content: randomBytes(20_000_000) }], "chunked:1");
      engine.images.tag(id, `${host}/chunked`, "1");
      await engine.push(`${host}/chunked`, { tag: "1" });
      expect(chunks).toBe(3);
      expect((await manifestOf("chunked", "1")).json.config.digest).toBe(id);
    } finally {
      proxy.stop(true);
    }
  });

  test("an image that is removed while it is pushed arrives, and is gone then", async () => {
    let meanwhile: (() => Promise<unknown>) | undefined;
    const proxy = proxied(async () => {
      const work = meanwhile;
      meanwhile = undefined;
      await work?.();
    });
    try {
      const name = `127.0.0.1:${proxy.port}/fleeting`;
      const id = await imported([{ name: "a", content: randomBytes(1000) }], "fleeting:1");
      const [layer] = engine.images.resolve(id).config.rootfs.diff_ids;
      engine.images.tag(id, name, "1");
      meanwhile = async () => {
        engine.images.remove(id, { force: true });
        await engine.images.collect();
      };
      await engine.push(name, { tag: "1" });
      expect((await manifestOf("fleeting", "1")).json.config.digest).toBe(id);
      await engine.images.collect();
      expect([engine.storage.layers.has(layer!), engine.storage.images.get(id as never)]).toEqual([false, null]);
    } finally {
      proxy.stop(true);
    }
  });

  test("a registry that takes no PATCH gets the blob in one PUT", async () => {
    const proxy = proxied(({ method }) => (method === "PATCH" ? new Response(null, { status: 405 }) : undefined));
    try {
      const host = `127.0.0.1:${proxy.port}`;
      const id = await imported([{ name: "big", content: randomBytes(2_500_000) }], "nopatch:1");
      engine.images.tag(id, `${host}/nopatch`, "1");
      await engine.push(`${host}/nopatch`, { tag: "1" });
      expect((await manifestOf("nopatch", "1")).json.config.digest).toBe(id);
    } finally {
      proxy.stop(true);
    }
  });
});
