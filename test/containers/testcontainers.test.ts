import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { canRunContainers, startEngine } from "../harness.ts";

test.skipIf(!canRunContainers)(
  "testcontainers: ports, files, networks, health, exec, builds, logs",
  async () => {
    const engine = await startEngine();
    try {
      const context = join(engine.dir, "context");
      mkdirSync(context);
      writeFileSync(join(context, "Dockerfile"), "FROM busybox\nRUN echo from a build > /built\n");
      const child = Bun.spawn(["node", join(import.meta.dir, "testcontainers.mjs"), context], {
        // Ryuk, its reaper, is an image of a registry that tests do not reach.
        env: { ...process.env, DOCKER_HOST: engine.host, TESTCONTAINERS_RYUK_DISABLED: "true" },
        stdout: "pipe",
        stderr: "pipe",
      });
      const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
      expect(err).toBe("");
      expect(JSON.parse(out)).toEqual({
        fetched: "copied in",
        after: "copied in",
        exec: { code: 3, stdout: "copied in", stderr: "err\n" },
        log: "from a build\n",
      });
      expect((await engine.docker("ps", "-aq")).stdout).toBe("");
    } finally {
      await engine.close();
    }
  },
  60_000,
);
