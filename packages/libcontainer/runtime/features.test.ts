import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OciMount, RuntimeSpec } from "@gantry/spec";
import { mount, umount } from "@gantry/sys";
import type { LogTarget } from "../contract.ts";
import { Bench, canRun, dockerSpec, eventually, logLines } from "../testing.ts";

const MS_BIND = 4096;

const shell = (script: string, change?: (spec: RuntimeSpec) => void) => dockerSpec(["sh", "-c", script], change);

describe.skipIf(!canRun)("what a spec can ask for", () => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench();
  });
  afterAll(() => bench.close());

  const withMounts = (script: string, ...mounts: OciMount[]) => shell(script, (spec) => spec.mounts!.push(...mounts));
  const directory = (name: string) => {
    const path = join(bench.root, name);
    mkdirSync(path, { recursive: true });
    return path;
  };

  test("a user namespace: root inside is nobody outside", async () => {
    const base = directory("userns");
    for (const name of ["upper", "work"]) {
      mkdirSync(join(base, name));
      chownSync(join(base, name), 100_000, 100_000);
    }
    const spec = shell(
      "id -u; cat /proc/self/uid_map; touch /made; mknod /tmp/x c 1 3 2>/dev/null || echo no; echo >/dev/null && echo yes",
      (made) => {
        made.linux!.namespaces!.push({ type: "user" });
        made.linux!.uidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
        made.linux!.gidMappings = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
      },
    );
    chmodSync(bench.root, 0o755);
    const { stdout, stderr, exitCode } = await bench.run(spec, {
      rootfs: { type: "overlay", lower: [bench.lower], upper: join(base, "upper"), work: join(base, "work") },
    });
    expect([stderr, exitCode]).toEqual(["", 0]);
    expect(stdout.split("\n").map((line) => line.trim().replace(/\s+/g, " "))).toEqual([
      "0",
      "0 100000 65536",
      "no",
      "yes",
      "",
    ]);
    expect(statSync(join(base, "upper/made")).uid).toBe(100_000);
  });

  test("a time namespace's offsets", async () => {
    const spec = shell("cat /proc/uptime", (made) => {
      made.linux!.namespaces!.push({ type: "time" });
      made.linux!.timeOffsets = { boottime: { secs: 5_000_000 } };
    });
    expect(Number.parseFloat((await bench.run(spec)).stdout)).toBeGreaterThan(5_000_000);
  });

  test("namespaces of another container, by path; exec goes there too", async () => {
    const first = await bench.create(dockerSpec(["sleep", "100"]));
    await first.task.start();
    const of = (name: string) => `/proc/${first.task.pid}/ns/${name}`;
    const spec = shell(
      "readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; ps -o args | grep -c 'sleep 100'",
      (made) => {
        made.linux!.namespaces = [
          { type: "mount" },
          { type: "uts" },
          { type: "network", path: of("net") },
          { type: "ipc", path: of("ipc") },
          { type: "pid", path: of("pid") },
        ];
      },
    );
    const { stdout } = await bench.run(spec);
    const { readlinkSync } = await import("node:fs");
    const [net, ipc, seen] = stdout.split("\n");
    expect([net, ipc]).toEqual([readlinkSync(of("net")), readlinkSync(of("ipc"))]);
    expect(Number(seen)).toBeGreaterThanOrEqual(1);
    expect(await first.task.status()).toBe("running");
    await first.task.kill(9);
    await first.task.wait();
  });

  test("in the host's pid namespace nothing stays behind", async () => {
    const spec = shell("sleep 1000 & echo $!", (made) => {
      made.linux!.namespaces = made.linux!.namespaces!.filter((one) => one.type !== "pid");
    });
    const { task } = await bench.create(spec);
    await task.start();
    await task.wait();
    // Killed at the latest now; dead once the kernel has come to it.
    await eventually(async () => (await task.pids()).length === 0);
    await task.delete();
  });

  test("bind mounts: files, read-only, and recursively so", async () => {
    const source = directory("bind");
    const below = directory("bind/below");
    writeFileSync(join(source, "file"), "content");
    mount("tmpfs", below, "tmpfs", 0);
    try {
      const script = `cat /single; (echo x >/ro/new) 2>/dev/null || echo ro; (echo x >/ro/below/new) 2>/dev/null && echo below;
        (echo x >/rro/below/new) 2>/dev/null || echo rro`;
      const { stdout } = await bench.run(
        withMounts(
          script,
          { destination: "/single", type: "bind", source: join(source, "file"), options: ["bind", "ro"] },
          { destination: "/ro", type: "bind", source, options: ["rbind", "ro", "rprivate"] },
          { destination: "/rro", type: "bind", source, options: ["rbind", "ro", "rro", "rprivate"] },
        ),
      );
      expect(stdout.split(/\s+/).filter(Boolean)).toEqual(["contentro", "below", "rro"]);
    } finally {
      umount(below);
    }
  });

  test("an id-mapped mount shows another owner", async () => {
    const source = directory("idmapped");
    writeFileSync(join(source, "file"), "");
    chownSync(join(source, "file"), 5000, 5000);
    const one = [{ containerID: 5000, hostID: 7000, size: 1 }];
    const { stdout, exitCode, stderr } = await bench.run(
      withMounts("stat -c %u:%g /mapped/file", {
        destination: "/mapped",
        type: "bind",
        source,
        options: ["bind", "idmap"],
        uidMappings: one,
        gidMappings: one,
      }),
    );
    expect([stdout, stderr, exitCode]).toEqual(["7000:7000\n", "", 0]);
  });

  test("propagation: a slave sees the host's later mounts, a private one does not", async () => {
    const shared = directory("shared");
    mount(shared, shared, "", MS_BIND);
    mount("", shared, "", 1 << 20);
    mkdirSync(join(shared, "late"));
    try {
      const { task, logPath } = await bench.create(
        withMounts(
          "while [ ! -e /slave/late/up ]; do usleep 5000; done; ls /private/late | wc -l",
          { destination: "/slave", type: "bind", source: shared, options: ["rbind", "rslave"] },
          { destination: "/private", type: "bind", source: shared, options: ["rbind", "rprivate"] },
        ),
      );
      await task.start();
      await Bun.sleep(30);
      mount("tmpfs", join(shared, "late"), "tmpfs", 0);
      writeFileSync(join(shared, "late/up"), "");
      expect((await task.wait()).exitCode).toBe(0);
      expect(logLines(logPath).map((line) => line.log)).toEqual(["0\n"]);
      umount(join(shared, "late"));
    } finally {
      umount(shared, 2);
    }
  });

  test("tmpfs: size, mode, copy-up, read-only with something mounted inside", async () => {
    const { stdout } = await bench.run(
      withMounts(
        "stat -c %a /t; cat /etc/passwd | wc -l; stat -f -c %b /t; (echo >/frozen/x) 2>/dev/null || echo frozen; ls /frozen",
        { destination: "/t", type: "tmpfs", source: "tmpfs", options: ["size=1m", "mode=1770"] },
        { destination: "/etc", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"] },
        { destination: "/frozen", type: "tmpfs", source: "tmpfs", options: ["ro"] },
        { destination: "/frozen/in", type: "tmpfs", source: "tmpfs", options: [] },
      ),
    );
    expect(stdout.split("\n")).toEqual(["1770", "2", "256", "frozen", "in", ""]);
  });

  test("a read-only root", async () => {
    const { stdout } = await bench.run(
      shell("touch /x 2>/dev/null || echo ro; touch /dev/shm/y && echo rw", (made) => {
        made.root = { path: "", readonly: true };
      }),
    );
    expect(stdout).toBe("ro\nrw\n");
  });

  test("rlimits, sysctls, no_new_privs, ambient capabilities", async () => {
    const spec = shell(
      "ulimit -n; ulimit -c; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; grep -E 'NoNewPrivs|CapAmb|CapEff' /proc/self/status",
      (made) => {
        Object.assign(made.process!, {
          user: { uid: 1000, gid: 1000 },
          noNewPrivileges: true,
          rlimits: [
            { type: "RLIMIT_NOFILE", soft: 333, hard: 444 },
            { type: "RLIMIT_CORE", soft: 0, hard: 0 },
          ],
          capabilities: {
            bounding: ["CAP_NET_RAW"],
            effective: ["CAP_NET_RAW"],
            permitted: ["CAP_NET_RAW"],
            inheritable: ["CAP_NET_RAW"],
            ambient: ["CAP_NET_RAW"],
          },
        });
        made.linux!.sysctl = { "net.ipv4.ip_unprivileged_port_start": "77" };
      },
    );
    const { stdout } = await bench.run(spec);
    expect(stdout.split("\n").map((line) => line.replace(/\s+/g, " "))).toEqual([
      "333",
      "0",
      "77",
      "CapEff: 0000000000002000",
      "CapAmb: 0000000000002000",
      "NoNewPrivs: 1",
      "",
    ]);
  });

  test("the out-of-memory killer is told of", async () => {
    const spec = shell("x=; while :; do x=$x$x$(head -c 1000000 /dev/zero | tr '\\0' x); done", (made) => {
      made.linux!.resources!.memory = { limit: 16 << 20, swap: 16 << 20 };
    });
    const { status } = await bench.run(spec);
    expect(status).toMatchObject({ exitCode: 137, oomKilled: true });
  });

  test("hooks of all stages, in order, with the state on stdin", async () => {
    const file = join(bench.root, "hooks");
    writeFileSync(file, "");
    const hook = (name: string) => [
      {
        path: "/bin/sh",
        args: ["sh", "-c", `echo ${name} $(cat) >> ${file}`],
        timeout: 50,
        env: ["PATH=/usr/bin:/bin"],
      },
    ];
    const inside = [
      { path: "/bin/sh", args: ["sh", "-c", "echo startContainer $(cat) >/from-hook"], env: ["PATH=/bin"] },
    ];
    const spec = shell("cut -d: -f1 /from-hook", (made) => {
      made.annotations = { key: "value" };
      made.hooks = {
        prestart: hook("prestart"),
        createRuntime: hook("createRuntime"),
        createContainer: hook("createContainer"),
        startContainer: inside,
        poststart: hook("poststart"),
        poststop: hook("poststop"),
      };
    });
    const { stdout, box } = await bench.run(spec);
    expect(stdout).toBe('startContainer {"ociVersion"\n');
    const lines = readFileSync(file, "utf8").trim().split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual([
      "prestart",
      "createRuntime",
      "createContainer",
      "poststart",
      "poststop",
    ]);
    expect(lines[0]).toContain(`"id":"${box.task.id}"`);
  });

  test("a failing hook fails the start", async () => {
    const spec = shell("true", (made) => {
      made.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo bad luck; exit 3"] }] };
    });
    const { task } = await bench.create(spec);
    const error = await task.start().catch((thrown) => thrown);
    expect(error.message).toBe("error running hook: exit status 3, path: /bin/sh, output: bad luck");
    expect((await task.wait()).exitCode).toBe(125);
  });

  test("a hook that takes too long", async () => {
    const spec = shell("true", (made) => {
      made.hooks = { prestart: [{ path: "/bin/sleep", args: ["sleep", "30"], timeout: 1 }] };
    });
    const { task } = await bench.create(spec);
    const error = await task.start().catch((thrown) => thrown);
    expect(error.message).toContain("timeout of 1s exceeded");
  });

  test("an exec that leaves a process behind with its output open ends all the same", async () => {
    const { task } = await bench.create(dockerSpec(["sleep", "100"]));
    await task.start();
    const exec = await task.exec({
      id: "bg",
      process: {
        args: ["sh", "-c", "sleep 50 & echo started"],
        cwd: "/",
        env: ["PATH=/bin"],
        user: { uid: 0, gid: 0 },
      },
      openStdin: false,
    });
    const begin = performance.now();
    await exec.start();
    expect((await exec.wait()).exitCode).toBe(0);
    expect(performance.now() - begin).toBeLessThan(30_000);
    await task.kill(9);
    await task.wait();
  });

  const logged = async (script: string, log: Partial<LogTarget> = {}) => {
    const path = join(bench.root, `log-${Math.random()}`);
    await bench.run(shell(script), { log: { path, maxSize: 0, maxFile: 1, ...log } });
    return path;
  };

  test("log: bytes that are no UTF-8, control characters, long lines in parts, attributes", async () => {
    const path = await logged(
      `printf 'a\\377b\\n\\001\\t\\r"\\\\<>&\\n\\342\\200\\250 \\303\\244\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo`,
      { attrs: '{"tag":"t"}' },
    );
    const raw = readFileSync(path, "utf8").split("\n");
    expect(raw[0]).toStartWith(String.raw`{"log":"a\ufffdb\n","stream":"stdout","attrs":{"tag":"t"},"time":"20`);
    expect(raw[1]).toStartWith(String.raw`{"log":"\u0001\u0009\r\"\\\u003c\u003e\u0026\n",`);
    expect(raw[2]).toStartWith('{"log":"\\u2028 ä\\n",');
    const lines = logLines(path);
    expect(lines.slice(3).map((one) => one.log.length)).toEqual([16384, 16384, 7233]);
    expect(lines.slice(3).map((one) => one.log.endsWith("\n"))).toEqual([false, false, true]);
    expect(new Set(lines.slice(3).map((one) => one.time)).size).toBe(1);
  });

  test("log rotation keeps maxFile files, none lost in between", async () => {
    const path = await logged("seq 1 2000", { maxSize: 40_000, maxFile: 3 });
    const all = [`${path}.2`, `${path}.1`, path].flatMap((file) => logLines(file)).map((one) => Number(one.log));
    expect(all.at(-1)).toBe(2000);
    expect(all).toEqual(Array.from({ length: all.length }, (_, i) => 2000 - all.length + 1 + i));
    for (const file of [`${path}.2`, `${path}.1`]) {
      expect(statSync(file).size).toBeGreaterThanOrEqual(40_000);
      expect(statSync(file).size).toBeLessThan(40_200);
    }
  });

  test("log rotation moves compressed files too, and drops the oldest of either kind", async () => {
    const { mkdirSync, readdirSync, writeFileSync } = await import("node:fs");
    const directory = join(bench.root, `log-${Math.random()}`);
    mkdirSync(directory);
    const path = join(directory, "log");
    // Slot 1 as a daemon leaves it that died between making the compressed file and removing the plain one.
    for (const name of ["1", "1.gz", "2.gz", "3.gz", "4"]) writeFileSync(`${path}.${name}`, name);
    writeFileSync(`${path}.gz.tmp`, "");
    await bench.run(shell("seq 1 8"), { log: { path, maxSize: 500, maxFile: 5 } });
    expect(readdirSync(directory).sort()).toEqual(["log", "log.1", "log.2", "log.3.gz", "log.4.gz", "log.gz.tmp"]);
    expect(["log.2", "log.3.gz", "log.4.gz"].map((name) => readFileSync(join(directory, name), "utf8"))).toEqual([
      "1",
      "2.gz",
      "3.gz",
    ]);
    expect([`${path}.1`, path].flatMap((file) => logLines(file)).map((one) => Number(one.log))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  });

  test("log rotation is put off while someone else has the log's lock", async () => {
    const { closeSync, existsSync, mkdirSync, openSync } = await import("node:fs");
    const { flock } = await import("@gantry/sys");
    const directory = join(bench.root, `log-${Math.random()}`);
    mkdirSync(directory);
    const path = join(directory, "log");
    const lock = openSync(directory, "r");
    try {
      flock(lock, 2);
      await bench.run(shell("seq 1 500"), { log: { path, maxSize: 600, maxFile: 5 } });
    } finally {
      closeSync(lock);
    }
    expect(existsSync(`${path}.1`)).toBe(false);
    expect(logLines(path).length).toBe(500);
    await bench.run(shell("seq 501 505"), { log: { path, maxSize: 600, maxFile: 5 } });
    expect([logLines(`${path}.1`).length, logLines(path).length]).toEqual([500, 5]);
  });

  test("log opened anew", async () => {
    const { task, logPath } = await bench.create(shell("echo one; read x; echo two"), {
      openStdin: true,
      stdinOnce: true,
    });
    const stdin = await task.attach({ stdin: true, stdout: true, stderr: true });
    const reader = stdin.output.getReader();
    await task.start();
    await reader.read();
    const { renameSync } = await import("node:fs");
    await eventually(() => logLines(logPath).length === 1);
    renameSync(logPath, `${logPath}.moved`);
    await task.reopenLog();
    await stdin.write(new TextEncoder().encode("go\n"));
    await task.wait();
    expect([logLines(`${logPath}.moved`).length, logLines(logPath).map((one) => one.log)]).toEqual([1, ["two\n"]]);
  });
});
