import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RuntimeSpec } from "@gantry/spec";
import { openCgroups } from "../cgroups/index.ts";
import { canRun, dockerSpec, eventually, makeBusybox } from "../testing.ts";
import { parseArguments, parseSignal } from "./arguments.ts";

describe("arguments", () => {
  test("flags with and without values, short names, the end of flags", () => {
    const args = parseArguments(["-b", "/x", "--pid-file=/p", "--force", "id", "--", "-x"], {
      switches: ["force"],
      values: ["bundle", "pid-file"],
      short: { b: "bundle" },
    });
    expect([args.values.get("bundle"), args.values.get("pid-file"), args.rest]).toEqual([["/x"], ["/p"], ["id", "-x"]]);
    expect(args.switches.has("force")).toBe(true);
    expect(() => parseArguments(["--nope"], {})).toThrow("not defined: -nope");
    expect(() => parseArguments(["-b"], { values: ["b"] })).toThrow("needs an argument");
  });

  test("signals", () => {
    expect(["9", "KILL", "SIGKILL", "sigterm", "RTMIN+3", "SIGRTMAX"].map(parseSignal)).toEqual([9, 9, 9, 15, 37, 64]);
    for (const bad of ["", "0", "65", "NOPE", "RTMIN+99"]) expect(() => parseSignal(bad)).toThrow("unknown signal");
  });
});

describe.skipIf(!canRun)("gantry-runtime", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-oci-"));
  const main = new URL("./main.ts", import.meta.url).pathname;
  let count = 0;

  beforeAll(() => {
    makeBusybox(join(root, "rootfs"));
  });
  afterAll(async () => {
    await openCgroups().remove(`/gantry-oci-test-${process.pid}`);
    rmSync(root, { recursive: true, force: true });
  });

  function bundle(spec: RuntimeSpec): { directory: string; id: string } {
    const id = `c${process.pid}-${++count}`;
    const directory = join(root, id);
    mkdirSync(directory);
    const linux = { ...spec.linux, seccomp: undefined, cgroupsPath: `/gantry-oci-test-${process.pid}/${id}` };
    writeFileSync(
      join(directory, "config.json"),
      JSON.stringify({ ...spec, linux, root: { path: join(root, "rootfs") } }),
    );
    return { directory, id };
  }

  async function runtime(...words: string[]) {
    const child = Bun.spawn({
      cmd: [process.execPath, main, "--root", join(root, "state"), ...words],
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 50_000,
    });
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { stdout, stderr, code: await child.exited };
  }

  test("run: output and exit code, nothing left", async () => {
    const { directory, id } = bundle(dockerSpec(["sh", "-c", "echo out; echo err >&2; exit 7"]));
    expect(await runtime("run", "--bundle", directory, id)).toEqual({ stdout: "out\n", stderr: "err\n", code: 7 });
    expect(existsSync(join(root, "state", id))).toBe(false);
    expect(openCgroups().exists(`/gantry-oci-test-${process.pid}/${id}`)).toBe(false);
  });

  test("the whole life: create, state, start, exec, pause, kill, delete", async () => {
    const { directory, id } = bundle(dockerSpec(["sleep", "100"]));
    const pidFile = join(directory, "pid");
    // a created container holds its caller's stdio, as runc's does: nobody must wait for the pipe's end
    const creator = Bun.spawn({
      cmd: [
        process.execPath,
        main,
        "--root",
        join(root, "state"),
        "create",
        "-b",
        directory,
        "--pid-file",
        pidFile,
        id,
      ],
      stdio: ["ignore", "ignore", "ignore"],
    });
    expect(await creator.exited).toBe(0);
    const state = async () => JSON.parse((await runtime("state", id)).stdout);
    expect(await state()).toMatchObject({
      id,
      status: "created",
      bundle: directory,
      pid: Number(readFileSync(pidFile, "utf8")),
    });
    expect((await runtime("create", "-b", directory, id)).stderr).toContain("already exists");
    expect((await runtime("delete", id)).stderr).toContain("that is not stopped");
    expect((await runtime("start", id)).code).toBe(0);
    expect((await state()).status).toBe("running");
    expect((await runtime("start", id)).stderr).toContain("cannot start");
    const exec = await runtime("exec", "--user", "1000:1000", "--env", "A=b", id, "sh", "-c", "id -u; echo $A; exit 5");
    expect(exec).toEqual({ stdout: "1000\nb\n", stderr: "", code: 5 });
    expect((await runtime("exec", id, "nosuch")).stderr).toContain("executable file not found in $PATH");
    expect(JSON.parse((await runtime("ps", "-f", "json", id)).stdout)).toEqual([(await state()).pid]);
    expect(JSON.parse((await runtime("events", "--stats", id)).stdout).data.pids.current).toBe(1);
    expect((await runtime("update", "--memory", "64m", id)).code).toBe(0);
    expect((await runtime("pause", id)).code).toBe(0);
    expect((await state()).status).toBe("paused");
    expect((await runtime("resume", id)).code).toBe(0);
    expect((await runtime("list", "-q")).stdout).toContain(id);
    expect((await runtime("kill", id, "KILL")).code).toBe(0);
    await eventually(async () => (await state()).status === "stopped");
    expect((await runtime("kill", id)).stderr).toBe("container not running\n");
    expect((await runtime("delete", id)).code).toBe(0);
    expect((await runtime("state", id)).stderr).toBe("container does not exist\n");
    expect((await runtime("delete", "--force", id)).code).toBe(0);
  }, 60_000);

  test("errors go to the log as containerd reads them", async () => {
    const { directory, id } = bundle(dockerSpec(["/nosuch"]));
    const log = join(directory, "log.json");
    const result = await runtime("--log", log, "--log-format", "json", "create", "-b", directory, id);
    expect(result.code).toBe(1);
    expect(JSON.parse(readFileSync(log, "utf8"))).toMatchObject({
      level: "error",
      msg: 'exec: "/nosuch": stat /nosuch: no such file or directory',
    });
    expect(existsSync(join(root, "state", id))).toBe(false);
  });

  test("features and spec", async () => {
    const { linux } = JSON.parse((await runtime("features")).stdout);
    expect(linux.namespaces).toContain("time");
    const directory = join(root, "empty");
    mkdirSync(directory);
    expect((await runtime("spec", "-b", directory)).code).toBe(0);
    expect(JSON.parse(readFileSync(join(directory, "config.json"), "utf8")).process.args).toEqual(["sh"]);
    expect((await runtime("spec", "-b", directory)).stderr).toContain("exists");
  });

  test("ids that are paths are refused", async () => {
    const { directory } = bundle(dockerSpec(["true"]));
    for (const id of ["..", "../x", "a/b", ""])
      expect((await runtime("create", "-b", directory, id)).stderr).toMatch(
        /container id cannot be empty|invalid container ID/,
      );
  });
});
