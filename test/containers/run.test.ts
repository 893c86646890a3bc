import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("docker run", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const run = (...args: string[]) => engine.docker("run", "--rm", ...args);

  test("exit codes come through", async () => {
    const codes = [0, 1, 2, 42, 124, 125, 126, 127, 128, 200, 255];
    const results = await Promise.all(
      codes.map((code) => run("--network", "none", "busybox", "sh", "-c", `exit ${code}`)),
    );
    expect(results.map((result) => result.code)).toEqual(codes);
  });

  test("125, 126 and 127 in Docker's cases", async () => {
    const missing = await run("busybox", "no-such-command");
    expect(missing.code).toBe(127);
    expect(missing.stderr).toContain('exec: "no-such-command": executable file not found in $PATH');
    const path = await run("busybox", "/no/such/file");
    expect(path.code).toBe(127);
    expect(path.stderr).toContain("no such file or directory");
    const directory = await run("busybox", "/etc");
    expect(directory.code).toBe(126);
    const notExecutable = await run("busybox", "/etc/passwd");
    expect(notExecutable.code).toBe(126);
    expect(notExecutable.stderr).toContain("permission denied");
    expect((await run("--no-such-flag", "busybox")).code).toBe(125);
    expect((await run("--memory", "1m", "busybox", "true")).code).toBe(125);
    // Nothing of the failed ones is left.
    expect((await engine.docker("ps", "-aq")).stdout).toBe("");
  });

  test("signals end a container with 128 plus their number", async () => {
    for (const [signal, code] of [
      ["KILL", 137],
      ["TERM", 143],
    ] as const) {
      const id = (
        await engine.docker(
          "run",
          "-d",
          "busybox",
          "sh",
          "-c",
          "trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done",
        )
      ).stdout.trim();
      const waiting = engine.docker("wait", id);
      await eventually(async () => (await engine.docker("logs", id)).stdout === "ready\n");
      await engine.docker("kill", "-s", signal, id);
      expect((await waiting).stdout.trim()).toBe(String(code));
      await engine.docker("rm", id);
    }
    expect((await run("busybox", "sh", "-c", "kill -ABRT $$; exit 3")).code).toBe(3);
  });

  test("stdin half-close: 30 MB through cat", async () => {
    const data = randomBytes(30_000_000);
    const child = Bun.spawn(["docker", "run", "--rm", "-i", "busybox", "cat"], {
      env: { ...process.env, DOCKER_HOST: engine.host },
      stdin: new Blob([data]),
      stdout: "pipe",
    });
    const got = new Uint8Array(await new Response(child.stdout).arrayBuffer());
    expect(await child.exited).toBe(0);
    expect(got.length).toBe(data.length);
    expect(createHash("sha256").update(got).digest("hex")).toBe(createHash("sha256").update(data).digest("hex"));
  }, 60_000);

  test("stdout and stderr stay apart", async () => {
    const result = await run("busybox", "sh", "-c", "echo out; echo err >&2; echo out2; echo err2 >&2; exit 3");
    expect(result).toEqual({ code: 3, stdout: "out\nout2\n", stderr: "err\nerr2\n" });
  });

  test("no stdin means an empty one", async () => {
    expect((await run("busybox", "cat")).stdout).toBe("");
    expect(
      (await engine.dockerWith("typed\n", "run", "--rm", "-i", "busybox", "sh", "-c", "read x; echo got $x")).stdout,
    ).toBe("got typed\n");
  });

  test("a terminal", async () => {
    const id = (await engine.docker("run", "-dt", "busybox", "sh", "-c", "tty; echo $TERM")).stdout.trim();
    await engine.docker("wait", id);
    const logs = (await engine.docker("logs", id)).stdout.replaceAll("\r", "");
    expect(logs).toMatch(/^\/dev\/pts\/\d+\nxterm\n$/);
    await engine.docker("rm", id);
  });

  test("-d prints the ID; the log is there; attach sees what follows", async () => {
    const started = await engine.docker(
      "run",
      "-d",
      "--name",
      "later",
      "busybox",
      "sh",
      "-c",
      "echo first; sleep 0.7; echo second; exit 5",
    );
    expect(started.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    const attached = await engine.docker("attach", "later");
    expect(attached).toEqual({ code: 5, stdout: "second\n", stderr: "" });
    expect((await engine.docker("logs", "later")).stdout).toBe("first\nsecond\n");
    expect((await engine.docker("logs", "--tail", "1", "later")).stdout).toBe("second\n");
    expect((await engine.docker("logs", "-t", "later")).stdout).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z first\n/,
    );
    await engine.docker("rm", "later");
  });

  test("environment, working directory, user, hostname, entrypoint", async () => {
    const result = await run(
      "-e",
      "A=1",
      "-e",
      "B=two words",
      "-w",
      "/made/here",
      "-u",
      "daemon",
      "-h",
      "box",
      "--entrypoint",
      "sh",
      "busybox",
      "-c",
      'echo "$A|$B|$PWD|$(id -u):$(id -g)|$(hostname)|$HOME"',
    );
    expect(result.stdout).toBe("1|two words|/made/here|1:1|box|/usr/sbin\n");
  });

  test("all three kinds of network", async () => {
    const interfaces = async (network: string) =>
      (await run("--network", network, "busybox", "ls", "/sys/class/net")).stdout.split(/\s+/).filter(Boolean);
    expect(await interfaces("none")).toEqual(["lo"]);
    expect(await interfaces("bridge")).toEqual(["eth0", "lo"]);
    expect((await interfaces("host")).length).toBeGreaterThanOrEqual(2);
  });

  test("100 MB of attached output arrives whole", async () => {
    const child = Bun.spawn(["docker", "run", "--rm", "busybox", "sh", "-c", "head -c 100000000 /dev/zero"], {
      env: { ...process.env, DOCKER_HOST: engine.host },
      stdout: "pipe",
    });
    let size = 0;
    for await (const chunk of child.stdout as unknown as AsyncIterable<Uint8Array>) size += chunk.length;
    expect(await child.exited).toBe(0);
    expect(size).toBe(100_000_000);
  }, 60_000);

  test("exec: output, input, codes, detached, environment, user", async () => {
    await engine.docker("run", "-d", "--name", "host", "-e", "FROM=container", "busybox", "sleep", "1000");
    expect(await engine.docker("exec", "host", "sh", "-c", "echo out; echo err >&2; exit 9")).toEqual({
      code: 9,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect((await engine.dockerWith("x".repeat(1_000_000), "exec", "-i", "host", "wc", "-c")).stdout.trim()).toBe(
      "1000000",
    );
    const missing = await engine.docker("exec", "host", "nope");
    expect(missing.code).toBe(127);
    expect(missing.stdout + missing.stderr).toContain('exec: "nope": executable file not found in $PATH');
    expect(
      (
        await engine.docker(
          "exec",
          "-e",
          "X=y",
          "-w",
          "/tmp",
          "-u",
          "1:1",
          "host",
          "sh",
          "-c",
          "echo $X $PWD $FROM $(id -u)",
        )
      ).stdout,
    ).toBe("y /tmp container 1\n");
    expect((await engine.docker("exec", "-d", "host", "touch", "/made")).code).toBe(0);
    await eventually(async () => (await engine.docker("exec", "host", "ls", "/made")).stdout === "/made\n");
    await engine.docker("rm", "-f", "host");
    expect((await engine.docker("exec", "host", "true")).stderr).toContain("No such container: host");
  });
});
