import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";
import { makeImage, seed } from "../registry/support/images.ts";
import { freePort, type RunningRegistry, registryInstalled, startRegistry } from "../registry/support/registry.ts";
import { docker } from "./cases.ts";

setDefaultTimeout(60_000);

const GIT_DAEMON = "/usr/lib/git-core/git-daemon";

describe.skipIf(!canRunContainers)("where builds come from", () => {
  let engine: TestEngine;
  let directory: string;
  beforeAll(async () => {
    engine = await startEngine();
    directory = mkdtempSync(join(tmpdir(), "gantry-sources-"));
  });
  afterAll(async () => {
    await engine?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const write = (name: string, dockerfile: string) => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "Dockerfile"), dockerfile);
    return path;
  };
  const label = async (image: string, name: string) =>
    (await docker(engine.host, "image", "inspect", "-f", `{{index .Config.Labels "${name}"}}`, image)).stdout.trim();

  describe.skipIf(!registryInstalled)("a registry", () => {
    let registry: RunningRegistry;
    beforeAll(async () => {
      registry = await startRegistry();
      await seed(registry.url, "base/app", "1", makeImage({ config: { Labels: { version: "old" } } }));
    });
    afterAll(() => registry?.stop());

    test("FROM pulls what is missing, --pull what is newer", async () => {
      const base = `${registry.host}/base/app:1`;
      const path = write("pulls", `FROM ${base}\nLABEL own=yes\nCOPY Dockerfile /D`);
      const first = await docker(engine.host, "build", "-t", "pulled", path);
      expect(first.code).toBe(0);
      expect(first.stdout).toMatch(
        /Step 1\/3 : FROM .*\n(?:.*\n)*.*Status: Downloaded newer image for .*\/base\/app:1\n ---> /,
      );
      expect(await label("pulled", "version")).toBe("old");
      await seed(registry.url, "base/app", "1", makeImage({ config: { Labels: { version: "new" } } }));
      const second = await docker(engine.host, "build", "-t", "pulled", path);
      expect(second.stdout).not.toContain("Downloaded");
      expect(await label("pulled", "version")).toBe("old");
      await docker(engine.host, "build", "--pull", "-t", "pulled", path);
      expect(await label("pulled", "version")).toBe("new");
    });
    test("COPY --from takes an image nothing else names", async () => {
      await seed(registry.url, "tools", "2", makeImage({ layers: 1 }));
      const path = write("tools", `FROM busybox\nCOPY --from=${registry.host}/tools:2 /dir0 /tools\nRUN ls /tools`);
      const { stdout, code } = await docker(engine.host, "build", "--no-cache", path);
      expect(code).toBe(0);
      expect(stdout).toContain("file\nlink\n");
    });
    test("what no registry has", async () => {
      const { stderr, code } = await docker(engine.host, "build", write("none", `FROM ${registry.host}/nothing:here`));
      expect(code).toBe(1);
      expect(stderr).toContain("nothing");
    });
  });

  describe.skipIf(!existsSync(GIT_DAEMON))("git", () => {
    let daemon: ReturnType<typeof Bun.spawn>;
    let url: string;
    const api = (remote: string, more = "") =>
      engine.api("POST", `/v1.47/build?remote=${encodeURIComponent(remote)}${more}`);
    beforeAll(async () => {
      const work = join(directory, "repo");
      mkdirSync(join(work, "sub"), { recursive: true });
      const git = (...args: string[]) =>
        Bun.spawnSync(["git", "-c", "user.name=t", "-c", "user.email=t@e", "-C", work, ...args]);
      git("init", "-q", "-b", "main");
      writeFileSync(join(work, "Dockerfile"), "FROM busybox\nLABEL branch=main");
      writeFileSync(
        join(work, "sub", "Dockerfile"),
        "FROM busybox\nLABEL branch=sub\nCOPY . /c\nRUN test ! -e /c/.git",
      );
      git("add", ".");
      git("commit", "-q", "-m", "one");
      git("checkout", "-q", "-b", "other");
      writeFileSync(join(work, "Dockerfile"), "FROM busybox\nLABEL branch=other");
      git("commit", "-q", "-a", "-m", "two");
      git("checkout", "-q", "main");
      const port = await freePort();
      daemon = Bun.spawn(
        [GIT_DAEMON, `--base-path=${directory}`, "--export-all", "--listen=127.0.0.1", `--port=${port}`, directory],
        { stdout: "ignore", stderr: "ignore" },
      );
      url = `git://127.0.0.1:${port}/repo/.git`;
      await eventually(
        async () =>
          await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).then(
            (socket) => socket.end() !== null,
            () => false,
          ),
      );
    });
    afterAll(async () => {
      daemon?.kill();
      await daemon?.exited;
    });

    test("contexts: the default branch, another, a folder", async () => {
      for (const [fragment, branch] of [
        ["", "main"],
        ["#other", "other"],
        ["#main:sub", "sub"],
      ]) {
        const { text } = await api(`${url}${fragment}`, `&t=fromgit:${branch}`);
        expect(text).toContain("Successfully built");
        expect(await label(`fromgit:${branch}`, "branch")).toBe(branch!);
      }
    });
    test("ADD", async () => {
      const path = write("addgit", `FROM busybox\nADD ${url}#other /src\nRUN cat /src/Dockerfile; ls -A /src`);
      const { stdout } = await docker(engine.host, "build", "--no-cache", path);
      expect(stdout).toContain("LABEL branch=otherDockerfile\nsub\n");
    });
    test("refused", async () => {
      expect((await api(`${url}#nosuch`)).text).toContain("error fetching");
      expect((await api(`${url}#main:../..`)).text).toContain("Successfully built");
      expect((await api(`${url}#main:nosuch`)).text).toContain("no such directory");
      expect((await api("git://127.0.0.1/x.git#--upload-pack=touch")).text).toContain("invalid git reference");
      expect((await api("file:///etc/passwd")).text).toContain("could not be recognized as URL");
    });
  });

  describe("the API", () => {
    const build = (query: string) => engine.api("POST", `/v1.47/build?${query}`);
    test.each([
      ["squash=1", 400, "squash is only supported with experimental mode"],
      ["buildargs=nonsense", 400, "error reading build args"],
      ["buildargs=[1]", 400, "error reading build args"],
      ["labels=%7B%22a%22:1%7D", 400, "error reading labels"],
      ["ulimits=%7B%7D", 400, "error reading ulimit settings"],
      ["cachefrom=%7B", 400, "error reading cache-from"],
      ["platform=a/b/c/d", 400, "cannot parse platform specifier"],
      ["t=a:b:c", 400, "invalid reference format"],
      ["memory=x", 400, "invalid syntax"],
      ["version=7", 400, 'invalid version "7"'],
      ["remote=client-session", 400, "use builder version v2"],
      ["", 500, "Cannot locate specified Dockerfile: Dockerfile"],
      ["dockerfile=../x", 500, "forbidden path outside the build context: ../x ()"],
    ])("%s: %d %s", async (query, status, message) => {
      const answer = await build(query);
      expect(answer.status).toBe(status);
      expect(answer.body.message).toContain(message);
    });
    test("prune with filters", async () => {
      await docker(engine.host, "build", write("prune", "FROM busybox\nRUN echo pruned > /pruned"));
      const filters = encodeURIComponent('{"until":["24h"]}');
      const kept = await engine.api("POST", `/v1.47/build/prune?all=1&filters=${filters}`);
      expect(kept.body).toEqual({ CachesDeleted: null, SpaceReclaimed: 0 });
      const { body } = await engine.api("GET", "/v1.47/system/df?type=build-cache");
      expect(body.BuildCache).toContainEqual(
        expect.objectContaining({ Type: "regular", Description: expect.stringContaining("pruned") }),
      );
      const gone = await engine.api("POST", "/v1.47/build/prune?all=1");
      expect(gone.body.CachesDeleted.length).toBeGreaterThan(0);
      expect((await engine.api("POST", "/v1.47/build/cancel")).status).toBe(400);
    });
  });
});
