import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("hostile input", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine?.close());

  const create = (body: object, name = "") =>
    engine.api("POST", `/containers/create${name === "" ? "" : `?name=${encodeURIComponent(name)}`}`, body);

  test("each is refused with Docker's status and words, and leaves nothing behind", async () => {
    const image = { Image: "busybox", Cmd: ["true"] };
    const cases: [object, number, string, string?][] = [
      [{ ...image, Image: "nosuch" }, 404, "No such image: nosuch:latest"],
      [image, 400, "Invalid container name (in valid), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", "in valid"],
      [image, 400, "Invalid container name (../x), only", "../x"],
      [{ Image: "busybox", WorkingDir: "rel", Cmd: ["true"] }, 400, "the working directory 'rel' is invalid"],
      [{ ...image, Env: ["=x"] }, 400, "invalid environment variable: =x"],
      [{ ...image, StopSignal: "NOPE" }, 400, "invalid signal: NOPE"],
      [{ ...image, HostConfig: { Memory: 1024 } }, 400, "Minimum memory limit allowed is 6MB"],
      [{ ...image, HostConfig: { CapAdd: ["NOPE"] } }, 400, 'invalid CapAdd: unknown capability: "CAP_NOPE"'],
      [
        { ...image, HostConfig: { Binds: ["relative/path:/x"] } },
        400,
        "includes invalid characters for a local volume name",
      ],
      [{ ...image, HostConfig: { Binds: ["/tmp:rel"] } }, 400, "mount path must be absolute"],
      [{ ...image, HostConfig: { Binds: ["/tmp:/x", "/var:/x"] } }, 400, "Duplicate mount point: /x"],
      [{ ...image, HostConfig: { Binds: ["/tmp:/"] } }, 400, "destination can't be '/'"],
      [
        { ...image, HostConfig: { Mounts: [{ Type: "bind", Source: "/no/such/dir", Target: "/x" }] } },
        400,
        "bind source path does not exist: /no/such/dir",
      ],
      [{ ...image, HostConfig: { RestartPolicy: { Name: "sometimes" } } }, 400, "unknown policy 'sometimes'"],
      [{ ...image, HostConfig: { Runtime: "nope" } }, 400, "unknown or invalid runtime name: nope"],
      [{ ...image, HostConfig: { SecurityOpt: ["seccomp={"] } }, 400, "Decoding seccomp profile failed"],
      [{ ...image, HostConfig: { Sysctls: { "kernel.panic": "1" } } }, 400, "sysctl 'kernel.panic' is not allowed"],
      [{ ...image, HostConfig: { LogConfig: { Type: "fluentbit" } } }, 400, 'plugin "fluentbit" not found'],
      [{ ...image, HostConfig: { PortBindings: { "99999/tcp": [{}] } } }, 400, "invalid port specification"],
      [{ Image: "busybox", Entrypoint: [""], Cmd: [] }, 400, "no command specified"],
      [
        { ...image, Tty: "yes" },
        400,
        "json: cannot unmarshal string into Go struct field CreateRequest.Tty of type bool",
      ],
      [{ ...image, Cmd: ["a\0b"] }, 400, "NUL"],
      [{ ...image, HostConfig: { Runtime: "toString" } }, 400, "unknown or invalid runtime name: toString"],
    ];
    for (const [body, status, message, name] of cases) {
      const answer = await create(body, name);
      expect([body, answer.status, answer.body.message]).toEqual([body, status, expect.stringContaining(message)]);
    }
    expect((await engine.api("GET", "/containers/json?all=1")).body).toEqual([]);
    expect(readdirSync(`${engine.dataRoot}/containers`)).toEqual([]);
    expect((await engine.api("GET", "/volumes")).body.Volumes).toEqual([]);
  });

  test("10,000 environment entries work", async () => {
    const env = Array.from({ length: 10_000 }, (_, i) => `VARIABLE_${i}=value ${i}`);
    const { body } = await create({
      Image: "busybox",
      Cmd: ["sh", "-c", "env | grep -c ^VARIABLE_; echo $VARIABLE_9999"],
      Env: env,
      HostConfig: { NetworkMode: "none" },
    });
    expect((await engine.docker("start", "-a", body.Id)).stdout).toBe("10000\nvalue 9999\n");
    await engine.docker("rm", body.Id);
  });

  test("an environment too large for the kernel is told in words", async () => {
    const { body } = await create({ Image: "busybox", Cmd: ["true"], Env: [`BIG=${"x".repeat(3_000_000)}`] });
    const start = await engine.api("POST", `/containers/${body.Id}/start`);
    expect(start.status).toBeGreaterThanOrEqual(400);
    expect(start.body.message).toMatch(/argument list too long/i);
    expect((await engine.docker("inspect", "-f", "{{.State.Running}} {{.State.Pid}}", body.Id)).stdout.trim()).toBe(
      "false 0",
    );
    await engine.docker("rm", body.Id);
  });

  test("an unknown user and group", async () => {
    const user = await engine.docker("run", "--rm", "-u", "nobody-here", "busybox", "true");
    expect(user.code).toBe(125);
    expect(user.stderr).toContain("unable to find user nobody-here: no matching entries in passwd file");
    const group = await engine.docker("run", "--rm", "-u", "0:nogroup-here", "busybox", "true");
    expect(group.stderr).toContain("unable to find group nogroup-here: no matching entries in group file");
    expect((await engine.docker("run", "--rm", "-u", "4242:4343", "busybox", "id", "-u")).stdout).toBe("4242\n");
    expect((await engine.docker("ps", "-aq")).stdout).toBe("");
  });

  test("names are held by one container at a time, even when many ask at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => create({ Image: "busybox", Cmd: ["true"] }, "wanted")),
    );
    expect(answers.filter((answer) => answer.status === 201).length).toBe(1);
    expect(answers.find((answer) => answer.status === 409)?.body.message).toContain(
      'The container name "/wanted" is already in use by container',
    );
    await engine.docker("rm", "wanted");
  });

  test("paths of cp cannot leave the container", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "trap",
      "busybox",
      "sh",
      "-c",
      "ln -s ../../../../../../etc/shadow /leak; ln -s / /root-link; sleep 1000",
    );
    for (let tries = 0; tries < 100; tries++)
      if ((await engine.docker("exec", "trap", "test", "-L", "/root-link")).code === 0) break;
    const leak = await engine.docker("cp", "-L", "trap:/leak", "-");
    expect(leak.code).not.toBe(0);
    const through = await engine.api("GET", "/containers/trap/archive?path=/root-link/../../../../etc/passwd");
    expect(through.text).toContain("nobody");
    expect(through.text).not.toContain("systemd");
    expect((await engine.api("GET", "/containers/trap/archive?path=/nope")).body.message).toContain(
      "Could not find the file /nope in container",
    );
    await engine.docker("rm", "-f", "trap");
  });
});
