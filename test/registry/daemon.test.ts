import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";
import { FaultProxy } from "./support/fault-proxy.ts";
import { makeImage, makeIndex, seed } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

describe.skipIf(!registryInstalled || !canRunContainers)(
  "the real docker CLI against the daemon and a registry",
  () => {
    let registry: RunningRegistry;
    let locked: RunningRegistry;
    let engine: TestEngine;
    beforeAll(async () => {
      registry = await startRegistry();
      locked = await startRegistry({ users: { ann: "secret" } });
      engine = await startEngine();
    }, 60_000);
    afterAll(async () => {
      await engine?.close();
      await registry?.stop();
      await locked?.stop();
    }, 60_000);

    const ok = async (...args: string[]) => {
      const { code, stdout, stderr } = await engine.docker(...args);
      if (code !== 0) throw new Error(`docker ${args.join(" ")}: ${stderr}`);
      return stdout.trim();
    };
    const refused = async (...args: string[]) => {
      const { code, stderr } = await engine.docker(...args);
      expect(code).not.toBe(0);
      return stderr.trim();
    };

    test("pull, tag, push, rmi", async () => {
      const image = makeImage({ layers: 3 });
      await seed(registry.url, "app", "1", image);
      const name = `${registry.host}/app:1`;
      const out = await ok("pull", name);
      expect(out).toContain("1: Pulling from app");
      expect(out).toContain(`Digest: ${image.manifest.digest}`);
      expect(out).toContain(`Status: Downloaded newer image for ${name}`);
      expect(await ok("pull", "-q", name)).toBe(name);
      expect(await ok("images", "-q", "--no-trunc", name)).toBe(image.config.digest);
      await ok("tag", name, `${registry.host}/copy:2`);
      expect(await ok("push", `${registry.host}/copy:2`)).toContain(`2: digest: ${image.manifest.digest} size:`);
      expect(await ok("rmi", `${registry.host}/copy:2`)).toContain(`Untagged: ${registry.host}/copy:2`);
      expect(await ok("rmi", name)).toContain(`Deleted: ${image.config.digest}`);
      expect(await refused("rmi", name)).toBe(`Error response from daemon: No such image: ${name}`);
      expect(await refused("pull", `${registry.host}/app:nope`)).toContain("manifest unknown: manifest unknown");
    });

    test("login, a private push and pull, logout", async () => {
      const name = `${locked.host}/team/app:1`;
      await ok("tag", "busybox:latest", name);
      expect(await refused("push", name)).toContain("no basic auth credentials");
      expect((await engine.dockerWith("wrong", "login", "-u", "ann", "--password-stdin", locked.host)).code).not.toBe(
        0,
      );
      expect(
        (await engine.dockerWith("secret", "login", "-u", "ann", "--password-stdin", locked.host)).stdout,
      ).toContain("Login Succeeded");
      expect(await ok("push", name)).toContain("digest: sha256:");
      await ok("rmi", name);
      expect(await ok("run", "--rm", name, "echo", "pulled by run")).toBe("pulled by run");
      await ok("logout", locked.host);
      await ok("rmi", name);
      expect(await refused("pull", name)).toContain("no basic auth credentials");
    }, 60_000);

    test("attestations are told of, word for word where that is asked for", async () => {
      const index = makeIndex([{ os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" }]);
      await seed(registry.url, "attested", "1", index);
      const name = `${registry.host}/attested:1`;
      await ok("pull", name);
      const ask = async (api: string, query = "") => {
        const url = `http://engine/v${api}/images/${name}/attestations${query}`;
        const response = await fetch(url, { unix: engine.socket } as RequestInit);
        return { status: response.status, text: await response.text() };
      };
      expect((await ask("1.54")).status).toBe(404);
      const [provenance] = index.images[1]!.layers;
      const told = await ask("1.55", `?type=${encodeURIComponent("https://slsa.dev/provenance/v0.2")}`);
      expect(JSON.parse(told.text)).toMatchObject([
        { Descriptor: { digest: provenance!.digest }, PredicateType: "https://slsa.dev/provenance/v0.2" },
      ]);
      expect(told.text).not.toContain("Statement");
      const whole = await ask("1.55", "?statement=1");
      expect(JSON.parse(whole.text)).toHaveLength(2);
      expect(whole.text).toContain(`"Statement":${new TextDecoder().decode(provenance!.bytes)}`);
      expect(
        (await ask("1.55", `?platform=${encodeURIComponent('{"os":"plan9","architecture":"mips"}')}`)).status,
      ).toBe(404);
      await ok("rmi", name);
    });

    test("killed in the middle of a pull: nothing broken is listed, and the next pull goes on", async () => {
      const image = makeImage({ layers: 2, layerSize: 5_000_000 });
      await seed(registry.url, "crash", "1", image);
      const proxy = await new FaultProxy(registry.url).start();
      const slow = image.layers[1]!;
      proxy.plan = (seen, before) =>
        seen.path.includes(slow.digest) && before === 0 ? { kind: "stall", after: 3_500_000 } : undefined;
      try {
        const name = `${proxy.host}/crash:1`;
        const pulling = engine.docker("pull", name);
        const partial = join(engine.dataRoot, "content/ingest", slow.digest.replace(":", "-"));
        await eventually(async () => (await Bun.file(partial).exists()) && Bun.file(partial).size >= 2_000_000);
        await engine.crash();
        expect((await pulling).code).not.toBe(0);
        await engine.restart();
        expect(await ok("images", "-q", name)).toBe("");
        expect(await ok("images", "-a", "--format", "{{.Repository}}")).not.toContain("crash");
        await ok("pull", name);
        const range = proxy.seen.findLast(({ path }) => path.includes(slow.digest))?.headers["range"];
        expect(Number(/^bytes=(\d+)-$/.exec(String(range))?.[1])).toBeGreaterThanOrEqual(2_000_000);
        expect(await ok("images", "-q", "--no-trunc", name)).toBe(image.config.digest);
        expect(readdirSync(join(engine.dataRoot, "content/ingest"))).toEqual([]);
        // Whole: what is saved has every layer.
        await ok("save", "-o", join(engine.dir, "saved.tar"), name);
        await ok("rmi", name);
        expect(await ok("load", "-i", join(engine.dir, "saved.tar"))).toContain(`Loaded image: ${name}`);
      } finally {
        proxy.stop();
      }
    }, 60_000);

    test("an image in use, or a parent of another, is not removed", async () => {
      const id = await ok("create", "--name", "user", "busybox", "true");
      const short = id.slice(0, 12);
      const image = (await ok("images", "-q", "--no-trunc", "busybox")).slice(7, 19);
      expect(await refused("rmi", "busybox")).toBe(
        `Error response from daemon: conflict: unable to remove repository reference "busybox" (must force) - container ${short} is using its referenced image ${image}`,
      );
      expect(await refused("rmi", image)).toBe(
        `Error response from daemon: conflict: unable to delete ${image} (must be forced) - image is being used by stopped container ${short}`,
      );
      await ok("commit", "user", "child:1");
      await ok("rm", "user");
      expect(await refused("rmi", "-f", image)).toBe(
        `Error response from daemon: conflict: unable to delete ${image} (cannot be forced) - image has dependent child images`,
      );
      expect(await ok("image", "prune", "-f")).toBe("Total reclaimed space: 0B");
      await ok("rmi", "child:1");
    }, 60_000);

    test("mirrors of daemon.json are asked first", async () => {
      const image = makeImage();
      await seed(registry.url, "team/mirrored", "1", image);
      await engine.stop();
      const other = await startEngine({
        config: { registries: { "registry.invalid": { mirrors: [registry.url] } } },
        images: "none",
      });
      try {
        const { code, stdout, stderr } = await other.docker("pull", "registry.invalid/team/mirrored:1");
        expect(stderr).toBe("");
        expect(code).toBe(0);
        expect(stdout).toContain(image.manifest.digest);
      } finally {
        await other.close();
        await engine.restart();
      }
    }, 60_000);
  },
);
