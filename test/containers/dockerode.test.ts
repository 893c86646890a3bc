import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { PassThrough } from "node:stream";
import Docker from "dockerode";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

/** What a stream says until it ends. */
async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = "";
  for await (const chunk of stream) all += chunk;
  return all;
}

describe.skipIf(!canRunContainers)("dockerode", () => {
  let engine: TestEngine;
  let docker: Docker;
  beforeAll(async () => {
    engine = await startEngine();
    docker = new Docker({ socketPath: engine.socket });
  });
  afterAll(() => engine?.close());

  test("ping, version, info, df", async () => {
    expect(String(await docker.ping())).toBe("OK");
    expect((await docker.version()).ApiVersion).toBe("1.55");
    expect(await docker.info()).toMatchObject({ Containers: 0, Driver: "overlay2", OSType: "linux" });
    expect((await docker.df()) as object).toBeDefined();
  });

  test("create, attach, start, wait, logs, remove", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      name: "node",
      Cmd: ["sh", "-c", "echo out; echo err >&2; exit 6"],
      Labels: { by: "dockerode" },
    });
    const stream = await container.attach({ stream: true, stdout: true, stderr: true });
    const out = new PassThrough();
    const err = new PassThrough();
    container.modem.demuxStream(stream, out, err);
    stream.on("end", () => {
      out.end();
      err.end();
    });
    await container.start();
    expect(await container.wait()).toMatchObject({ StatusCode: 6 });
    expect([await text(out), await text(err)]).toEqual(["out\n", "err\n"]);
    expect((await container.logs({ stdout: true, stderr: false })).toString()).toContain("out\n");
    expect(
      (await docker.listContainers({ all: true, filters: { label: ["by=dockerode"] } })).map(({ Names }) => Names),
    ).toEqual([["/node"]]);
    expect(await docker.listContainers({ all: true, filters: { label: ["by=else"] } })).toEqual([]);
    await container.remove();
    await expect(container.inspect()).rejects.toMatchObject({
      statusCode: 404,
      json: { message: "No such container: " + container.id },
    });
  });

  test("exec with stdin over a hijacked connection", async () => {
    const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep", "1000"] });
    await container.start();
    const exec = await container.exec({
      Cmd: ["sh", "-c", "read x; echo got $x"],
      AttachStdin: true,
      AttachStdout: true,
    });
    const stream = await exec.start({ hijack: true, stdin: true });
    stream.write("this\n");
    const out = new PassThrough();
    docker.modem.demuxStream(stream, out, out);
    stream.on("end", () => out.end());
    expect(await text(out)).toBe("got this\n");
    expect(await exec.inspect()).toMatchObject({ Running: false, ExitCode: 0 });
    await container.remove({ force: true });
  });

  test("a terminal, resized", async () => {
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["sh", "-c", "read x; stty size"],
      Tty: true,
      OpenStdin: true,
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, hijack: true });
    await container.start();
    await container.resize({ h: 40, w: 120 });
    stream.write("go\n");
    let seen = "";
    for await (const chunk of stream) seen += chunk;
    expect(seen).toContain("40 120");
    await container.remove({ force: true });
  });

  test("archives, volumes, networks, events", async () => {
    const events = await docker.getEvents({ filters: { type: ["volume"] } });
    const first = new Promise<string>((resolve) => events.once("data", (chunk) => resolve(String(chunk))));
    const volume = await docker.createVolume({ Name: "from-node", Labels: { a: "b" } });
    expect(JSON.parse(await first)).toMatchObject({ Type: "volume", Action: "create", Actor: { ID: "from-node" } });
    (events as unknown as { destroy(): void }).destroy();
    const container = await docker.createContainer({
      Image: "busybox",
      Cmd: ["true"],
      HostConfig: { Binds: ["from-node:/v"] },
    });
    const tar = await container.getArchive({ path: "/etc/passwd" });
    expect(await text(tar)).toContain("root:x:0:0");
    await expect(docker.getVolume("from-node").remove()).rejects.toMatchObject({ statusCode: 409 });
    await container.remove();
    await docker.getVolume("from-node").remove();
    void volume;
    const network = await docker.createNetwork({ Name: "from-node" });
    expect((await docker.listNetworks({ filters: { name: ["from-node"] } })).length).toBe(1);
    await network.remove();
  });
});
