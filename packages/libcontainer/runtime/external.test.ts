import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { openCgroups } from "../cgroups/index.ts";
import { StartError } from "../contract.ts";
import { Bench, canRun, collect, dockerSpec, logLines, shimPath } from "../testing.ts";
import { openRuntime } from "./runtime.ts";

const both = { stdin: false, stdout: true, stderr: true };

/** crun runs nothing at all where v1's hierarchies stand beside a v2 tree that has controllers. */
function refusesHost(name: string): boolean {
  const controllers = "/sys/fs/cgroup/unified/cgroup.controllers";
  return name === "crun" && existsSync(controllers) && readFileSync(controllers, "utf8").trim() !== "";
}

for (const name of ["runc", "crun"]) {
  const path = Bun.which(name);
  describe.skipIf(!canRun || !path || refusesHost(name))(`containers by ${name}`, () => {
    let bench: Bench;
    beforeAll(() => {
      bench = new Bench(openRuntime({ shimPath, cgroups: openCgroups() }).external({ name, path: path! }));
    });
    afterAll(() => bench.close());

    test("output, log, exit code, nothing mounted on the host", async () => {
      const { stdout, stderr, exitCode, box } = await bench.run(
        dockerSpec(["sh", "-c", "echo out; echo err >&2; exit 7"]),
      );
      expect([stdout, stderr, exitCode]).toEqual(["out\n", "err\n", 7]);
      expect(
        logLines(box.logPath)
          .map((one) => one.log)
          .sort(),
      ).toEqual(["err\n", "out\n"]);
      expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(bench.root);
      expect(existsSync(box.stateDir)).toBe(false);
    });

    test("stdin, exec, signals, and being found again", async () => {
      const { task, stateDir } = await bench.create(dockerSpec(["cat"]), { openStdin: true, stdinOnce: true });
      const stream = await task.attach({ stdin: true, stdout: true, stderr: true });
      const output = collect(stream);
      await task.start();
      const exec = await task.exec({
        id: "e1",
        process: { args: ["sh", "-c", "id -u; exit 3"], cwd: "/", env: ["PATH=/bin"], user: { uid: 1000, gid: 1000 } },
        openStdin: false,
      });
      const said = collect(await exec.attach(both));
      await exec.start();
      expect((await said).stdout).toBe("1000\n");
      expect((await exec.wait()).exitCode).toBe(3);
      const found = (await bench.runtime.find(task.id, stateDir))!;
      expect(await found.status()).toBe("running");
      await stream.write(new TextEncoder().encode("through"));
      stream.closeStdin();
      expect((await output).stdout).toBe("through");
      expect((await found.wait()).exitCode).toBe(0);
    });

    test("a terminal", async () => {
      const { task } = await bench.create(dockerSpec(["sh", "-c", "stty size; tty"]), {
        terminal: true,
        openStdin: true,
        consoleSize: { height: 30, width: 90 },
      });
      const screen = collect(await task.attach({ stdin: true, stdout: true, stderr: true }), true);
      await task.start();
      expect((await screen).stdout).toContain("/dev/pts/0");
      expect((await task.wait()).exitCode).toBe(0);
    });

    test("what cannot be run", async () => {
      const spec = dockerSpec(["nosuch"]);
      const error = await bench
        .create(spec)
        .then(({ task }) => task.start())
        .catch((thrown) => thrown);
      expect(error).toBeInstanceOf(StartError);
      expect(error.exitCode).toBe(127);
    });

    test("SIGKILL", async () => {
      const { task } = await bench.create(dockerSpec(["sleep", "100"]));
      await task.start();
      expect(await task.pids()).toContain(task.pid);
      await task.pause();
      expect(await task.status()).toBe("paused");
      await task.resume();
      await task.kill(9);
      expect((await task.wait()).exitCode).toBe(137);
    });
  });
}
