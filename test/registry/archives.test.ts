import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestEngine } from "./support/engine.ts";
import { makeImage, seed, sha256, type TestImage } from "./support/images.ts";
import { callDocker, peer, peerDocker, peerPrefix } from "./support/peer.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

describe.skipIf(!registryInstalled || !(peerPrefix || peerDocker))(
  "archives between engines keep image IDs and names",
  () => {
    let registry: RunningRegistry;
    let engine: TestEngine;
    let dir = "";
    let pulled: TestImage;
    let names: string[] = [];
    let ids: string[] = [];
    beforeAll(async () => {
      registry = await startRegistry();
      engine = new TestEngine();
      dir = mkdtempSync(join(tmpdir(), "gantry-archives-"));
      pulled = makeImage({ layers: 3 });
      await seed(registry.url, "app", "1", pulled);
      names = ["gantry-archive/pulled:1", "gantry-archive/made:1"];
      await engine.pull(`${registry.host}/app:1`);
      engine.images.tag(`${registry.host}/app:1`, "gantry-archive/pulled", "1");
      // Made here: on top of what was pulled, so that the archive has layers that two images share.
      const tar = Bun.spawnSync(["tar", "-C", "/etc", "-cf", "-", "passwd", "hosts"]).stdout;
      const layer = await engine.storage.layers.unpack(new Blob([tar as never]).stream());
      const made = await engine.images.commit({
        parent: pulled.config.digest as never,
        layer,
        config: { Cmd: ["x"] },
        createdBy: "x",
        containerId: "0".repeat(64),
        repository: "gantry-archive/made",
        tag: "1",
      });
      ids = [pulled.config.digest, made];
      await Bun.write(join(dir, "ours.tar"), new Response(await engine.images.save(names)));
    }, 60_000);
    afterAll(async () => {
      await registry.stop();
      await engine.close();
      rmSync(dir, { recursive: true, force: true });
    });

    test.skipIf(!peerDocker)(
      "ours → Docker → ours",
      async () => {
        const body = await Bun.file(join(dir, "ours.tar")).bytes();
        const text = await (
          await callDocker("POST", "/images/load", { body, headers: { "content-type": "application/x-tar" } })
        ).text();
        try {
          for (const [i, name] of names.entries()) {
            expect(text).toContain(`Loaded image: ${name}`);
            const there = (await (await callDocker("GET", `/images/${name}/json`)).json()) as { Id: string };
            expect(there.Id).toBe(ids[i]!);
          }
          const back = await callDocker("GET", `/images/get?${names.map((name) => `names=${name}`).join("&")}`);
          const other = new TestEngine();
          try {
            await other.images.load({ source: back.body as ReadableStream<Uint8Array>, quiet: true }, () => {});
            expect(names.map((name) => other.images.resolve(name).id as string)).toEqual(ids);
            await other.check();
          } finally {
            await other.close();
          }
        } finally {
          for (const name of [...names].reverse()) await callDocker("DELETE", `/images/${name}`).catch(() => {});
        }
      },
      60_000,
    );

    test.skipIf(!peerPrefix)(
      "ours → podman and skopeo; podman's and skopeo's → ours",
      async () => {
        const path = join(dir, "ours.tar");
        const podman = [
          "podman",
          "--root",
          `${dir}/root`,
          "--runroot",
          `${dir}/run`,
          "--storage-driver",
          "vfs",
          "--cgroup-manager=cgroupfs",
        ];
        await peer(...podman, "load", "-q", "-i", path);
        const listed = await peer(...podman, "images", "--no-trunc", "--format", "{{.Id}}");
        for (const id of ids) expect(listed).toContain(id.replace("sha256:", ""));
        // Podman's own name for what comes without a registry.
        const podmanNames = names.map((name) => `localhost/${name}`);
        const config = await peer(
          "skopeo",
          "inspect",
          "--config",
          "--raw",
          `docker-archive:${path}:docker.io/${names[0]}`,
        );
        expect(sha256(config)).toBe(ids[0]!);

        await peer(
          ...podman,
          "save",
          "-q",
          "--format",
          "docker-archive",
          "-m",
          "-o",
          `${dir}/podman.tar`,
          ...podmanNames,
        );
        await peer(
          "skopeo",
          "copy",
          `docker-archive:${path}:docker.io/${names[1]}`,
          `oci-archive:${dir}/skopeo.tar:gantry-archive/made:1`,
        );
        const other = new TestEngine();
        try {
          await other.images.load({ source: Bun.file(`${dir}/podman.tar`).stream(), quiet: true }, () => {});
          expect(podmanNames.map((name) => other.images.resolve(name).id as string)).toEqual(ids);
          for (const name of [...podmanNames].reverse()) other.images.remove(name);
          await other.images.load({ source: Bun.file(`${dir}/skopeo.tar`).stream(), quiet: true }, () => {});
          // skopeo rewrites the configuration as OCI's, which makes another ID of it; the files are the same.
          const [made] = other.storage.images.list();
          expect(made?.config.rootfs.diff_ids).toEqual(engine.images.resolve(ids[1]!).config.rootfs.diff_ids);
          await other.check();
        } finally {
          await other.close();
        }
      },
      90_000,
    );
  },
);
