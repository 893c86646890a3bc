import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frame } from "@gantry/client";
import { type FakeEngine, type FakeRequest, fakeEngine, reply } from "@gantry/client/testing";

const MAIN = join(import.meta.dir, "main.ts");
const dir = mkdtempSync(join(tmpdir(), "gantry-cli-"));
let engine: FakeEngine;
let answer: (request: FakeRequest) => string | undefined = () => undefined;
/** What the container of the test writes, and how it ends. */
let container = { stdout: "", stderr: "", status: 0, echo: false };

beforeAll(async () => {
  engine = await fakeEngine((request) => {
    const given = answer(request);
    if (given !== undefined) return given;
    const path = decodeURIComponent(request.target.replace(/^\/v[\d.]+/, "").split("?")[0]!);
    if (path === "/containers/create") return reply(201, { Id: "c".repeat(64), Warnings: ["careful"] });
    if (path.endsWith("/start") && path.startsWith("/containers")) return reply(204);
    if (path.endsWith("/wait")) return reply(200, { StatusCode: container.status });
    if (path.endsWith("/exec")) return reply(201, { Id: "e1" });
    if (path.endsWith("/exec/e1/json")) return reply(200, { ID: "e1", Running: false, ExitCode: container.status });
    if (path.endsWith("/attach") || path.endsWith("/exec/e1/start")) {
      return (({ socket }: FakeRequest) => {
        socket.write("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n");
        socket.write(frame("stdout", Buffer.from(container.stdout)));
        socket.write(frame("stderr", Buffer.from(container.stderr)));
        if (!container.echo) return void socket.end();
        socket.on("data", (chunk: Buffer) => socket.write(frame("stdout", chunk)));
        socket.on("end", () => socket.end());
      }) as unknown as string;
    }
    return reply(404, { message: `page not found: ${path}` });
  });
});
afterAll(async () => {
  await engine.close();
  rmSync(dir, { recursive: true, force: true });
});

