import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually } from "../eventually.ts";
import { canRunContainers, startEngine, type TestEngine } from "../harness.ts";

let engine: TestEngine;

/** Runs a shell line in a running container; its output. */
async function inside(container: string, line: string): Promise<string> {
  const { stdout, stderr } = await engine.docker("exec", container, "sh", "-c", line);
  return (stdout + stderr).trim();
}

const LOOKUP = (name: string) => `nslookup ${name} 2>&1 | sed -n '/^Name/,$p' | awk '/^Address/{print $NF}' | sort`;

describe.skipIf(!canRunContainers)("names of containers", () => {
  beforeAll(async () => {
    engine = await startEngine();
    await engine.docker("network", "create", "front");
    await engine.docker("network", "create", "back");
    await engine.docker("run", "-d", "--name", "web", "--network", "front", "busybox", "sleep", "1000");
    await engine.docker(
      "run",
      "-d",
      "--name",
      "db",
      "--network",
      "back",
      "--network-alias",
      "pool",
      "busybox",
      "sleep",
      "1000",
    );
    await engine.docker(
      "run",
      "-d",
      "--name",
      "db2",
      "--network",
      "back",
      "--network-alias",
      "pool",
      "busybox",
      "sleep",
      "1000",
    );
    await engine.docker("run", "-d", "--name", "both", "--network", "front", "busybox", "sleep", "1000");
    await engine.docker("network", "connect", "--alias", "middle", "back", "both");
  });
  afterAll(() => engine?.close());

  test("a disconnect, forced or not, of what is not connected fails", async () => {
    await engine.docker("run", "-d", "--name", "lone", "busybox", "sleep", "1000");
    await engine.docker("create", "--name", "unstarted", "busybox", "true");
    const { Id } = (await engine.api("GET", "/containers/lone/json")).body;
    const disconnect = (Container: string, Force: boolean) =>
      engine.api("POST", "/networks/front/disconnect", { Container, Force });
    for (const force of [true, false]) {
      const { status, body } = await disconnect("lone", force);
      expect([status, body.message]).toEqual([500, `container ${Id} is not connected to network front`]);
    }
    expect((await disconnect("unstarted", true)).body.message).toEndWith("is not connected to the network front");
    const gone = await disconnect("nosuch", true);
    expect([gone.status, gone.body.message]).toEqual([404, "endpoint nosuch not found"]);
    expect((await disconnect("nosuch", false)).body.message).toBe("No such container: nosuch");
    await engine.docker("rm", "-f", "lone", "unstarted");
  });

  test("a container is found by name, ID, alias and name.network, by those on its network only", async () => {
    const address = async (name: string, network: string) =>
      (await engine.docker("inspect", "-f", `{{.NetworkSettings.Networks.${network}.IPAddress}}`, name)).stdout.trim();
    const id = (await engine.docker("inspect", "-f", "{{slice .Id 0 12}}", "db")).stdout.trim();
    const db = await address("db", "back");
    for (const name of ["db", "DB", "db.back", id]) expect(await inside("both", LOOKUP(name))).toBe(db);
    expect(await inside("both", LOOKUP("web"))).toBe(await address("web", "front"));
    expect(await inside("db", LOOKUP("middle"))).toBe(await address("both", "back"));
    expect(await inside("web", LOOKUP("db"))).toBe("");
    expect((await inside("both", LOOKUP("pool"))).split("\n")).toEqual([db, await address("db2", "back")].sort());
    expect(await inside("both", `nslookup ${db} | grep -o "name = .*"`)).toBe("name = db.back");
    expect(await inside("both", "cat /etc/resolv.conf | grep nameserver")).toBe("nameserver 127.0.0.11");
  });

  test("names go with a rename, a disconnect, an end, and come back with a start", async () => {
    await engine.docker("rename", "db2", "spare");
    expect(await inside("both", LOOKUP("spare"))).toMatch(/^10\./);
    expect(await inside("both", LOOKUP("db2"))).toBe("");
    await engine.docker("stop", "-t", "0", "spare");
    expect((await inside("both", LOOKUP("pool"))).split("\n")).toHaveLength(1);
    await engine.docker("start", "spare");
    expect((await inside("both", LOOKUP("pool"))).split("\n")).toHaveLength(2);
    await engine.docker("network", "disconnect", "back", "both");
    expect(await inside("both", LOOKUP("db"))).toBe("");
    await engine.docker("network", "connect", "back", "both");
    expect(await inside("both", LOOKUP("db"))).toMatch(/^10\./);
  });

  test("names are answered again after the daemon was killed and started anew", async () => {
    await engine.crash();
    await engine.restart();
    expect(await inside("both", LOOKUP("db"))).toMatch(/^10\./);
    expect(await inside("both", LOOKUP("web"))).toMatch(/^10\./);
  });

  test("published ports are added and closed while the container runs, and kept for its next start", async () => {
    await engine.docker(
      "run",
      "-d",
      "--name",
      "page",
      "-p",
      "127.0.0.1::80",
      "busybox",
      "httpd",
      "-f",
      "-p",
      "80",
      "-h",
      "/etc",
    );
    const ports = async () => (await engine.docker("port", "page")).stdout.trim().split("\n").filter(Boolean);
    const status = async (address: string) =>
      fetch(`http://${address}/passwd`, { signal: AbortSignal.timeout(30_000) }).then(
        (r) => r.status,
        () => 0,
      );
    const update = async (body: object) => engine.api("POST", "/v1.50/containers/page/update", body);
    const first = (await ports())[0]!.split(" -> ")[1]!;
    // Its server listens some time after the container has begun.
    await eventually(async () => (await status(first)) === 200);
    expect((await update({ PublishAdd: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] } })).status).toBe(200);
    expect(await ports()).toHaveLength(2);
    const second = (await ports()).map((line) => line.split(" -> ")[1]!).find((address) => address !== first)!;
    expect(await status(second)).toBe(200);
    const taken = await update({ PublishAdd: { "81/tcp": [{ HostIp: "127.0.0.1", HostPort: second.split(":")[1] }] } });
    expect([taken.status, taken.body.message]).toEqual([500, expect.stringContaining("port is already allocated")]);
    const port = first.split(":")[1];
    expect((await update({ PublishRemove: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: port }] } })).status).toBe(200);
    expect(await status(first)).toBe(0);
    expect(await status(second)).toBe(200);
    expect((await update({ PublishRemove: { "99/tcp": [] } })).status).toBe(409);
    await engine.docker("restart", "-t", "0", "page");
    expect(await ports()).toHaveLength(1);
    expect((await update({ PublishRemove: { "80/tcp": [] } })).status).toBe(200);
    expect(await ports()).toEqual([]);
  });

  test("a container of the default bridge that joins a network finds names from then on, after a restart of the daemon too", async () => {
    await engine.docker("run", "-d", "--name", "late", "busybox", "sleep", "1000");
    await engine.docker("run", "-d", "--name", "edited", "busybox", "sleep", "1000");
    expect(await inside("late", "cat /etc/resolv.conf")).not.toContain("127.0.0.11");
    await inside("late", "echo '192.0.2.9 mine' >> /etc/hosts");
    await inside("edited", "echo '# mine' >> /etc/resolv.conf");
    const before = await inside("edited", "cat /etc/resolv.conf");
    for (const name of ["late", "edited"]) await engine.docker("network", "connect", "front", name);
    expect(await inside("late", "grep nameserver /etc/resolv.conf")).toBe("nameserver 127.0.0.11");
    const web = (
      await engine.docker("inspect", "-f", "{{.NetworkSettings.Networks.front.IPAddress}}", "web")
    ).stdout.trim();
    expect(await inside("late", LOOKUP("web"))).toBe(web);
    // What somebody wrote stays: a line of hosts, and the whole of a changed resolv.conf.
    const mine = (
      await engine.docker("inspect", "-f", "{{.NetworkSettings.Networks.front.IPAddress}}", "late")
    ).stdout.trim();
    const hosts = await inside("late", "cat /etc/hosts");
    expect(hosts).toContain("192.0.2.9 mine");
    expect(hosts).toContain(`${mine}\t`);
    expect(await inside("edited", "cat /etc/resolv.conf")).toBe(before);

    await engine.crash();
    await engine.restart();
    expect(await inside("late", LOOKUP("web"))).toBe(web);
    await engine.docker("network", "disconnect", "front", "late");
    const after = await inside("late", "cat /etc/hosts");
    expect(after).toContain("192.0.2.9 mine");
    expect(after).not.toContain(`${mine}\t`);
    // As with Docker the resolver stays, and answers still.
    expect(await inside("late", "grep nameserver /etc/resolv.conf")).toBe("nameserver 127.0.0.11");
    expect(await inside("late", LOOKUP("web"))).toBe("");
    expect(await inside("late", "nslookup web 2>&1")).toContain("127.0.0.11");
    await engine.docker("rm", "-f", "late", "edited");
  });
});
