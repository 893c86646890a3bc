import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";
import { CASES, type Case, comparable, contextOf, docker, imageOf, treeOf } from "./cases.ts";

setDefaultTimeout(60_000);

const peer = process.env["GANTRY_PEER_DOCKER"];
if (!peer) console.warn("test/build: not compared with dockerd; GANTRY_PEER_DOCKER names its socket (unix://…)");

/** Builds a case on an engine. */
async function run(host: string, one: Case, tag: string) {
  const { directory, remove } = contextOf(one);
  try {
    return await docker(host, "build", ...(one.args ?? []), "-t", tag, directory);
  } finally {
    remove();
  }
}

describe.skipIf(!canRunContainers)("docker build", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const build = (dockerfile: string, ...args: string[]) =>
    run(engine.host, { name: "", dockerfile, args: [...args] }, "gantry-build-test");

  test("prints what the classic builder prints", async () => {
    const { stdout, code } = await build("FROM busybox\nENV A=1\nCOPY f /f\nRUN cat /f; echo no >&2", "--no-cache");
    expect(code).toBe(0);
    expect(
      comparable(stdout)
        .replace(/^Sending[\s\S]*?(?=Step)/, "")
        .replace(/hi\n(.*no\n.{4})|(.*no\n.{4})hi\n/, "<output>"),
    ).toBe(
      [
        "Step 1/4 : FROM busybox",
        " ---> <id>",
        "Step 2/4 : ENV A=1",
        " ---> Running in <id>",
        " ---> Removed intermediate container <id>",
        " ---> <id>",
        "Step 3/4 : COPY f /f",
        " ---> <id>",
        "Step 4/4 : RUN cat /f; echo no >&2",
        " ---> Running in <id>",
        "<output> ---> Removed intermediate container <id>",
        " ---> <id>",
        "Successfully built <id>",
        "Successfully tagged gantry-build-test:latest",
        "",
      ].join("\n"),
    );
    const ran = await docker(
      engine.host,
      "run",
      "--rm",
      "--network",
      "none",
      "gantry-build-test",
      "sh",
      "-c",
      "cat /f; echo $A",
    );
    expect(ran.stdout).toBe("hi\n1\n");
  });

  test("the exit code is the command's", async () => {
    const { code, stderr } = await build("FROM busybox\nRUN exit 42");
    expect(code).toBe(42);
    expect(stderr).toContain("The command '/bin/sh -c exit 42' returned a non-zero code: 42");
  });

  test("quiet: the ID alone", async () => {
    const { stdout } = await build("FROM busybox\nRUN echo not shown", "-q");
    expect(stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  });

  test("steps reach the network of the bridge, and names given by --add-host", async () => {
    const { stdout, code } = await build(
      "FROM busybox\nRUN ip -4 addr show eth0 | grep -o 'inet [0-9.]*'; grep other /etc/hosts",
      "--add-host=other:10.9.8.7",
      "--no-cache",
    );
    expect(code).toBe(0);
    expect(stdout).toContain(`inet ${engine.net}.`);
    expect(stdout).toContain("10.9.8.7\tother");
  });

  test("--network none and host", async () => {
    const line = "FROM busybox\nRUN ls /sys/class/net";
    expect((await build(line, "--network=none", "--no-cache")).stdout).toContain("\nlo\n ---> Removed");
    expect((await build(line, "--network=host", "--no-cache")).stdout).toContain(engine.bridge);
  });

  test("limits", async () => {
    const { stdout } = await build(
      "FROM busybox\nRUN ulimit -n; df -k /dev/shm | tail -1",
      "--no-cache",
      "--ulimit=nofile=77:88",
      "--shm-size=1m",
    );
    expect(stdout).toContain("\n77\nshm");
    expect(stdout).toContain("1024");
  });

  test("context and Dockerfile from standard input", async () => {
    const child = Bun.spawn(
      ["sh", "-c", "printf 'FROM busybox\\nLABEL from=stdin\\n' | docker build -t gantry-stdin -"],
      {
        env: { ...process.env, DOCKER_HOST: engine.host, DOCKER_BUILDKIT: "0" },
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    expect(await child.exited).toBe(0);
    const { stdout } = await docker(engine.host, "image", "inspect", "-f", "{{.Config.Labels.from}}", "gantry-stdin");
    expect(stdout).toBe("stdin\n");
  });

  test("parents, history and system df", async () => {
    await build("FROM busybox\nRUN echo kept > /kept\nENV X=1");
    const { stdout } = await docker(engine.host, "history", "-q", "gantry-build-test");
    expect(
      stdout
        .trim()
        .split("\n")
        .filter((line) => line !== "<missing>").length,
    ).toBe(3);
    const pruned = await docker(engine.host, "builder", "prune", "-af");
    expect(pruned.stdout).toContain("Deleted build cache objects:");
  });

  /** A build whose only step sleeps, once that sleeps. */
  async function sleepingBuild() {
    const { directory, remove } = contextOf({ name: "", dockerfile: "FROM busybox\nRUN echo started; sleep 600" });
    const child = Bun.spawn(["docker", "build", "--no-cache", directory], {
      env: { ...process.env, DOCKER_HOST: engine.host, DOCKER_BUILDKIT: "0" },
      stdout: "pipe",
      stderr: "ignore",
    });
    for await (const chunk of child.stdout) if (new TextDecoder().decode(chunk).includes("started\n")) break;
    remove();
    return child;
  }

  test("a cancelled build leaves nothing", async () => {
    const child = await sleepingBuild();
    child.kill("SIGINT");
    await child.exited;
    await eventually(() => !hasSleep());
  });

  test("kill -9 of the daemon in the middle of a build", async () => {
    const child = await sleepingBuild();
    await engine.crash();
    await child.exited;
    expect(hasSleep()).toBe(true);
    await engine.restart();
    expect(hasSleep()).toBe(false);
    expect((await build("FROM busybox\nRUN echo again", "--no-cache")).stdout).toContain("again");
  });

  test("the daemon's end is that of its builds", async () => {
    const child = await sleepingBuild();
    await engine.stop();
    expect(await child.exited).not.toBe(0);
    expect(hasSleep()).toBe(false);
    await engine.restart();
  });

  /** Whether a step's `sleep 600` of this engine runs: told by its overlay. */
  function hasSleep(): boolean {
    const { stdout } = Bun.spawnSync([
      "sh",
      "-c",
      `grep -l '${engine.dataRoot}' /proc/[0-9]*/mounts 2>/dev/null | xargs -r -n1 dirname | xargs -r -I{} sh -c 'tr "\\0" " " < {}/cmdline; echo'`,
    ]);
    return new TextDecoder().decode(stdout).includes("sleep 600");
  }

  describe.skipIf(!peer)("compared with dockerd (GANTRY_PEER_DOCKER)", () => {
    const BASE = "gantry-compared-base";
    beforeAll(async () => {
      // The same base on both, whatever either calls busybox.
      await docker(engine.host, "tag", "busybox", BASE);
      const pipe = `docker -H ${engine.host} save ${BASE} | docker -H ${peer} load`;
      expect(await Bun.spawn(["sh", "-c", pipe], { stdout: "ignore" }).exited).toBe(0);
    });
    afterAll(() => docker(peer!, "rmi", "-f", BASE, "gantry-compared"));

    test.each(CASES.map((one) => [one.name, one] as const))("%s", async (_, one) => {
      const tag = "gantry-compared";
      await Promise.all([docker(engine.host, "rmi", "-f", tag), docker(peer!, "rmi", "-f", tag)]);
      const dockerfile = one.dockerfile.replaceAll("busybox", BASE);
      const withoutCache = { ...one, dockerfile, args: ["--no-cache", ...(one.args ?? [])] };
      const [ours, theirs] = await Promise.all([run(engine.host, withoutCache, tag), run(peer!, withoutCache, tag)]);
      expect(comparable(ours.stdout)).toBe(comparable(theirs.stdout));
      expect(comparable(ours.stderr)).toBe(comparable(theirs.stderr));
      expect(ours.code).toBe(theirs.code);
      if (theirs.code !== 0) return;
      expect(await imageOf(engine.host, tag)).toEqual(await imageOf(peer!, tag));
      if (one.tree) expect(await treeOf(engine.host, tag)).toEqual(await treeOf(peer!, tag));
    });
  });
});
