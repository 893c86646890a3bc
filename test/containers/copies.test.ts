import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("cp and the volumes of stopped containers", () => {
  let engine: TestEngine;
  let dir: string;
  beforeAll(async () => {
    engine = await startEngine();
    dir = mkdtempSync(join(tmpdir(), "copies-"));
  });
  afterAll(async () => {
    rmSync(dir, { recursive: true, force: true });
    await engine?.close();
  });

  const docker = (...args: string[]) => engine.docker(...args);
  const leftovers = () =>
    readFileSync(`/proc/${engine.pid}/mountinfo`, "utf8")
      .split("\n")
      .filter((line) => line.includes(`${engine.dir}/`) && /\/(copies-|images\/)/.test(line));

  test("a copy leaves no descriptor behind", async () => {
    await docker("create", "--name", "volumes", "-v", "one:/a", "-v", "two:/b/c", "busybox", "true");
    const open = () => readdirSync(`/proc/${engine.pid}/fd`).length;
    const copy = () => engine.api("GET", "/containers/volumes/archive?path=/bin/busybox");
    await copy();
    const before = open();
    for (let i = 0; i < 20; i++) expect((await copy()).status).toBe(200);
    expect(open()).toBeLessThan(before + 10);
    await docker("rm", "-v", "volumes");
  });

  test("a directory is copied with what is mounted below it, whether it ever ran or not", async () => {
    await docker("run", "--rm", "-v", "full:/v", "busybox", "sh", "-c", "mkdir /v/sub; echo deep > /v/sub/f");
    writeFileSync(`${dir}/hosted`, "from the host");
    await docker(
      "create",
      "--name",
      "stopped",
      "-v",
      "full:/a/volume",
      "-v",
      `${dir}/hosted:/a/file`,
      "busybox",
      "ls",
      "-R",
      "/a",
    );
    expect(await docker("cp", "stopped:/a", `${dir}/out`)).toMatchObject({ code: 0 });
    expect(readFileSync(`${dir}/out/volume/sub/f`, "utf8")).toBe("deep\n");
    expect(readFileSync(`${dir}/out/file`, "utf8")).toBe("from the host");
    // By a link, too.
    await docker("run", "--name", "linked", "-v", "full:/a/volume", "busybox", "ln", "-s", "/a/volume/sub", "/short");
    expect(await docker("cp", "linked:/short/f", `${dir}/by-link`)).toMatchObject({ code: 0 });
    expect(readFileSync(`${dir}/by-link`, "utf8")).toBe("deep\n");
    expect(leftovers()).toEqual([]);
    expect(readdirSync(`${engine.dir}/exec`).filter((name) => name.startsWith("copies-"))).toEqual([]);
  });

  test("with copyUIDGID an archive's owners stay where the container has no user of its own", async () => {
    const tar = Bun.spawnSync(["tar", "-c", "--owner=:1005", "--group=:1006", "-C", dir, "hosted"]).stdout;
    const owner = async (...user: string[]) => {
      const { stdout } = await docker("create", ...user, "busybox", "stat", "-c", "%u:%g", "/hosted");
      const id = stdout.trim();
      const put = await fetch(`http://d/containers/${id}/archive?path=/&copyUIDGID=true`, {
        method: "PUT",
        unix: engine.socket,
        body: tar,
      });
      expect(put.status).toBe(200);
      const seen = await docker("start", "-a", id);
      await docker("rm", id);
      return seen.stdout.trim();
    };
    expect(await owner()).toBe("1005:1006");
    expect(await owner("--user", "7:8")).toBe("7:8");
  });

  test("what is copied to a directory goes into the volumes below it", async () => {
    mkdirSync(`${dir}/in/volume`, { recursive: true });
    writeFileSync(`${dir}/in/volume/new`, "new");
    expect(await docker("cp", `${dir}/in/.`, "stopped:/a")).toMatchObject({ code: 0 });
    const seen = await docker("run", "--rm", "-v", "full:/v", "busybox", "ls", "/v");
    expect(seen.stdout).toBe("new\nsub\n");
    expect((await docker("start", "-a", "stopped")).stdout).toContain("/a/volume:\nnew\nsub\n");
  });

  test("read-only volumes stay so, by their path and by links to them", async () => {
    await docker("run", "--name", "guarded", "-v", "full:/v:ro", "busybox", "ln", "-s", "/v", "/l");
    for (const path of ["/v/x", "/l/x"]) {
      const refused = await docker("cp", `${dir}/hosted`, `guarded:${path}`);
      expect(refused.code).toBe(1);
      expect(refused.stderr.toLowerCase()).toContain("read-only");
    }
  });

  test("volumes that are mounted, images and their parts are there, and gone again", async () => {
    await docker("volume", "create", "device", "--opt", "type=none", "--opt", "o=bind", "--opt", `device=${dir}`);
    const mounts = ["-v", "device:/d", "--mount", "type=image,src=busybox,dst=/i,image-subpath=etc"];
    await docker("create", "--name", "odd", ...mounts, "--mount", "src=full,dst=/p,volume-subpath=sub", "busybox");
    const copied = await Promise.all(
      ["/d/hosted", "/i/passwd", "/p/f"].map((path, n) => docker("cp", `odd:${path}`, `${dir}/odd-${n}`)),
    );
    expect(copied.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(readFileSync(`${dir}/odd-0`, "utf8")).toBe("from the host");
    expect(readFileSync(`${dir}/odd-1`, "utf8")).toStartWith("root:");
    expect(readFileSync(`${dir}/odd-2`, "utf8")).toBe("deep\n");
    expect(leftovers()).toEqual([]);
    expect(readFileSync(`/proc/${engine.pid}/mountinfo`, "utf8")).not.toContain("/volumes/device/");
  });
});
