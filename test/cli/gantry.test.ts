import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

/** The gantry command against a real daemon of its own: what needs real processes and a real terminal. */
const MAIN = join(import.meta.dir, "../../packages/cli/main.ts");

describe.skipIf(!canRunContainers)("gantry", () => {
  let engine: TestEngine;
  const dir = mkdtempSync(join(tmpdir(), "gantry-cli-"));
  beforeAll(async () => {
    engine = await startEngine();
  }, 60_000);
  afterAll(async () => {
    await engine?.close();
    rmSync(dir, { recursive: true, force: true });
  }, 60_000);

  const command = (argv: string[]) => [process.execPath, MAIN, "-H", engine.host, ...argv];

  async function gantry(argv: string[], stdin: string | Uint8Array = "") {
    const child = Bun.spawn(command(argv), {
      stdin: new Blob([stdin as never]),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, DOCKER_CONFIG: dir },
    });
    const [out, err, code] = await Promise.all([
      new Response(child.stdout).arrayBuffer(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { code, bytes: Buffer.from(out), out: Buffer.from(out).toString(), err };
  }

  /** A command on a terminal: `expect` waits for text, `type` sends keys. */
  function onTerminal(argv: string[]) {
    let seen = "";
    let wake = () => {};
    const child = Bun.spawn(command(argv), {
      env: { ...process.env, DOCKER_CONFIG: dir, TERM: "xterm" },
      terminal: {
        cols: 100,
        rows: 30,
        data(_: unknown, data: Uint8Array) {
          seen += Buffer.from(data).toString();
          wake();
        },
      },
    });
    const terminal = child.terminal!;
    return {
      exited: child.exited,
      type: (text: string) => terminal.write(text),
      resize: (columns: number, rows: number) => terminal.resize(columns, rows),
      async expect(text: string) {
        const until = Date.now() + 40_000;
        while (!seen.includes(text)) {
          if (Date.now() > until) throw new Error(`not seen: ${JSON.stringify(text)} in ${JSON.stringify(seen)}`);
          await new Promise<void>((resolve) => {
            wake = resolve;
            setTimeout(resolve, 50);
          });
        }
        seen = seen.slice(seen.indexOf(text) + text.length);
      },
    };
  }

  test("run: streams apart, every kind of ending", async () => {
    expect(await gantry(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"])).toMatchObject({
      code: 7,
      out: "out\n",
      err: "err\n",
    });
    expect((await gantry(["run", "--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"])).code).toBe(137);
    expect((await gantry(["run", "--rm", "busybox", "no-such-command"])).code).toBe(127);
    expect((await gantry(["run", "--rm", "busybox", "/etc"])).code).toBe(126);
    expect((await gantry(["run", "--rm", "--network", "no-such-network", "busybox"])).code).toBe(125);
    expect((await gantry(["ps", "-aq"])).out).toBe("");
  }, 60_000);

  test("run: 30 MB through cat come back, the same", async () => {
    const sent = crypto.getRandomValues(new Uint8Array(65536));
    const all = Buffer.concat(Array.from({ length: 480 }, () => sent));
    const { code, bytes } = await gantry(["run", "--rm", "-i", "busybox", "cat"], all);
    expect(code).toBe(0);
    expect(bytes.equals(all)).toBe(true);
  }, 60_000);

  test("signals reach the container, and its status comes back", async () => {
    const child = Bun.spawn(
      command([
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.05; done",
      ]),
      { stdout: "pipe", stderr: "inherit" },
    );
    const reader = child.stdout.getReader();
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("ready\n");
    child.kill("SIGTERM");
    expect(Buffer.from((await reader.read()).value!).toString()).toBe("got\n");
    expect(await child.exited).toBe(9);
  }, 60_000);

  test("a terminal: raw, of the right size, followed as it changes, left by the detach keys, met again", async () => {
    const first = onTerminal(["run", "-it", "--name", "shell", "busybox", "sh"]);
    await first.expect("# ");
    first.type("stty size\n");
    await first.expect("30 100\r\n");
    first.resize(133, 44);
    await Bun.sleep(1000);
    first.type("stty size\n");
    await first.expect("44 133\r\n");
    first.type("\x10\x11");
    expect(await first.exited).toBe(0);
    expect((await gantry(["ps", "--filter", "name=shell", "--format", "{{.State}}"])).out).toBe("running\n");
    const second = onTerminal(["attach", "shell"]);
    await Bun.sleep(1000);
    second.type("echo a''gain; exit 5\n");
    await second.expect("again");
    expect(await second.exited).toBe(5);
    expect((await gantry(["rm", "shell"])).out).toBe("shell\n");
  }, 60_000);

  test("exec: status, streams, terminal", async () => {
    await gantry(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]);
    expect(
      await gantry(["exec", "-i", "-e", "A=1", "-w", "/tmp", "box", "sh", "-c", "echo $A; pwd; cat; exit 4"], "in\n"),
    ).toMatchObject({ code: 4, out: "1\n/tmp\nin\n" });
    const shell = onTerminal(["exec", "-it", "box", "sh"]);
    await shell.expect("# ");
    shell.type("tty; exit 3\n");
    await shell.expect("/dev/pts/");
    expect(await shell.exited).toBe(3);
    expect((await gantry(["exec", "box", "no-such-command"])).code).toBe(127);
  }, 60_000);

  test("cp both ways, diff, logs, inspect, commit", async () => {
    writeFileSync(join(dir, "file"), "content");
    expect((await gantry(["cp", join(dir, "file"), "box:/tmp/copied"])).code).toBe(0);
    expect((await gantry(["cp", "box:/tmp/copied", join(dir, "back")])).code).toBe(0);
    expect(readFileSync(join(dir, "back"), "utf8")).toBe("content");
    expect((await gantry(["diff", "box"])).out).toContain("A /tmp/copied\n");
    expect((await gantry(["inspect", "-f", "{{.State.Status}} {{.Config.Cmd}}", "box"])).out).toBe(
      "running [sleep 1000]\n",
    );
    const { out: id } = await gantry(["commit", "-c", 'CMD ["cat", "/tmp/copied"]', "box", "made:v1"]);
    expect(id).toStartWith("sha256:");
    expect((await gantry(["run", "--rm", "made:v1"])).out).toBe("content");
    await gantry(["run", "--name", "logged", "busybox", "sh", "-c", "echo 1; echo 2 >&2; echo 3"]);
    expect(await gantry(["logs", "--tail", "2", "logged"])).toMatchObject({ out: "3\n", err: "2\n" });
    expect((await gantry(["rm", "-f", "box", "logged"])).out).toBe("box\nlogged\n");
  }, 60_000);

  test("save and load keep the image", async () => {
    const archive = join(dir, "made.tar");
    const before = await gantry(["image", "inspect", "-f", "{{.Id}}", "made:v1"]);
    expect((await gantry(["save", "-o", archive, "made:v1"])).code).toBe(0);
    expect((await gantry(["rmi", "made:v1"])).out).toContain("Untagged: made:v1\n");
    expect((await gantry(["load", "-i", archive])).out).toContain("Loaded image: made:v1\n");
    expect((await gantry(["image", "inspect", "-f", "{{.Id}}", "made:v1"])).out).toBe(before.out);
  }, 60_000);

  test("load of what is no archive: the answer is a stream with the error, which the commands print", async () => {
    const answer = await fetch("http://d/v1.51/images/load?quiet=1", {
      method: "POST",
      body: "no archive",
      unix: engine.socket,
    } as RequestInit);
    expect(answer.status).toBe(200);
    const { error, errorDetail } = (await answer.json()) as { error: string; errorDetail: { message: string } };
    expect(error).not.toBe("");
    expect(errorDetail.message).toBe(error);
    const ours = await gantry(["load"], "no archive");
    expect([ours.code, ours.out]).toEqual([1, ""]);
    expect(ours.err).toContain(error);
    const theirs = await engine.dockerWith("no archive", "load");
    expect([theirs.code, theirs.stdout]).toEqual([1, ""]);
    expect(theirs.stderr).toContain(error);
  });

  test("build from a folder, with a .dockerignore", async () => {
    const context = mkdtempSync(join(dir, "context-"));
    writeFileSync(
      join(context, "Dockerfile"),
      'FROM busybox\nARG WHO\nCOPY . /files\nRUN echo "hello $WHO" > /hello\nCMD ["sh", "-c", "cat /hello; ls /files"]\n',
    );
    writeFileSync(join(context, ".dockerignore"), "secret*\n");
    writeFileSync(join(context, "secret.txt"), "x");
    writeFileSync(join(context, "kept.txt"), "x");
    const built = await gantry(["build", "-q", "--build-arg", "WHO=you", "-t", "built:1", context]);
    expect(built).toMatchObject({ code: 0, out: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/) });
    expect((await gantry(["run", "--rm", "built:1"])).out).toBe("hello you\nDockerfile\nkept.txt\n");
  }, 60_000);
});
