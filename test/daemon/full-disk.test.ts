import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

const mkfs = Bun.which("mkfs.ext4");
const FULL = "no space left on device";

describe.skipIf(!canRunContainers || mkfs === null)("a disk that is full", () => {
  let engine: TestEngine;
  let data: string;
  let mounted: string;

  beforeAll(async () => {
    engine = await startEngine();
    // The same daemon, on a small disk.
    await engine.stop();
    mounted = `${engine.dir}/small`;
    const image = `${engine.dir}/small.img`;
    mkdirSync(mounted);
    run("truncate", "-s", "120M", image);
    run("mkfs.ext4", "-q", "-m", "0", image);
    run("mount", "-o", "loop", image, mounted);
    run("cp", "-a", engine.dataRoot, `${mounted}/data`);
    rmSync(engine.dataRoot, { recursive: true });
    mkdirSync(engine.dataRoot);
    run("mount", "--bind", `${mounted}/data`, engine.dataRoot);
    data = engine.dataRoot;
    await engine.restart();
  });
  afterAll(async () => {
    if (engine === undefined) return;
    rmSync(`${mounted}/filler`, { force: true });
    await engine.docker("rm", "-fv", ...(await list("ps", "-aq")));
    await engine.docker("network", "rm", "other");
    await engine.stop();
    Bun.spawnSync(["umount", "-l", engine.dataRoot]);
    Bun.spawnSync(["umount", "-l", mounted]);
    await engine.close();
  });

  const list = async (...args: string[]) => (await engine.docker(...args)).stdout.split("\n").filter((line) => line);
  const lastLine = async (name: string) => Number((await list("logs", "--tail", "1", name))[0]);
  const inspect = async (name: string, what: string) =>
    (await engine.docker("inspect", "-f", what, name)).stdout.trim();

  test("refuses in Docker's words, leaves nothing half-made, and harms nobody; what is removed makes room", async () => {
    const count = (more: string) => [
      "busybox",
      "sh",
      "-c",
      `${more}; i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done`,
    ];
    await engine.docker("run", "-d", "--name", "writes", "-v", "kept:/kept", ...count("echo precious > /kept/f"));
    const rotation = ["--log-opt", "max-size=20k", "--log-opt", "max-file=3"];
    await engine.docker("run", "-d", "--name", "rotates", ...rotation, ...count(":"));
    await engine.docker(
      "run",
      "-d",
      "--name",
      "holds",
      "busybox",
      "sh",
      "-c",
      "dd if=/dev/zero of=/big bs=1M count=20; sleep 1000",
    );
    await engine.docker("run", "--name", "ended", "busybox", "sh", "-c", "exit 3");
    await engine.docker("run", "-d", "--name", "ends", "busybox", "sh", "-c", "sleep 4; exit 7");
    await engine.docker("network", "create", "other");
    await eventually(async () => expect((await engine.docker("exec", "holds", "pidof", "dd")).code).not.toBe(0));
    const before = tree(data);
    fill(`${mounted}/filler`);

    for (const command of [
      ["create", "busybox"],
      ["volume", "create", "half"],
      ["commit", "holds", "half"],
      ["cp", import.meta.path, "writes:/there"],
    ]) {
      const { code, stderr } = await engine.docker(...command);
      expect({ command, code, full: stderr.includes(FULL) }).toEqual({ command, code: 1, full: true });
      expect(stderr).not.toContain("ENOSPC");
    }
    expect((await engine.dockerWith(readFileSync(import.meta.path), "import", "-")).code).toBe(1);
    // What needs no room goes on: the database has its own.
    expect(await engine.docker("exec", "writes", "echo", "here")).toMatchObject({ code: 0, stdout: "here\n" });
    expect(await engine.docker("network", "connect", "other", "writes")).toMatchObject({ code: 0 });
    expect(await engine.docker("network", "disconnect", "other", "writes")).toMatchObject({ code: 0 });
    expect(readFileSync(`${data}/containers/${await inspect("writes", "{{.Id}}")}/hosts`, "utf8")).toContain(
      "localhost",
    );
    expect(await engine.docker("tag", "busybox", "again")).toMatchObject({ code: 0 });
    expect(await engine.docker("restart", "-t", "0", "ended")).toMatchObject({ code: 0 });
    expect((await engine.docker("wait", "ends")).stdout).toBe("7\n");
    await eventually(() => expect(tree(data)).toEqual(before));

    // A daemon that is killed starts again, and knows all.
    await engine.crash();
    await engine.restart();
    expect(await list("ps", "-a", "--format", "{{.Names}} {{.State}}")).toEqual(
      expect.arrayContaining(["ended exited", "ends exited", "holds running", "rotates running", "writes running"]),
    );
    expect(await inspect("ends", "{{.State.ExitCode}}")).toBe("7");
    expect((await engine.docker("info", "-f", "{{.Driver}}")).stdout.trim()).toBe("overlay2");
    expect(await engine.docker("rm", "-f", "holds")).toMatchObject({ code: 0 });
    await engine.crash();
    await engine.restart();
    expect(await list("ps", "-aq", "-f", "name=holds")).toEqual([]);

    // There is room now, and logs go on at the begin of a line.
    for (const name of ["writes", "rotates"]) {
      const at = await lastLine(name);
      await eventually(async () => expect(await lastLine(name)).toBeGreaterThan(at + 20));
      const path = await inspect(name, "{{.LogPath}}");
      // Its last line may be on its way.
      for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) JSON.parse(line);
    }
    expect((await engine.docker("run", "--rm", "-v", "kept:/kept", "busybox", "cat", "/kept/f")).stdout).toBe(
      "precious\n",
    );
  });
});

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Takes every byte that is left. */
function fill(path: string): void {
  const fd = openSync(path, "w");
  for (let size = 1 << 20; size >= 1; ) {
    try {
      if (writeSync(fd, Buffer.alloc(size)) < size) size >>= 1;
    } catch {
      size >>= 1;
    }
  }
  closeSync(fd);
}

/** What the engine keeps things in, two levels deep; not what containers write. */
function tree(data: string): Record<string, string[]> {
  const names = ["containers", "layers", "volumes", "trash", "content/ingest", "content/blobs/sha256", "builder/tmp"];
  return Object.fromEntries(
    names.map((name) => [
      name,
      statSync(`${data}/${name}`, { throwIfNoEntry: false }) ? readdirSync(`${data}/${name}`).sort() : [],
    ]),
  );
}

async function eventually(check: () => void | Promise<void>): Promise<void> {
  for (const end = performance.now() + 40_000; ; ) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) throw error;
      await Bun.sleep(50);
    }
  }
}
