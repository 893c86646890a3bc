import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("the daemon", () => {
  let engine: TestEngine;
  let dir = "";
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  beforeAll(async () => {
    dir = (await Bun.$`mktemp -d`.text()).trim();
    const sh = async (script: string) => Bun.$`sh -c ${script}`.cwd(dir).quiet();
    await sh(
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -out ca.pem -days 2 -subj /CN=ca 2>&1",
    );
    for (const name of ["server", "client"]) {
      await sh(
        `openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ${name}-key.pem -out ${name}.csr -subj /CN=${name} 2>&1`,
      );
      await sh(
        `printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > ext; openssl x509 -req -in ${name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out ${name}.pem -days 2 -extfile ext 2>&1`,
      );
    }
    engine = await startEngine({
      args: [
        "-H",
        `tcp://127.0.0.1:${port}`,
        "--tlsverify",
        "--tlscacert",
        `${dir}/ca.pem`,
        "--tlscert",
        `${dir}/server.pem`,
        "--tlskey",
        `${dir}/server-key.pem`,
      ],
    });
  });
  afterAll(async () => {
    await engine?.close();
    await Bun.$`rm -rf ${dir}`.quiet();
  });

  test("TLS: with a client certificate everything works, hijack too; without one nothing", async () => {
    const tls = [
      "--tlsverify",
      "--tlscacert",
      `${dir}/ca.pem`,
      "--tlscert",
      `${dir}/client.pem`,
      "--tlskey",
      `${dir}/client-key.pem`,
    ];
    const docker = async (stdin: string, ...args: string[]) => {
      const child = Bun.spawn(["docker", "-H", `tcp://127.0.0.1:${port}`, ...args], {
        stdin: new Blob([stdin]),
        stdout: "pipe",
        stderr: "pipe",
      });
      const [stdout, stderr] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ]);
      return { code: await child.exited, stdout, stderr };
    };
    expect(await docker("x".repeat(500_000), ...tls, "run", "--rm", "-i", "busybox", "wc", "-c")).toMatchObject({
      code: 0,
      stdout: "500000\n",
    });
    expect((await docker("", "--tls", "--tlscacert", `${dir}/ca.pem`, "version")).code).not.toBe(0);
    expect((await docker("", "version")).code).not.toBe(0);
  });

  test("attach over a WebSocket", async () => {
    const { body } = await engine.api("POST", "/containers/create", {
      Image: "busybox",
      Cmd: ["sh", "-c", "read x; echo got $x"],
      OpenStdin: true,
      StdinOnce: true,
    });
    const socket = connect({ path: engine.socket });
    socket.write(
      `GET /v1.45/containers/${body.Id}/attach/ws?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    let seen = "";
    const ended = new Promise<void>((resolve) => socket.on("end", resolve));
    socket.on("data", (chunk) => {
      seen += chunk.toString("latin1");
    });
    await engine.api("POST", `/containers/${body.Id}/start`);
    const message = Buffer.from("this\n");
    const mask = [1, 2, 3, 4];
    socket.write(
      Buffer.from([0x82, 0x80 | message.length, ...mask, ...message.map((byte, i) => byte ^ (mask[i & 3] as number))]),
    );
    await ended;
    expect(seen).toContain("HTTP/1.1 101 UPGRADED\r\n");
    expect(seen).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    expect(seen).toContain("got this\n");
    await engine.docker("rm", body.Id);
  });

  test("versions, unknown routes and methods", async () => {
    expect((await engine.api("HEAD", "/_ping")).headers).toMatchObject({
      "api-version": "1.55",
      ostype: "linux",
      "builder-version": expect.any(String),
    });
    expect((await engine.api("GET", "/v1.24/version")).body.MinAPIVersion).toBe("1.24");
    expect(await engine.api("GET", "/v1.23/version")).toMatchObject({ status: 400 });
    expect(await engine.api("GET", "/nope")).toMatchObject({ status: 404, body: { message: "page not found" } });
    expect(await engine.api("PATCH", "/version")).toMatchObject({ status: 404 });
    expect(await engine.api("GET", "/containers/json?filters={")).toMatchObject({
      status: 400,
      body: { message: "invalid filter" },
    });
    expect(await engine.api("GET", "/containers/json?limit=x")).toMatchObject({ status: 400 });
  });

  test("SIGHUP takes daemon.json over, an invalid one changes nothing", async () => {
    const path = engine.command[engine.command.indexOf("--config-file") + 1] as string;
    const before = await Bun.file(path).json();
    const pidfile = engine.command[engine.command.indexOf("--pidfile") + 1] as string;
    const reload = async (text: string, line: string) => {
      await Bun.write(path, text);
      const seen = engine.log().length;
      process.kill(Number(await Bun.file(pidfile).text()), "SIGHUP");
      while (!engine.log().slice(seen).includes(line)) await Bun.sleep(5);
    };
    const since = Date.now() / 1000;
    const changed = { ...before, labels: ["a=b"], debug: true, "registry-mirrors": ["https://m.example"], mtu: 1400 };
    await reload(JSON.stringify(changed), "Reloaded configuration");
    expect(engine.log()).toContain(`reloading from: ${path}`);
    expect((await engine.api("GET", "/info")).body).toMatchObject({
      Labels: ["a=b"],
      Debug: true,
      RegistryConfig: { Mirrors: ["https://m.example"] },
    });
    const wrong: [string, string][] = [
      ['{"labels": ["c=d"', "unable to configure the daemon with file"],
      ['{"labels": ["c=d"], "no-such": 1}', "don't match any configuration option: no-such"],
      ['{"labels": ["c=d"], "hosts": ["unix:///x"]}', "specified both as a flag and in the configuration file"],
      ['{"labels": ["c=d"], "runtimes": {"r": {"path": "/no/such"}}}', "executable file not found"],
    ];
    for (const [text, line] of wrong) await reload(text, line);
    expect((await engine.api("GET", "/info")).body).toMatchObject({ Labels: ["a=b"], Debug: true });
    await reload(JSON.stringify({ ...before, labels: [], debug: false, "registry-mirrors": [] }), "Reloaded");
    expect((await engine.api("GET", "/info")).body).toMatchObject({ Labels: [], Debug: false });
    const events = await engine.docker(
      ...["events", "--since", String(since), "--until", String(Date.now() / 1000 + 0.01)],
      ...["--filter", "type=daemon", "--format", "{{.Action}} {{.Actor.Attributes.labels}}"],
    );
    expect(events.stdout).toBe('reload ["a=b"]\nreload []\n');
  });

  test("a second daemon on the same files is refused", async () => {
    const second = Bun.spawn(engine.command, { stdout: "ignore", stderr: "pipe" });
    expect(await second.exited).toBe(1);
    expect(await new Response(second.stderr).text()).toContain("is still running");
    expect((await engine.api("GET", "/_ping")).status).toBe(200);
  });
});
