import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("parts of volumes and images", () => {
  let engine: TestEngine;
  const run = (...args: string[]) => engine.docker("run", "--rm", ...args);
  const part = (subpath: string) => ["--mount", `src=parts,dst=/s,volume-subpath=${subpath}`, "busybox"];

  beforeAll(async () => {
    engine = await startEngine();
    const links =
      "mkdir -p /m/a/b; echo f > /m/f; ln -s a /m/inside; ln -s /etc /m/absolute; ln -s ../../../../../../../../etc /m/up";
    expect((await run("-v", "parts:/m", "busybox", "sh", "-c", links)).code).toBe(0);
  });
  afterAll(() => engine?.close());

  test("directories, files and links within the volume are mounted", async () => {
    expect((await run(...part("a"), "ls", "/s")).stdout).toBe("b\n");
    expect((await run(...part("inside"), "ls", "/s")).stdout).toBe("b\n");
    expect((await run(...part("f"), "cat", "/s")).stdout).toBe("f\n");
    expect((await run(...part("a/../a/b"), "touch", "/s/made")).code).toBe(0);
    expect((await run("-v", "parts:/m", "busybox", "ls", "/m/a/b")).stdout).toBe("made\n");
    const mounts = readFileSync(`/proc/${engine.pid}/mountinfo`, "utf8");
    expect(mounts).not.toContain(`${engine.dir}/exec/images`);
  });

  test("links out of the volume are refused, by starts and by copies", async () => {
    for (const link of ["absolute", "up"]) {
      const refused = await run(...part(link), "ls", "/s");
      expect(refused).toMatchObject({ code: 125, stdout: "" });
      expect(refused.stderr).toContain("path concatenation escapes the base directory");
      const id = (await engine.docker("create", ...part(link))).stdout.trim();
      for (const path of ["/s", "/s/hostname"]) {
        const copied = await engine.docker("cp", `${id}:${path}`, "-");
        expect(copied.code).not.toBe(0);
        expect(copied.stderr).toContain("path concatenation escapes the base directory");
      }
      await engine.docker("rm", id);
    }
  });

  test("what is not there is named", async () => {
    const missing = await run(...part("nothing"), "ls");
    expect(missing.code).toBe(127);
    expect(missing.stderr).toMatch(/cannot access path .*\/nothing: lstat .*\/nothing: no such file or directory/);
  });

  test("of an image only its own files are seen", async () => {
    const image = (subpath: string) => ["--mount", `type=image,src=busybox,dst=/i,image-subpath=${subpath}`, "busybox"];
    const etc = (await run(...image("etc"), "ls", "/i")).stdout.split("\n");
    expect(etc).toContain("passwd");
    expect(etc).not.toContain("resolv.conf");
    expect((await run(...image("etc/passwd"), "head", "-c", "5", "/i")).stdout).toBe("root:");
    expect((await run(...image("../etc"), "ls", "/i")).stderr).toContain("subpath must be a relative path");
    expect((await run(...image("etc"), "touch", "/i/x")).stderr).toContain("Read-only file system");
  });
});
