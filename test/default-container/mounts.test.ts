/** Bind mounts of a tree with mounts in it: how far read-only reaches, and what comes through later. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { MNT, MS, mount, umount } from "@gantry/sys";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

describe.skipIf(!canRunContainers)("bind mounts", () => {
  let engine: TestEngine;
  const dir = mkdtempSync(`${tmpdir()}/gantry-test-mounts-`);
  const plain = `${dir}/plain`;
  const shared = `${dir}/shared`;

  beforeAll(async () => {
    for (const path of [plain, shared]) {
      mkdirSync(path);
      mount("tmpfs", path, "tmpfs", 0);
      mkdirSync(`${path}/sub`);
    }
    mount("none", plain, "", MS.PRIVATE);
    mount("none", shared, "", MS.SHARED);
    mount("tmpfs", `${plain}/sub`, "tmpfs", 0);
    writeFileSync(`${plain}/sub/file`, "below\n");
    engine = await startEngine();
  }, 60_000);

  afterAll(async () => {
    await engine?.close();
    for (const path of [`${plain}/sub`, plain, `${shared}/sub`, shared]) {
      try {
        umount(path, MNT.DETACH);
      } catch {
        // Not mounted, where the test before it failed.
      }
    }
    rmSync(dir, { recursive: true, force: true });
  }, 60_000);

  const tryWrite = "cat /data/sub/file; touch /data/x && echo top; touch /data/sub/x && echo below; true";
  const run = async (...args: string[]) => {
    const { stdout, stderr } = await engine.docker("run", "--rm", ...args, "busybox", "sh", "-c", tryWrite);
    return [stdout, stderr.replace(/^touch: /gm, "")];
  };

  test("read-only is so all the way down", async () => {
    const refused = "/data/x: Read-only file system\n/data/sub/x: Read-only file system\n";
    expect(await run("-v", `${plain}:/data:ro`)).toEqual(["below\n", refused]);
    expect(await run("--mount", `type=bind,src=${plain},dst=/data,readonly`)).toEqual(["below\n", refused]);
  });

  test("or at the top alone, where that is asked for", async () => {
    const [stdout, stderr] = await run("--mount", `type=bind,src=${plain},dst=/data,readonly,bind-recursive=writable`);
    expect([stdout, stderr]).toEqual(["below\nbelow\n", "/data/x: Read-only file system\n"]);
  });

  test("or without the mounts in it", async () => {
    const [stdout] = await run("--mount", `type=bind,src=${plain},dst=/data,bind-recursive=disabled`);
    expect(stdout).toBe("top\nbelow\n");
  });

  test("what is not shared cannot be joined", async () => {
    const { code, stderr } = await engine.docker("run", "--rm", "-v", `${plain}:/data:rslave`, "busybox", "true");
    expect(code).toBe(125);
    expect(stderr).toContain(`path ${plain} is mounted on ${plain} but it is not a shared or slave mount`);
  });

  test("a slave sees what is mounted later, a private one does not", async () => {
    const start = async (mode: string) =>
      (await engine.docker("run", "-d", "-v", `${shared}:/data:${mode}`, "busybox", "sleep", "60")).stdout.trim();
    const [slave, cut] = [await start("rslave"), await start("rprivate")];
    mount("tmpfs", `${shared}/sub`, "tmpfs", 0);
    writeFileSync(`${shared}/sub/late`, "");
    const see = async (id: string) => (await engine.docker("exec", id, "ls", "/data/sub")).stdout;
    expect([await see(slave), await see(cut)]).toEqual(["late\n", ""]);
    await engine.docker("rm", "-f", slave, cut);
  });
});
