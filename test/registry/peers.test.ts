import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestEngine } from "./support/engine.ts";
import { makeImage, makeIndex, seed } from "./support/images.ts";
import { callDocker, peer, peerDocker, peerPrefix } from "./support/peer.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";
import { makeTar } from "./support/tar.ts";

let registry: RunningRegistry;
let engine: TestEngine;
beforeAll(async () => {
  if (!registryInstalled) return;
  registry = await startRegistry();
  engine = new TestEngine();
});
afterAll(async () => {
  await registry?.stop();
  await engine?.close();
});

const importOne = (name: string, content: string) =>
  engine.images.import({
    source: new Blob([makeTar([{ name: "file", content }]) as never]).stream(),
    repository: `${registry.host}/${name}`,
    tag: "1",
    message: "",
    changes: [],
  });
const remoteDigest = async (name: string) =>
  (await engine.images.inspectRemote(`${registry.host}/${name}`)).Descriptor.digest;

describe.skipIf(!registryInstalled || !peerPrefix)("skopeo and buildah see the same", () => {
  test("what skopeo copied, whatever the compression, is pulled with the digests it has there", async () => {
    const image = makeImage({ layers: 2 });
    await seed(registry.url, "skopeo/source", "1", image);
    for (const compression of ["gzip", "zstd"]) {
      const target = `${registry.host}/skopeo/${compression}:1`;
      await peer(
        ...["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--dest-force-compress-format"],
        ...["--dest-compress-format", compression, `docker://${registry.host}/skopeo/source:1`, `docker://${target}`],
      );
      const digest = await peer(
        "skopeo",
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        `docker://${target}`,
      );
      await engine.pull(target);
      const stored = engine.images.resolve(target);
      expect(stored.digests).toContain(`${registry.host}/skopeo/${compression}@${digest}`);
      expect(stored.config.rootfs.diff_ids).toEqual(image.diffIds as never);
    }
  });

  test("what is pushed here, skopeo and buildah read with the same digest and ID", async () => {
    const id = await importOne("made", "made here");
    await engine.push(`${registry.host}/made`, { tag: "1" });
    const target = `docker://${registry.host}/made:1`;
    const digest = await peer("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", target);
    expect(digest).toBe(await remoteDigest("made:1"));
    const dir = await mkdtemp(join(tmpdir(), "gantry-peer-"));
    try {
      await peer("skopeo", "copy", "--src-tls-verify=false", target, `oci:${dir}/layout:1`);
      const config = await peer("skopeo", "inspect", "--config", "--raw", `oci:${dir}/layout:1`);
      expect(JSON.parse(config).rootfs.diff_ids).toEqual(engine.images.resolve(id).config.rootfs.diff_ids);
      const storage = ["--root", `${dir}/root`, "--runroot", `${dir}/run`, "--storage-driver", "vfs"];
      const pulled = await peer("buildah", ...storage, "pull", "--quiet", "--tls-verify=false", target);
      expect(`sha256:${pulled}`).toBe(id);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }, 60_000);

  test("an index copied whole by skopeo is resolved the same", async () => {
    const index = makeIndex([
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "amd64" },
    ]);
    await seed(registry.url, "index/source", "1", index);
    const target = `${registry.host}/index/copy:1`;
    await peer(
      ...["skopeo", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false"],
      ...[`docker://${registry.host}/index/source:1`, `docker://${target}`],
    );
    await engine.pull(target, { platform: "linux/arm64" });
    expect(engine.images.resolve(target).id).toBe(index.images[0]!.config.digest as never);
    expect(await remoteDigest("index/copy:1")).toBe(index.manifest.digest);
  });
});

describe.skipIf(!registryInstalled || !peerDocker)("Docker sees the same", () => {
  const call = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const text = await (await callDocker(method, path, { headers })).text();
    if (text.includes('"errorDetail"')) throw new Error(`${path}: ${text}`);
    return text;
  };
  const inspect = async (name: string) =>
    JSON.parse(await call("GET", `/images/${name}/json`)) as { Id: string; RepoDigests: string[] };
  const auth = { "X-Registry-Auth": Buffer.from("{}").toString("base64") };

  test("pushed here, pulled there: same ID, same digest; and the other way round", async () => {
    const id = await importOne("fromhere", "from here");
    await engine.push(`${registry.host}/fromhere`, { tag: "1" });
    const name = `${registry.host}/fromhere`;
    await call("POST", `/images/create?fromImage=${name}&tag=1`);
    const there = await inspect(`${name}:1`);
    expect(there.Id).toBe(id);
    expect(there.RepoDigests).toEqual(engine.images.resolve(`${name}:1`).digests);

    const back = `${registry.host}/fromthere`;
    await call("POST", `/images/${name}:1/tag?repo=${back}&tag=2`);
    await call("POST", `/images/${back}/push?tag=2`, auth);
    await engine.pull(`${back}:2`);
    expect(engine.images.resolve(`${back}:2`).id).toBe(id);
    expect((await inspect(`${back}:2`)).RepoDigests).toContain(`${back}@${await remoteDigest("fromthere:2")}`);
    await call("DELETE", `/images/${name}:1`);
    await call("DELETE", `/images/${back}:2`);
  }, 60_000);

  test("an index gives the same image and digest", async () => {
    const index = makeIndex([
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "amd64" },
    ]);
    await seed(registry.url, "both", "1", index);
    const name = `${registry.host}/both`;
    await call("POST", `/images/create?fromImage=${name}&tag=1`);
    await engine.pull(`${name}:1`);
    const there = await inspect(`${name}:1`);
    const here = engine.images.resolve(`${name}:1`);
    expect(here.id).toBe(there.Id as never);
    expect(here.digests).toEqual(there.RepoDigests);
    await call("DELETE", `/images/${name}:1`);
  }, 60_000);
});