async function gantry(
  argv: string[],
  stdin: string | Uint8Array = "",
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([process.execPath, MAIN, "-H", engine.host, ...argv], {
    stdin: new Blob([stdin as never]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, DOCKER_CONFIG: dir, DOCKER_HOST: "", ...env },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

test("who asks for content trust is not served without", async () => {
  const before = engine.requests.length;
  const trusting = (...argv: string[]) => gantry(argv, "", { DOCKER_CONTENT_TRUST: "1" });
  for (const [argv, code] of [
    [["pull", "image"], 1],
    [["push", "image"], 1],
    [["build", "."], 1],
    [["create", "image"], 125],
    [["run", "image"], 125],
  ] as const) {
    const done = await trusting(...argv);
    expect([argv[0], done.code]).toEqual([argv[0], code]);
    expect(done.err).toContain("content trust is not supported");
  }
  expect((await gantry(["run", "--disable-content-trust=false", "image"])).code).toBe(125);
  expect(engine.requests.slice(before).filter(({ method }) => method === "POST")).toEqual([]);
  const digest = `image@sha256:${"0".repeat(64)}`;
  expect((await trusting("run", "--rm", digest)).err).not.toContain("content trust");
  expect((await trusting("run", "--rm", "--disable-content-trust", "image")).err).not.toContain("content trust");
  expect((await gantry(["run", "--rm", "image"], "", { DOCKER_CONTENT_TRUST: "false" })).err).not.toContain("trust");
});

describe("run", () => {
  test("keeps stdout and stderr apart and ends with the container's status", async () => {
    container = { stdout: "to stdout\n", stderr: "to stderr\n", status: 42, echo: false };
    expect(await gantry(["run", "--rm", "image", "cmd", "-x"])).toEqual({
      code: 42,
      out: "to stdout\n",
      err: "WARNING: careful\nto stderr\n",
    });
    const create = engine.requests.findLast(({ target }) => target.includes("/create"))!;
    expect(JSON.parse(create.body.toString())).toMatchObject({
      Image: "image",
      Cmd: ["cmd", "-x"],
      HostConfig: { AutoRemove: true },
    });
    const order = engine.requests
      .slice(engine.requests.indexOf(create))
      .map(({ target }) => target.split("/").pop()!.split("?")[0]);
    // Attach and wait stand before the start: no output and no exit can be missed.
    expect(order.indexOf("start")).toBeGreaterThan(order.indexOf("attach"));
    expect(order.indexOf("start")).toBeGreaterThan(order.indexOf("wait"));
  });
  test("sends stdin, then its end, and gets all of it back", async () => {
    container = { stdout: "", stderr: "", status: 0, echo: true };
    const sent = "0123456789abcdef".repeat(200_000);
    const { code, out } = await gantry(["run", "-i", "image", "cat"], sent);
    expect(code).toBe(0);
    expect(out.length).toBe(sent.length);
    expect(out === sent).toBe(true);
  });
  test("in the background prints the ID and waits for nothing", async () => {
    container = { stdout: "unseen", stderr: "", status: 9, echo: false };
    expect(await gantry(["run", "-d", "image"])).toEqual({
      code: 0,
      out: `${"c".repeat(64)}\n`,
      err: "WARNING: careful\n",
    });
  });
  test("with stdin alone gives the container's status, be stdin open still", async () => {
    container = { stdout: "", stderr: "", status: 7, echo: false };
    const child = Bun.spawn([process.execPath, MAIN, "-H", engine.host, "run", "-a", "stdin", "image"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    expect(await child.exited).toBe(7);
    expect(await new Response(child.stdout).text()).toBe("");
  });
  const failures: [message: string, status: number, code: number][] = [
    ['exec: "x": executable file not found in $PATH', 400, 127],
    ['exec: "/etc": is a directory', 400, 126],
    ['exec: "/etc/passwd": permission denied', 400, 126],
    ["something else", 500, 125],
  ];
  for (const [message, status, code] of failures) {
    test(`ends with ${code} where the engine says: ${message}`, async () => {
      answer = ({ target }) => (target.includes("/start") ? reply(status, { message }) : undefined);
      const result = await gantry(["run", "image", "x"]);
      answer = () => undefined;
      expect(result.code).toBe(code);
      expect(result.err).toContain(
        `gantry: Error response from daemon: ${message}\n\nRun 'gantry run --help' for more information\n`,
      );
    });
  }
  test("pulls an image that is missing, and says so", async () => {
    let pulled = false;
    answer = ({ target }) => {
      if (target.includes("/images/create")) {
        pulled = true;
        return reply(
          200,
          `{"status":"Pulling from library/nothere","id":"latest"}\n{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"aaa"}\n{"status":"Pull complete","progressDetail":{},"id":"aaa"}\n`,
        );
      }
      return target.includes("/containers/create") && !pulled
        ? reply(404, { message: "No such image: nothere:latest" })
        : undefined;
    };
    container = { stdout: "ran", stderr: "", status: 0, echo: false };
    const result = await gantry(["run", "nothere"]);
    answer = () => undefined;
    expect(result.out).toBe("ran");
    expect(result.err).toBe(
      "Unable to find image 'nothere:latest' locally\nlatest: Pulling from library/nothere\naaa: Pull complete\nWARNING: careful\n",
    );
  });
  test("refuses what is wrong before it asks the engine", async () => {
    const before = engine.requests.length;
    expect(await gantry(["run", "--nope", "image"])).toMatchObject({
      code: 125,
      err: expect.stringContaining("unknown flag: --nope\n\nUsage:  gantry run [OPTIONS] IMAGE"),
    });
    expect(await gantry(["run", "-p", "x", "image"])).toMatchObject({
      code: 125,
      err: expect.stringContaining("gantry: Invalid containerPort: x"),
    });
    expect(await gantry(["run"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("gantry: 'gantry run' requires at least 1 argument"),
    });
    expect(await gantry(["run", "-d", "-a", "stdout", "image"])).toMatchObject({ code: 1 });
    expect(engine.requests.length).toBe(before);
  });
});

describe("exec", () => {
  test("gives output and status", async () => {
    container = { stdout: "a", stderr: "b", status: 3, echo: false };
    expect(await gantry(["exec", "-e", "A=1", "-w", "/x", "c1", "cmd"])).toEqual({ code: 3, out: "a", err: "b" });
    const create = engine.requests.findLast(({ target }) => target.endsWith("/exec"))!;
    expect(JSON.parse(create.body.toString())).toMatchObject({ Cmd: ["cmd"], Env: ["A=1"], WorkingDir: "/x" });
  });
});

describe("the rest", () => {
  test("errors of several objects: each told, the others done", async () => {
    answer = ({ target }) =>
      target.includes("/bad/")
        ? reply(404, { message: "No such container: bad" })
        : target.includes("/stop")
          ? reply(204)
          : undefined;
    expect(await gantry(["stop", "a", "bad", "b"])).toEqual({
      code: 1,
      out: "a\nb\n",
      err: "Error response from daemon: No such container: bad\n",
    });
    answer = () => undefined;
  });
  test("a question ends with SIGINT as with a no, its line too", async () => {
    const child = Bun.spawn([process.execPath, MAIN, "-H", engine.host, "volume", "prune"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    let out = "";
    for await (const chunk of child.stdout) {
      out += Buffer.from(chunk);
      if (out.endsWith("[y/N] ")) child.kill("SIGINT");
    }
    expect([await child.exited, out.at(-1)]).toEqual([0, "\n"]);
    expect((await gantry(["volume", "prune"], "n\n")).code).toBe(0);
  });

  test("whoever speaks of TLS needs the certificates, over any socket", async () => {
    const missing = {
      code: 1,
      out: "",
      err: `Failed to initialize: unable to resolve docker endpoint: open ${dir}/ca.pem: no such file or directory\n`,
    };
    expect(await gantry(["--tlsverify=false", "version"])).toEqual(missing);
    expect(await gantry(["--tls", "ps"])).toEqual(missing);
  });

  test("unknown commands", async () => {
    expect(await gantry(["nope"])).toEqual({
      code: 1,
      out: "",
      err: "gantry: unknown command: gantry nope\n\nRun 'gantry --help' for more information\n",
    });
    expect(await gantry(["network", "nope"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("gantry: unknown command: gantry network nope"),
    });
    expect(await gantry(["constructor"])).toMatchObject({ code: 1 });
  });
  test("nobody listens", async () => {
    const child = Bun.spawnSync([process.execPath, MAIN, "-H", "unix:///nonexistent.sock", "ps"]);
    expect(child.exitCode).toBe(1);
    expect(child.stderr.toString()).toBe(
      "Cannot connect to the Docker daemon at unix:///nonexistent.sock. Is the docker daemon running?\n",
    );
  });
  test("credentials from config.json go along with a pull", async () => {
    writeFileSync(
      join(dir, "config.json"),
      JSON.stringify({ auths: { "reg.example": { auth: Buffer.from("me:sec:ret").toString("base64") } } }),
    );
    answer = ({ target }) => (target.includes("/images/create") ? reply(200, '{"status":"done"}\n') : undefined);
    const { code, out } = await gantry(["pull", "reg.example/app:1"]);
    answer = () => undefined;
    expect([code, out]).toEqual([0, "done\nreg.example/app:1\n"]);
    const header = engine.requests.findLast(({ target }) => target.includes("/images/create"))!.headers[
      "x-registry-auth"
    ]!;
    expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({
      serveraddress: "reg.example",
      username: "me",
      password: "sec:ret",
    });
    // No other registry sees them.
    answer = ({ target }) => (target.includes("/images/create") ? reply(200, '{"status":"done"}\n') : undefined);
    await gantry(["pull", "other.example/app:1"]);
    answer = () => undefined;
    expect(
      engine.requests.findLast(({ target }) => target.includes("/images/create"))!.headers["x-registry-auth"],
    ).toBeUndefined();
  });
  test("an error in a progress stream is the command's", async () => {
    answer = ({ target }) =>
      target.includes("/images/create")
        ? reply(200, '{"status":"Pulling"}\n{"errorDetail":{"message":"no space"},"error":"no space"}\n')
        : undefined;
    expect(await gantry(["pull", "x:1"])).toEqual({ code: 1, out: "Pulling\n", err: "no space\n" });
    answer = () => undefined;
  });
});

test("by the name of gantry-runtime it is the OCI runtime", () => {
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, MAIN, "--version"], { argv0: "gantry-runtime" });
  expect([exitCode, stdout.toString()]).toEqual([0, "gantry-runtime version 0.1.0\nspec: 1.2.1\n"]);
});
