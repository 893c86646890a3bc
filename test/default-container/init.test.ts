/** `--init`: the program is not the first process, and nothing else changes for it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

describe.skipIf(!canRunContainers)("docker run --init", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  }, 60_000);
  afterAll(() => engine?.close(), 60_000);

  const run = (...args: string[]) => engine.docker("run", "--rm", "--init", ...args);

  test("its end is the program's", async () => {
    expect((await run("busybox", "sh", "-c", "exit 7")).code).toBe(7);
    expect((await run("busybox", "sh", "-c", "kill -9 $$")).code).toBe(137);
    expect((await run("busybox", "true")).code).toBe(0);
  });

  test("the program is told apart from it", async () => {
    const { stdout } = await run("busybox", "sh", "-c", "cat /proc/1/comm; echo $PPID; readlink /proc/1/exe");
    expect(stdout).toBe("docker-init\n1\n/sbin/docker-init\n");
  });

  test("a program that is not there", async () => {
    const { code, stderr } = await run("busybox", "no-such-program");
    expect([code, stderr]).toEqual([127, "docker-init: exec no-such-program failed: no such file or directory\n"]);
    const other = await run("busybox", "/etc/passwd");
    expect([other.code, other.stderr]).toEqual([126, "docker-init: exec /etc/passwd failed: permission denied\n"]);
  });

  test("orphans are reaped", async () => {
    const script =
      "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05 &'); done; sleep 0.5; while grep -q 'State:.Z' /proc/[0-9]*/status; do sleep 0.1; done; echo end";
    expect((await run("busybox", "sh", "-c", script)).stdout).toBe("end\n");
  });

  test("signals are handed on", async () => {
    const script = "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    const { stdout: id } = await engine.docker("run", "-d", "--init", "busybox", "sh", "-c", script);
    const name = id.trim();
    await eventually(async () => (await engine.docker("logs", name)).stdout.includes("ready"));
    await engine.docker("stop", "-t", "20", name);
    expect((await engine.docker("logs", name)).stdout).toBe("ready\nterm\n");
    expect((await engine.docker("inspect", "-f", "{{.State.ExitCode}}", name)).stdout).toBe("3\n");
    await engine.docker("rm", name);
  });

  test("the terminal is the program's", async () => {
    const { stdout, code } = await run(
      "-t",
      "busybox",
      "sh",
      "-c",
      "read -t 1 x < /dev/tty; echo $(tty); ps -o pid,stat,comm",
    );
    expect(code).toBe(0);
    // A background process would have been stopped by SIGTTIN at its read.
    expect(stdout).toContain("/dev/pts/0");
    expect(stdout).toMatch(/^\s*1 \S+\s+docker-init\r?$/m);
  });

  test("privileged containers get a copy of their own engine's, read-only", async () => {
    const { code } = await run("--privileged", "busybox", "sh", "-c", "echo x > /sbin/docker-init");
    expect(code).toBe(1);
  });
});
