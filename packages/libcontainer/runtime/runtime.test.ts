import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartError } from "../contract.ts";
import {
  Bench,
  bytesOf,
  canRun,
  collect,
  demultiplex,
  dockerSpec,
  eventually,
  logLines,
  makeBusybox,
  testCgroupDirectory,
} from "../testing.ts";

const shell = (script: string) => dockerSpec(["sh", "-c", script]);
const both = { stdin: false, stdout: true, stderr: true };

describe.skipIf(!canRun)("containers by gantry-shim", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  test("exit codes", async () => {
    for (const code of [0, 1, 42, 125, 126, 127, 255])
      expect((await bench.run(shell(`exit ${code}`))).exitCode).toBe(code);
  });

  test("stdout and stderr apart, in the stream and in the log", async () => {
    const { stdout, stderr, box } = await bench.run(shell("echo out; echo err >&2; printf unfinished"));
    expect([stdout, stderr]).toEqual(["out\nunfinished", "err\n"]);
    const lines = logLines(box.logPath);
    expect(lines.filter((one) => one.stream === "stdout").map((one) => one.log)).toEqual(["out\n", "unfinished"]);
    expect(lines.filter((one) => one.stream === "stderr").map((one) => one.log)).toEqual(["err\n"]);
    expect(lines[0]!.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
  });

  test("a signal ends it", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    expect(await task.status()).toBe("running");
    await task.kill(9);
    expect(await task.wait()).toMatchObject({ exitCode: 137, signal: 9, oomKilled: false });
    expect(await task.status()).toBe("stopped");
    await task.kill(15);
  });

  test("the exit is on disk", async () => {
    const { status, box } = await bench.run(shell("exit 3"));
    expect(JSON.parse(readFileSync(box.exitFile, "utf8"))).toEqual(status);
  });

  test("30 MB through cat, stdin half-closed", async () => {
    const { task } = await bench.create(dockerSpec(["cat"]), { openStdin: true, stdinOnce: true, log: null });
    const stream = await task.attach({ stdin: true, stdout: true, stderr: true });
    const output = bytesOf(stream.output);
    await task.start();
    const block = new Uint8Array(1 << 20).map((_, i) => i % 251);
    for (let i = 0; i < 30; i++) await stream.write(block);
    stream.closeStdin();
    const bytes = await output;
    let total = 0;
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 8 + view.getUint32(at + 4)) total += view.getUint32(at + 4);
    expect(total).toBe(30 << 20);
    expect((await task.wait()).exitCode).toBe(0);
  });

  test("stdin stays open without stdinOnce", async () => {
    const { task } = await bench.create(shell("read a; read b; echo $a$b"), { openStdin: true });
    const first = await task.attach({ stdin: true, stdout: false, stderr: false });
    await task.start();
    await first.write(new TextEncoder().encode("one\n"));
    first.closeStdin();
    const second = await task.attach({ stdin: true, stdout: true, stderr: true });
    const output = collect(second);
    await second.write(new TextEncoder().encode("two\n"));
    expect((await output).stdout).toBe("onetwo\n");
    await task.wait();
  });

  test("a terminal, its size, and a change of it", async () => {
    const { task, logPath } = await bench.create(shell("tty; stty size; read x; stty size; echo $x"), {
      terminal: true,
      openStdin: true,
      consoleSize: { height: 33, width: 101 },
    });
    const stream = await task.attach({ stdin: true, stdout: true, stderr: true });
    const output = collect(stream, true);
    await task.start();
    await eventually(() => readFileSync(logPath, "utf8").includes("33 101"));
    await task.resize(44, 132);
    await stream.write(new TextEncoder().encode("hello\r"));
    const { stdout } = await output;
    expect(stdout.split("\r\n")).toEqual(["/dev/pts/0", "33 101", "hello", "44 132", "hello", ""]);
    expect((await task.wait()).exitCode).toBe(0);
  });

  test("several attach at once, one of them does not read for a while", async () => {
    const { task } = await bench.create(shell("seq 1 400000"), { log: null });
    const fast = await task.attach(both);
    const slow = await task.attach(both);
    const quick = bytesOf(fast.output);
    await task.start();
    await Bun.sleep(100);
    const late = bytesOf(slow.output);
    const [a, b] = await Promise.all([quick, late]);
    const expected = Array.from({ length: 400000 }, (_, i) => `${i + 1}\n`).join("");
    expect(demultiplex(a).stdout === expected).toBe(true);
    expect(demultiplex(b).stdout === expected).toBe(true);
    await task.wait();
  });

  test("an attachment that is cut does not disturb", async () => {
    const { task, logPath } = await bench.create(shell("seq 1 200000"));
    const stream = await task.attach(both);
    await task.start();
    const reader = stream.output.getReader();
    await reader.read();
    stream.close();
    await task.wait();
    expect(logLines(logPath).length).toBe(200000);
  });

  test.each([
    [["nosuch"], 127, 'exec: "nosuch": executable file not found in $PATH'],
    [["/nosuch"], 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'],
    [["/etc"], 126, 'exec: "/etc": is a directory: permission denied'],
    [["/etc/passwd"], 126, 'exec: "/etc/passwd": permission denied'],
  ] as const)("%p does not start", async (args, exitCode, message) => {
    const { task } = await bench.create(dockerSpec([...args]));
    const error = await task.start().catch((thrown) => thrown);
    expect(error).toBeInstanceOf(StartError);
    expect(error).toMatchObject({ exitCode, message });
    expect((await task.wait()).exitCode).toBe(exitCode);
    expect(await task.status()).toBe("stopped");
    await task.delete();
  });

  test("too large an environment, in words", async () => {
    const env = [`PATH=/bin`, `BIG=${"x".repeat(200_000)}`];
    const { task } = await bench.create(dockerSpec(["true"], (spec) => Object.assign(spec.process!, { env })));
    const error = await task.start().catch((thrown) => thrown);
    expect(error.message).toBe("exec /bin/true: argument list too long");
    expect(error.exitCode).toBe(125);
  });

  test("an environment of 10,000 entries", async () => {
    const env = ["PATH=/bin", ...Array.from({ length: 10_000 }, (_, i) => `V${i}=${i}`)];
    const result = await bench.run(
      dockerSpec(["sh", "-c", "env | grep -c ^V"], (spec) => Object.assign(spec.process!, { env })),
    );
    expect(result.stdout).toBe("10000\n");
  });

  test("a script without its interpreter says so on stderr, as with Docker", async () => {
    const { lower } = bench;
    writeFileSync(join(lower, "bin/orphan"), "#!/no/interpreter\n", { mode: 0o755 });
    const { exitCode, stderr } = await bench.run(dockerSpec(["orphan"]));
    expect([exitCode, stderr]).toEqual([255, "exec /bin/orphan: no such file or directory\n"]);
  });

  test("user, groups, umask, working directory, home", async () => {
    const spec = dockerSpec(["sh", "-c", "id -u; id -g; id -G; umask; pwd; echo $HOME"]);
    Object.assign(spec.process!, {
      user: { uid: 1000, gid: 1000, additionalGids: [5, 77], umask: 0o27 },
      cwd: "/made/here",
    });
    const { stdout } = await bench.run(spec);
    expect(stdout.split("\n")).toEqual(["1000", "1000", "1000 5 77", "0027", "/made/here", "/home/user", ""]);
  });

  test("a tmpfs has the mode of the directory it hides, unless it is told one", async () => {
    mkdirSync(join(bench.lower, "hidden"), { mode: 0o710 });
    const modes = async (destination: string, options: string[]) => {
      const spec = dockerSpec(["stat", "-c", "%a", destination], (it) =>
        it.mounts!.push({ destination, type: "tmpfs", source: "tmpfs", options }),
      );
      return (await bench.run(spec)).stdout.trim();
    };
    expect(await modes("/hidden", ["nosuid"])).toBe("710");
    expect(await modes("/hidden", ["size=1m", "mode=700"])).toBe("700");
    expect(await modes("/not/there", ["nosuid"])).toBe("1777");
  });

  test("it begins in a directory that its user may not enter", async () => {
    const { lower } = bench;
    mkdirSync(join(lower, "private/inner"), { recursive: true, mode: 0o700 });
    const spec = dockerSpec(["sh", "-c", "pwd; ls . >/dev/null 2>&1 || echo closed"]);
    Object.assign(spec.process!, { user: { uid: 1000, gid: 1000 }, cwd: "/private/inner" });
    expect(await bench.run(spec)).toMatchObject({ exitCode: 0, stdout: "/private/inner\nclosed\n", stderr: "" });
  });

  test("exec: output, code, user, not started executables", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const process = {
      args: ["sh", "-c", "echo out; echo err >&2; id -u; exit 9"],
      cwd: "/",
      env: ["PATH=/bin"],
      user: { uid: 1000, gid: 1000 },
    };
    const exec = await task.exec({ id: "e1", process, openStdin: false });
    const output = collect(await exec.attach(both));
    await exec.start();
    expect(exec.pid).toBeGreaterThan(0);
    expect(await output).toEqual({ stdout: "out\n1000\n", stderr: "err\n" });
    expect((await exec.wait()).exitCode).toBe(9);
    const bad = await task.exec({ id: "e2", process: { ...process, args: ["nosuch"] }, openStdin: false });
    const end = collect(await bad.attach(both));
    expect(await bad.start().catch((thrown) => thrown)).toMatchObject({ exitCode: 127 });
    expect(await end).toEqual({ stdout: "", stderr: "" });
    await task.kill(9);
    await task.wait();
  });

  test("exec with stdin and with a terminal", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const base = { cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
    const cat = await task.exec({ id: "cat", process: { ...base, args: ["cat"] }, openStdin: true });
    const stream = await cat.attach({ stdin: true, stdout: true, stderr: true });
    const output = collect(stream);
    await cat.start();
    await stream.write(new TextEncoder().encode("through"));
    stream.closeStdin();
    expect((await output).stdout).toBe("through");
    expect((await cat.wait()).exitCode).toBe(0);
    const tty = await task.exec({
      id: "tty",
      process: { ...base, args: ["sh", "-c", "tty; stty size; ps -o pid,args | wc -l"], terminal: true },
      openStdin: true,
      consoleSize: { height: 20, width: 90 },
    });
    const screen = collect(await tty.attach({ stdin: true, stdout: true, stderr: true }), true);
    await tty.start();
    expect((await screen).stdout).toMatch(/^\/dev\/pts\/\d+\r\n20 90\r\n/);
    await task.kill(9);
    await task.wait();
  });

  test("a pause never meets an exec half made, for which its shim would wait", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "1000"]));
    await task.start();
    const process = { args: ["true"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
    for (let i = 0; i < 60; i++) {
      const made = task.exec({ id: `p${i}`, process, openStdin: false, early: true });
      for (let turns = i % 6; turns > 0; turns--) await Bun.sleep(0);
      await task.pause();
      // Its shim answers.
      expect(await task.status()).toBe("paused");
      await task.resume();
      await (await made).discard();
    }
    await task.pause();
    const late = task.exec({ id: "late", process, openStdin: false }).then((exec) => exec.start());
    late.catch(() => {});
    await task.kill(9);
    expect((await task.wait()).exitCode).toBe(137);
    // It ends with it, or was let go for the moment in which a frozen container is made to die.
    await late.catch((error) => expect(error).toBeInstanceOf(Error));
    await task.delete();
  });

  test("pause and resume, stats and pids", async () => {
    const { task } = await bench.create(dockerSpec(["sh", "-c", "while :; do :; done"]));
    await task.start();
    await task.pause();
    expect(await task.status()).toBe("paused");
    const before = (await task.stats()).cpu.usageNs;
    await Bun.sleep(30);
    expect((await task.stats()).cpu.usageNs).toBe(before);
    await task.resume();
    expect(await task.status()).toBe("running");
    expect(await task.pids()).toEqual([task.pid]);
    await task.kill(9);
    await task.wait();
  });

  test("a hostile image's links lead nowhere", async () => {
    const evil = makeBusybox(join(bench.root, "evil"));
    mkdirSync(join(bench.root, "victim"));
    symlinkSync(join(bench.root, "victim"), join(evil, "data"));
    symlinkSync("/nowhere/../../../../../../tmp/escaped", join(evil, "dangling"));
    writeFileSync(join(bench.root, "payload"), "payload");
    const spec = dockerSpec(["sh", "-c", `cat /data/file/x /dangling/payload`], (made) => {
      made.mounts!.push(
        { destination: "/data/file/x", type: "bind", source: join(bench.root, "payload"), options: ["rbind", "ro"] },
        {
          destination: "/dangling/payload",
          type: "bind",
          source: join(bench.root, "payload"),
          options: ["rbind", "ro"],
        },
      );
    });
    const base = join(bench.root, "evil-box");
    for (const name of ["upper", "work"]) mkdirSync(join(base, name), { recursive: true });
    const result = await bench.run(spec, {
      rootfs: { type: "overlay", lower: [evil], upper: join(base, "upper"), work: join(base, "work") },
    });
    expect([result.exitCode, result.stdout]).toEqual([0, "payloadpayload"]);
    expect(readdirSync(join(bench.root, "victim"))).toEqual([]);
  });

  test("proc on a link is refused", async () => {
    const evil = makeBusybox(join(bench.root, "evil-proc"));
    mkdirSync(join(evil, "elsewhere"));
    const { rmdirSync } = await import("node:fs");
    rmdirSync(join(evil, "proc"));
    symlinkSync("/elsewhere", join(evil, "proc"));
    const { task } = await bench.create(dockerSpec(["true"]), { rootfs: { type: "directory", path: evil } });
    const error = await task.start().catch((thrown) => thrown);
    expect(error.message).toContain('filesystem "proc" must be mounted on ordinary directory');
    expect(error.exitCode).toBe(125);
  });

  test("a directory bound onto a file, in Docker's words", async () => {
    const spec = dockerSpec(["true"], (made) => {
      made.mounts!.push({ destination: "/etc/passwd", type: "bind", source: bench.root, options: ["rbind"] });
    });
    const { task } = await bench.create(spec);
    const error = await task.start().catch((thrown) => thrown);
    expect(error.message).toContain("Are you trying to mount a directory onto a file (or vice-versa)?");
  });

  test("many layers with long names", async () => {
    const deep = join(bench.root, "l".repeat(150), "m".repeat(150));
    const lower = Array.from({ length: 130 }, (_, i) => join(deep, `${i}`));
    for (const [i, path] of lower.entries()) {
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, `from-${i}`), "");
    }
    const base = join(bench.root, "layered");
    for (const name of ["upper", "work"]) mkdirSync(join(base, name), { recursive: true });
    const rootfs = {
      type: "overlay" as const,
      lower: [...lower, bench.lower],
      upper: join(base, "upper"),
      work: join(base, "work"),
      volatile: true,
    };
    const result = await bench.run(shell("ls / | grep -c from-; echo kept > /file"), { rootfs });
    expect(result.stdout).toBe("130\n");
    // A volatile one can be mounted again.
    expect((await bench.run(shell("cat /file"), { rootfs })).stdout).toBe("kept\n");
  });

  test("a failing create leaves nothing", async () => {
    const spec = dockerSpec(["true"], (made) => made.linux!.namespaces!.push({ type: "uts" }));
    await expect(bench.create(spec)).rejects.toThrow("duplicated ns uts");
    const missing = dockerSpec(["true"], (made) => {
      made.linux!.namespaces = [{ type: "mount" }, { type: "network", path: "/no/such/ns" }];
    });
    await expect(bench.create(missing)).rejects.toThrow("no such file or directory");
    expect(readdirSync(testCgroupDirectory).filter((name) => name.startsWith(`t${process.pid}-`)).length).toBeLessThan(
      40,
    );
  });
});
