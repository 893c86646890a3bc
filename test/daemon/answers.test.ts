import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, renameSync } from "node:fs";
import { connect } from "node:net";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

let engine: TestEngine;
const call = async (method: string, path: string, body?: unknown) => {
  const answer = await engine.api(method, path, body);
  return answer.status >= 400 ? `${answer.status} ${answer.body.message}` : answer.body;
};

/** The head of the answer to a request that is written by hand. */
const head = (text: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect(engine.socket, () => socket.write(text));
    let got = "";
    socket.on("error", reject).on("data", (chunk) => {
      got += chunk;
      if (!got.includes("\r\n\r\n")) return;
      socket.destroy();
      resolve(got.slice(0, got.indexOf("\r\n\r\n")));
    });
  });

describe.skipIf(!canRunContainers)("answers have the fields and status codes of Docker's", () => {
  beforeAll(async () => {
    engine = await startEngine();
    await engine.docker("network", "create", "own");
    await engine.docker(
      "run",
      "-d",
      "--name",
      "one",
      "--network",
      "own",
      "--network-alias",
      "al",
      "busybox",
      "sleep",
      "900",
    );
  });
  afterAll(() => engine?.close());

  test("a body of no bytes is an empty object, but for a container to be made", async () => {
    const post = async (path: string) => {
      const init = { method: "POST", body: "", headers: { "Content-Type": "application/json" }, unix: engine.socket };
      const answer = await fetch(`http://d/v1.51${path}`, init);
      return `${answer.status} ${((await answer.json()) as { message?: string }).message ?? ""}`.trim();
    };
    expect(await post("/containers/one/update")).toBe("200");
    expect(await post("/containers/one/exec")).toBe("400 No exec command specified");
    expect(await post("/networks/create")).toStartWith("400 invalid name: ");
    expect(await post("/networks/own/connect")).toBe('400 invalid name or ID supplied: ""');
    expect(await post("/containers/create")).toBe("400 invalid JSON: got EOF while reading request body");
  });

  test("a container that runs is refused by the name it was called", async () => {
    const { Id } = await call("GET", "/v1.51/containers/one/json");
    const words = (name: string) =>
      `409 cannot remove container "${name}": container is running: stop the container before removing or force remove`;
    for (const name of ["one", Id.slice(0, 12), Id]) {
      expect(await call("DELETE", `/v1.51/containers/${name}`)).toBe(words(name));
    }
  });

  test("names with slashes are names; times are seconds; a volume's age has no fraction", async () => {
    expect(await call("GET", "/v1.51/volumes/no/such")).toBe("404 get no/such: no such volume");
    expect(await call("DELETE", "/v1.51/volumes/no/such")).toBe("404 get no/such: no such volume");
    expect(await call("GET", "/v1.51/networks/no/such")).toBe("404 network no/such not found");
    expect((await call("GET", "/v1.51/networks/")).length).toBeGreaterThan(2);
    const wrong = '400 strconv.ParseInt: parsing "30s": invalid syntax';
    expect(await call("GET", "/v1.51/events?since=30s")).toBe(wrong);
    expect(await call("GET", "/v1.51/containers/one/logs?stdout=1&since=30s")).toBe(wrong);
    expect(await call("GET", "/v1.51/events?since=5&until=1.5")).toBe(
      "400 `since` time (5) cannot be after `until` time (1.5)",
    );
    const made = await call("POST", "/v1.51/volumes/create", { Name: "aged" });
    expect(made.CreatedAt).toMatch(/T\d\d:\d\d:\d\dZ$/);
  });

  test("a list tells where the endpoints are, inspect what was asked of them", async () => {
    const [listed] = await call("GET", "/v1.51/containers/json");
    expect(listed.NetworkSettings.Networks.own).toMatchObject({
      Aliases: null,
      DNSNames: null,
      DriverOpts: null,
      IPAddress: expect.stringContaining("."),
    });
    const { NetworkSettings } = await call("GET", "/v1.51/containers/one/json");
    expect(NetworkSettings.Networks.own.Aliases).toContain("al");
  });

  test("statistics name the system from 1.52 on", async () => {
    const sample = (version: string) => call("GET", `/v${version}/containers/one/stats?stream=0&one-shot=1`);
    expect((await sample("1.52")).os_type).toBe("linux");
    expect(await sample("1.51")).not.toHaveProperty("os_type");
  });

  test("images made here have no manifests to tell of", async () => {
    expect((await call("GET", "/v1.51/images/json?manifests=1"))[0]).not.toHaveProperty("Manifests");
    expect(await call("GET", "/v1.51/images/busybox/json?manifests=1")).not.toHaveProperty("Manifests");
    const [old] = await call("GET", "/v1.41/images/json?shared-size=1");
    expect(old).toMatchObject({ RepoDigests: null, SharedSize: -1 });
  });

  test("who hijacks without asking for an upgrade is not told of multiplexing", async () => {
    const attach = (headers: string) =>
      head(`POST /v1.51/containers/one/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n${headers}\r\n`);
    expect(await attach("")).toContain("application/vnd.docker.raw-stream");
    expect(await attach("Connection: Upgrade\r\nUpgrade: tcp\r\n")).toContain(
      "application/vnd.docker.multiplexed-stream",
    );
    expect(await head("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n")).toContain("Content-Length: 0");
  });

  test("an exec that ended can be looked at: nothing is about to remove it", async () => {
    const { Id } = await call("POST", "/v1.51/containers/one/exec", { Cmd: ["true"] });
    await call("POST", `/v1.51/exec/${Id}/start`, {});
    expect(await call("GET", `/v1.51/exec/${Id}/json`)).toMatchObject({ Running: false, CanRemove: false });
  });

  test("what is being removed, and what ended unheard of, is no failure", async () => {
    const { Id } = await call("POST", "/v1.51/containers/create", { Image: "busybox", Cmd: ["sleep", "900"] });
    const diff = `${engine.dataRoot}/containers/${Id}/diff`;
    renameSync(diff, `${diff}-gone`);
    expect(await call("GET", "/v1.51/containers/json?all=1&size=1")).toHaveLength(2);
    expect(await call("GET", `/v1.51/containers/${Id}/json?size=1`)).toMatchObject({ Id });
    renameSync(`${diff}-gone`, diff);
    await call("POST", `/v1.51/containers/${Id}/start`);
    const { Pid } = (await call("GET", `/v1.51/containers/${Id}/json`)).State;
    const shim = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${Pid}/status`, "utf8"))?.[1]);
    process.kill(shim, "SIGSTOP");
    process.kill(Pid, "SIGKILL");
    const got = await engine.api("GET", `/v1.51/containers/${Id}/archive?path=/bin/busybox`);
    process.kill(shim, "SIGCONT");
    expect(got.status).toBe(200);
    await call("DELETE", `/v1.51/containers/${Id}?force=1`);
  });

  test("who is overtaken by an end or a removal hears of it in words", async () => {
    const answers: string[] = [];
    for (let round = 0; round < 15; round++) {
      const { Id } = await call("POST", "/v1.51/containers/create", { Image: "busybox", Cmd: ["sleep", "900"] });
      await call("POST", `/v1.51/containers/${Id}/start`);
      const exec = { Cmd: ["true"], Tty: true, User: "root" };
      const execs = await Promise.all(
        Array.from({ length: 5 }, () => call("POST", `/v1.51/containers/${Id}/exec`, exec)),
      );
      const starts = execs.map((one) => call("POST", `/v1.51/exec/${one.Id}/start`, { Detach: true }));
      const removal = call("DELETE", `/v1.51/containers/${Id}?force=1`);
      const others = [`/commit?container=${Id}`, `/v1.51/containers/${Id}/changes`].map((path) =>
        call(path.startsWith("/commit") ? "POST" : "GET", path),
      );
      answers.push(...(await Promise.all([...starts, ...others, removal])).filter((text) => typeof text === "string"));
    }
    const bare = answers.filter((text) => /null is not|undefined is not|no such file or directory/.test(text));
    expect(bare).toEqual([]);
  });

  test("what is refused, and how", async () => {
    const filters = (value: object) => `filters=${encodeURIComponent(JSON.stringify(value))}`;
    const cases: [method: string, path: string, body: unknown, answer: string][] = [
      ["POST", "/v1.51/containers/one/unpause", undefined, "500 Container "],
      ["GET", "/v1.51/networks/own?verbose=x", undefined, "400 invalid value for verbose: x: strconv.ParseBool"],
      ["POST", "/v1.51/networks/none/connect", { Container: "one" }, "400 container cannot be connected to multiple"],
      [
        "POST",
        "/v1.51/volumes/create",
        { Name: "vv", DriverOpts: { size: "1g" } },
        "400 create vv: quota size requested",
      ],
      ["POST", "/v1.51/volumes/create", { Name: "vv", DriverOpts: { size: "x" } }, "400 create vv: invalid size: 'x'"],
      ["PUT", "/v1.51/volumes/v?version=1", {}, "503 volume update only valid for cluster volumes"],
      ["POST", `/v1.51/build/prune?${filters({ x: ["y"] })}`, undefined, "400 failed to prune build cache: invalid"],
    ];
    for (const [method, path, body, answer] of cases) expect(await call(method, path, body)).toStartWith(answer);
    expect(await call("GET", `/v1.51/containers/json?${filters({ isolation: ["hyperv"] })}`)).toHaveLength(1);
  });
});
