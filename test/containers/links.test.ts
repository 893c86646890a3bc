import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

setDefaultTimeout(60_000);

describe.skipIf(!canRunContainers)("legacy links on the default bridge", () => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await startEngine();
    await engine.docker("run", "-d", "--name", "db", "--expose", "80", "-e", "FOO=bar", "busybox", "sleep", "300");
    await engine.docker("run", "-d", "--name", "web", "--link", "db:store", "--link", "db", "busybox", "sleep", "300");
  });
  afterAll(() => engine?.close());

  const inspect = async (name: string) => (await engine.api("GET", `/containers/${name}/json`)).body;

  test("the linking container has the variables and the name, also in an exec", async () => {
    const { stdout } = await engine.docker("exec", "web", "sh", "-c", "env; cat /etc/hosts; ping -c 1 store");
    const address = (await inspect("db")).NetworkSettings.Networks.bridge.IPAddress;
    for (const line of [
      "STORE_NAME=/web/store",
      `STORE_PORT=tcp://${address}:80`,
      `STORE_PORT_80_TCP_ADDR=${address}`,
      "STORE_ENV_FOO=bar",
      "DB_NAME=/web/db",
    ]) {
      expect(stdout.split("\n")).toContain(line);
    }
    expect(stdout).toContain(`${address}\tstore ${(await inspect("db")).Id.slice(0, 12)} db\n`);
    expect(stdout).toContain("0% packet loss");
  });

  test("inspect and list tell them; a rename is followed; the link's name stands for the container", async () => {
    expect((await inspect("web")).HostConfig.Links).toEqual(["/db:/web/store", "/db:/web/db"]);
    expect((await inspect("web/store")).Name).toBe("/db");
    expect((await engine.docker("exec", "web/store", "echo", "in")).stdout).toBe("in\n");
    expect((await engine.docker("logs", "web/store")).code).toBe(0);
    const listed = async (filter: string) =>
      (await engine.docker("ps", "--filter", filter, "--format", "{{.Names}}")).stdout;
    expect((await engine.docker("ps", "--no-trunc", "--filter", "name=^/db$", "--format", "{{.Names}}")).stdout).toBe(
      "db,web/db,web/store\n",
    );
    expect(await listed("name=web/store")).toBe("db\n");
    await engine.docker("rename", "db", "db2");
    expect((await inspect("web")).HostConfig.Links).toEqual(["/db2:/web/store", "/db2:/web/db"]);
    await engine.docker("rename", "db2", "db");
  });

  test("what cannot be linked to is refused in Docker's words", async () => {
    const refused = async (...args: string[]) => (await engine.docker("create", ...args, "busybox", "true")).stderr;
    expect(await refused("--link", "nosuch:a")).toContain(
      "could not get container for nosuch: No such container: nosuch",
    );
    await engine.docker("create", "--name", "onhost", "--net", "host", "busybox", "true");
    expect(await refused("--link", "onhost:a")).toContain("host type networking can't be used with links");
    await engine.docker("create", "--name", "idle", "busybox", "true");
    await engine.docker("create", "--name", "eager", "--link", "idle:a", "busybox", "true");
    const start = await engine.api("POST", "/containers/eager/start");
    expect(start.status).toBe(500);
    expect(start.body.message).toBe("Cannot link to a non running container: /idle AS /eager/a");
  });

  test("a link is removed by its name", async () => {
    expect((await engine.docker("rm", "--link", "web/store")).stdout).toBe("web/store\n");
    expect((await inspect("web")).HostConfig.Links).toEqual(["/db:/web/db"]);
    expect((await engine.docker("rm", "--link", "web/store")).stderr).toContain("No such container: web/store");
    expect((await engine.docker("rm", "--link", "web")).stderr).toContain(
      "Conflict, cannot remove the default link name of the container",
    );
    expect((await inspect("web")).State.Running).toBe(true);
  });

  test("a user-defined network has its own: no variables, no line in hosts", async () => {
    await engine.docker("network", "create", "own");
    await engine.docker("network", "connect", "own", "db");
    const out = await engine.docker(
      "run",
      "--rm",
      "--net",
      "own",
      "--link",
      "db:s",
      "busybox",
      "sh",
      "-c",
      "env; cat /etc/hosts; ping -c 1 s",
    );
    expect(out.stdout).not.toContain("S_NAME");
    expect(out.stdout).not.toMatch(/^[\d.]+\ts /m);
    expect(out.stdout).toContain("0% packet loss");
    await engine.docker("network", "disconnect", "own", "db");
    await engine.docker("network", "rm", "own");
  });
});
