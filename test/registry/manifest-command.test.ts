import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestEngine } from "./support/engine.ts";
import { makeImage, makeIndex, seed } from "./support/images.ts";
import { type RunningRegistry, registryInstalled, startRegistry } from "./support/registry.ts";

const MAIN = join(import.meta.dir, "../../packages/cli/main.ts");

describe.skipIf(!registryInstalled)("gantry manifest", () => {
  let registry: RunningRegistry;
  let dir = "";
  beforeAll(async () => {
    registry = await startRegistry();
    dir = mkdtempSync(join(tmpdir(), "gantry-manifest-"));
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (program: string[], ...args: string[]) => {
    const child = Bun.spawn([...program, ...args], {
      env: { ...process.env, DOCKER_CONFIG: dir, DOCKER_CLI_EXPERIMENTAL: "enabled" },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, out: out.trim(), err: err.trim() };
  };
  const gantry = (...args: string[]) => run([process.execPath, MAIN], "manifest", ...args);

  test("a list of two repositories' images is made, annotated, pushed, and pulled by platform", async () => {
    const one = makeImage({ platform: { os: "linux", architecture: "amd64" } });
    const two = makeImage({ platform: { os: "linux", architecture: "arm" }, layerSize: 2_000_000 });
    await seed(registry.url, "parts/one", "1", one);
    await seed(registry.url, "parts/two", "1", two);
    const [list, first, second] = [
      `${registry.host}/whole:1`,
      `${registry.host}/parts/one:1`,
      `${registry.host}/parts/two:1`,
    ];
    expect(await gantry("create", list, first, second)).toMatchObject({
      code: 0,
      out: `Created manifest list ${list}`,
    });
    expect((await gantry("create", list, first)).err).toBe(
      "refusing to amend an existing manifest list with no --amend flag",
    );
    expect((await gantry("annotate", list, second, "--variant", "v7")).code).toBe(0);
    expect((await gantry("annotate", list, second, "--arch", "vax")).err).toContain(
      "unsupported os/arch combination: linux/vax",
    );
    const pushed = await gantry("push", list);
    expect(pushed.err).toBe("");
    const digest = pushed.out.split("\n").at(-1);
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(pushed.out).toContain(
      `Pushed ref ${registry.host}/parts/one@${one.manifest.digest} with digest: ${one.manifest.digest}`,
    );

    const engine = new TestEngine();
    try {
      await engine.pull(list, { platform: "linux/arm/v7" });
      expect(engine.images.resolve(list).id).toBe(two.config.digest as never);
      expect(engine.images.resolve(list).digests).toEqual([`${registry.host}/whole@${digest}`]);
    } finally {
      await engine.close();
    }
    expect((await gantry("rm", list)).code).toBe(0);
    expect((await gantry("rm", list)).err).toBe(`No such manifest: ${list}`);
    expect((await gantry("push", list)).err).toBe(`${list} not found`);
    expect(JSON.parse((await gantry("inspect", list)).out).manifests).toHaveLength(2);
  }, 60_000);

  test.skipIf(!Bun.which("docker"))(
    "inspect prints what Docker's own CLI prints",
    async () => {
      const index = makeIndex(
        [
          { os: "linux", architecture: "amd64" },
          { os: "linux", architecture: "arm64" },
        ],
        { format: "docker" },
      );
      const image = makeImage({ format: "docker" });
      await seed(registry.url, "printed/index", "1", index);
      await seed(registry.url, "printed/image", "1", image);
      for (const name of [`${registry.host}/printed/image:1`]) {
        const there = await run(["docker"], "manifest", "inspect", "--insecure", name);
        expect(await gantry("inspect", name)).toEqual(there);
      }
      const list = `${registry.host}/printed/index:1`;
      const there = await run(["docker"], "manifest", "inspect", "--insecure", list);
      expect(
        JSON.parse((await gantry("inspect", list)).out).manifests.map((entry: { digest: string }) => entry.digest),
      ).toEqual(JSON.parse(there.out).manifests.map((entry: { digest: string }) => entry.digest));
      const missing = `${registry.host}/printed/none:1`;
      expect((await gantry("inspect", missing)).err).toBe(
        (await run(["docker"], "manifest", "inspect", "--insecure", missing)).err,
      );
    },
    60_000,
  );
});
