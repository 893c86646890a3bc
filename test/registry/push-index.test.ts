import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Filters } from "@gantry/engine";
import { statuses, TestEngine } from "./support/engine.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { makeImage, makeIndex, seed, sha256, type TestIndex } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

const amd64 = { os: "linux", architecture: "amd64" };
const arm64 = { os: "linux", architecture: "arm64" };

/** An index of these platforms without attestations. */
function bareIndex(platforms: { os: string; architecture: string }[]): TestIndex {
  const images = platforms.map((platform) => makeImage({ platform }));
  const manifests = images.map(({ manifest: { mediaType, digest, bytes } }, i) => {
    return { mediaType, digest, size: bytes.length, platform: platforms[i] };
  });
  const mediaType = "application/vnd.oci.image.index.v1+json";
  const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
  return { manifest: { mediaType, bytes, digest: sha256(bytes) }, images };
}

describe.skipIf(!registryInstalled)("push of an index", () => {
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

  const digestOf = async (repository: string, at: string) => {
    const accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    const response = await fetch(`${registry.url}/v2/${repository}/manifests/${at}`, { headers: { accept } });
    return response.ok ? sha256(await response.bytes()) : response.status;
  };
  const pulled = async (repository: string, index: TestIndex, platforms: string[]) => {
    await seed(registry.url, repository, "1", index);
    const name = `${registry.host}/${repository}:1`;
    for (const platform of platforms) await engine.pull(name, { platform });
    return name;
  };
  const pushed = (name: string, repository: string, options = {}) => {
    engine.images.tag(name, `${registry.host}/${repository}`, "2");
    return engine.push(`${registry.host}/${repository}`, { tag: "2", ...options });
  };

  test("with all its images here it goes whole, under the same digest", async () => {
    const index = bareIndex([amd64, arm64]);
    const name = await pulled("whole/from", index, ["linux/arm64", "linux/amd64"]);
    const said = await pushed(name, "whole/to");
    const { digest, bytes } = index.manifest;
    expect(statuses(said)).toContain(`2: digest: ${digest} size: ${bytes.length}`);
    expect(said.at(-1)?.aux).toEqual({ Tag: "2", Digest: digest, Size: bytes.length });
    expect(await digestOf("whole/to", "2")).toBe(digest);
    for (const { manifest } of index.images) expect(await digestOf("whole/to", manifest.digest)).toBe(manifest.digest);
    expect(engine.images.resolve(name).digests).toContain(`${registry.host}/whole/to@${digest}`);

    const manifests = (await engine.images.inspect(name, { manifests: true })).Manifests ?? [];
    expect(manifests.map(({ Available }) => Available)).toEqual([true, true]);
    expect(manifests.every(({ Size }) => Size.Total > Size.Content)).toBe(true);
    expect((await engine.images.inspect(name, { platform: "linux/arm64" })).Id).toBe(index.images[1]!.config.digest);

    // The other platform is an image without a name, and goes like one; then the index is whole no more.
    await engine.images.prune(new Filters());
    await expect(engine.images.inspect(name, { platform: "linux/arm64" })).rejects.toMatchObject({ kind: "notFound" });
    await pushed(name, "whole/pruned");
    expect(await digestOf("whole/pruned", "2")).toBe(index.images[0]!.manifest.digest);
  });

  test("with one of its images here, that one goes, and it is said", async () => {
    const index = bareIndex([amd64, arm64]);
    const name = await pulled("part/from", index, ["linux/amd64"]);
    const said = await pushed(name, "part/to");
    const { digest, bytes } = index.images[0]!.manifest;
    expect(await digestOf("part/to", "2")).toBe(digest);
    expect(await digestOf("part/to", index.manifest.digest)).toBe(404);
    expect(statuses(said)).toContain(`2: digest: ${digest} size: ${bytes.length}`);
    expect(said.at(-1)?.aux).toMatchObject({
      manifestPushedInsteadOfIndex: true,
      originalIndex: { digest: index.manifest.digest, mediaType: index.manifest.mediaType },
      selectedManifest: { digest },
    });
  });

  test("one platform of it, where it is here", async () => {
    const index = bareIndex([amd64, arm64]);
    const name = await pulled("one/from", index, ["linux/arm64", "linux/amd64"]);
    const said = await pushed(name, "one/arm", { platform: "linux/arm64" });
    expect(await digestOf("one/arm", "2")).toBe(index.images[1]!.manifest.digest);
    expect(
      said.some(({ aux }) => (aux as object | undefined) && "manifestPushedInsteadOfIndex" in (aux as object)),
    ).toBe(false);
    const archive = await new Response(await engine.images.save([name], { platform: "linux/arm64" })).bytes();
    const loader = new TestEngine();
    try {
      await loader.images.load({ source: new Blob([archive as never]).stream() }, () => {});
      expect(loader.images.resolve(name).id).toBe(index.images[1]!.config.digest as `sha256:${string}`);
    } finally {
      await loader.close();
    }
    // What an arm64 machine runs besides its own is not what was asked for.
    const mixed = bareIndex([amd64, { os: "linux", architecture: "arm" }, arm64]);
    const other = await pulled("one/mixed", mixed, ["linux/arm", "linux/amd64"]);
    await expect(engine.images.inspect(other, { platform: "linux/arm64" })).rejects.toMatchObject({ kind: "notFound" });
    await expect(engine.images.checkPush({ image: name, platform: "linux/s390x" })).rejects.toMatchObject({
      kind: "notFound",
    });
  });

  test("rmi of one platform takes that image alone, and the name with the last", async () => {
    const index = bareIndex([amd64, arm64]);
    const name = await pulled("remove", index, ["linux/arm64", "linux/amd64"]);
    const [own, other] = index.images.map(({ config }) => config.digest as `sha256:${string}`);
    const removed = await engine.images.removePlatform(name, "linux/arm64");
    expect(removed[0]).toEqual({ Deleted: other! });
    expect(engine.images.resolve(name).id).toBe(own!);
    expect(engine.storage.images.get(other!)).toBeNull();
    await expect(engine.images.removePlatform(name, "linux/arm64")).rejects.toMatchObject({ kind: "notFound" });

    await engine.pull(name, { platform: "linux/arm64" });
    engine.images.tag(own!, "kept", "1");
    await expect(engine.images.removePlatform(name, "linux/amd64")).rejects.toMatchObject({ kind: "conflict" });
    expect((await engine.images.removePlatform(name, "linux/arm64"))[0]).toEqual({ Untagged: name });
    expect(() => engine.images.resolve(name)).toThrow("No such image");
    expect(engine.images.resolve("kept:1").id).toBe(own!);
  });

  test("what attests to an image comes and goes with it", async () => {
    const index = makeIndex([amd64, arm64]);
    const name = await pulled("attested/from", index, ["linux/arm64", "linux/amd64"]);
    await pushed(name, "attested/to");
    expect(await digestOf("attested/to", "2")).toBe(index.manifest.digest);
    for (const { manifest } of index.images)
      expect(await digestOf("attested/to", manifest.digest)).toBe(manifest.digest);
    const manifests = (await engine.images.inspect(name, { manifests: true })).Manifests ?? [];
    expect(manifests.map(({ Available }) => Available)).toEqual([true, true, true, true]);

    const all = await engine.images.attestations(name, { types: [] });
    expect(all.map(({ PredicateType }) => PredicateType)).toEqual([
      "https://slsa.dev/provenance/v0.2",
      "https://spdx.dev/Document",
    ]);
    const spdx = await engine.images.attestations(name, { types: ["https://spdx.dev/Document"] });
    expect(spdx).toEqual(all.slice(1));
    const text = new TextDecoder().decode(index.images[2]!.layers[0]!.bytes);
    expect(await engine.images.attestationText(all[0]!)).toBe(text);
    const other = await engine.images.attestations(name, { types: [], platform: "linux/arm64" });
    expect(other.map(({ Descriptor }) => Descriptor.digest)).toEqual(
      index.images[3]!.layers.map(({ digest }) => digest),
    );
    await expect(engine.images.attestations(name, { types: [], platform: "linux/s390x" })).rejects.toMatchObject({
      kind: "notFound",
    });

    // They are kept as long as the image, and no longer.
    await engine.images.collect();
    const digests = index.images.slice(2).flatMap(({ manifest, config, layers }) => [manifest, config, ...layers]);
    const here = () => digests.filter(({ digest }) => engine.storage.content.has(digest as `sha256:${string}`)).length;
    expect(here()).toBe(8);
    for (const { id } of engine.storage.images.list())
      if (index.images.some(({ config }) => config.digest === id)) engine.images.remove(id, { force: true });
    await engine.images.collect();
    expect(here()).toBe(0);
  });

  test("an image whose attestation cannot be had is good all the same, and goes without its index", async () => {
    const index = makeIndex([amd64]);
    await seed(registry.url, "unattested", "1", index);
    const proxy = await new FaultProxy(registry.url).start();
    try {
      const attestation = index.images[1]!.manifest.digest;
      proxy.plan = ({ path }) => (path.includes(attestation) ? { kind: "status", status: 404 } : undefined);
      const name = `${proxy.host}/unattested:1`;
      await engine.pull(name);
      await expect(engine.images.attestations(name, { types: [] })).rejects.toMatchObject({ kind: "notFound" });
      await pushed(name, "unattested/to");
      expect(await digestOf("unattested/to", "2")).toBe(index.images[0]!.manifest.digest);
      // It is where the image came from: there it need not be sent.
      await pushed(name, "unattested");
      expect(await digestOf("unattested", "2")).toBe(index.manifest.digest);
      // The next pull tries again.
      proxy.plan = () => undefined;
      await engine.pull(name);
      expect(await engine.images.attestations(name, { types: [] })).toHaveLength(2);
    } finally {
      await proxy.stop();
    }
  });
});
