import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RouteNetlink } from "@gantry/sys";
import type { NetworkController } from "../contract.ts";
import { openNetwork } from "../open.ts";
import { request } from "../testing/request.ts";
import { reach, serve, World } from "../testing/world.ts";
import { Plugin } from "./plugin.ts";

const folder = mkdtempSync(join(tmpdir(), "gantry-test-plugins-"));
const places = { sockets: folder, specs: [folder] };
afterAll(() => rmSync(folder, { recursive: true }));

/** As much of the protocol's bodies as is looked at here. */
interface Body {
  Address?: string;
  Options?: Record<string, unknown>;
  IPv4Data?: unknown;
}

/** A plugin on a socket that answers from a table and remembers what it was asked. */
function plugin(name: string, answers: Record<string, (body: Body) => object>) {
  const calls: { method: string; body: Body }[] = [];
  const server = Bun.serve({
    unix: join(folder, `${name}.sock`),
    async fetch(incoming) {
      const method = new URL(incoming.url).pathname.slice(1);
      const body = (await incoming.json()) as Body;
      calls.push({ method, body });
      return Response.json(answers[method]?.(body) ?? {});
    },
  });
  return { calls, stop: () => server.stop(true) };
}

describe("finding and calling plugins", () => {
  test("sockets, spec and json files; nothing else", async () => {
    const one = plugin("sock1", { "Plugin.Activate": () => ({ Implements: ["NetworkDriver"] }) });
    writeFileSync(join(folder, "spec1.spec"), `unix://${folder}/sock1.sock\n`);
    writeFileSync(join(folder, "json1.json"), JSON.stringify({ Name: "json1", Addr: `unix://${folder}/sock1.sock` }));
    writeFileSync(join(folder, "bad.spec"), "file:///etc/passwd");
    for (const name of ["sock1", "spec1", "json1"]) {
      expect((await Plugin.find(name, "NetworkDriver", places)).name).toBe(name);
    }
    await expect(Plugin.find("sock1", "IpamDriver", places)).rejects.toThrow("does not implement IpamDriver");
    for (const name of ["absent", "bad", "..", "a/b"]) {
      await expect(Plugin.find(name, "NetworkDriver", places)).rejects.toThrow(
        `plugin ${JSON.stringify(name)} not found`,
      );
    }
    one.stop();
  });

  test("a plugin's error is told in its words; a dead one is unavailable", async () => {
    const one = plugin("err1", {
      "Plugin.Activate": () => ({ Implements: ["NetworkDriver"] }),
      "NetworkDriver.Join": () => ({ Err: "no cable" }),
    });
    const found = await Plugin.find("err1", "NetworkDriver", places);
    await expect(found.call("NetworkDriver.Join", {})).rejects.toThrow("NetworkDriver.Join: no cable");
    one.stop();
    await expect(found.call("NetworkDriver.Join", {})).rejects.toMatchObject({ kind: "unavailable" });
  });
});

describe.skipIf(process.getuid?.() !== 0)("networks of plugins", () => {
  let world: World;
  let net: NetworkController;
  beforeAll(async () => {
    world = new World();
    net = await openNetwork({
      db: new Database(":memory:"),
      execRoot: "/x",
      bridge: "gtbr0",
      bip: "10.200.0.1/24",
      pluginPlaces: places,
    });
    await net.restore([]);
  });
  afterAll(async () => {
    await net.shutdown();
    await world.leave();
  });

  test("a container gets the interface a driver made and the address a manager gave; all is given back", async () => {
    let given = 10;
    const manager = plugin("book", {
      "Plugin.Activate": () => ({ Implements: ["IpamDriver"] }),
      "IpamDriver.GetDefaultAddressSpaces": () => ({ LocalDefaultAddressSpace: "L", GlobalDefaultAddressSpace: "G" }),
      "IpamDriver.RequestPool": () => ({ PoolID: "p1", Pool: "10.207.0.0/24" }),
      "IpamDriver.RequestAddress": (body) => ({ Address: `${body.Address || `10.207.0.${given++}`}/24` }),
    });
    const driver = plugin("wire", {
      "Plugin.Activate": () => ({ Implements: ["NetworkDriver"] }),
      "NetworkDriver.GetCapabilities": () => ({ Scope: "local" }),
      "NetworkDriver.CreateEndpoint": () => ({ Interface: { MacAddress: "02:00:00:00:12:34" } }),
      "NetworkDriver.Join": () => {
        const netlink = RouteNetlink.open();
        netlink.run(netlink.batch().createVeth({ name: "gtplug0", up: true }, { name: "gtplug1" }));
        netlink.run(netlink.batch().addAddress(netlink.link("gtplug0")!.index, "10.207.0.1/24"));
        netlink.close();
        return {
          InterfaceName: { SrcName: "gtplug1", DstPrefix: "wire" },
          Gateway: "10.207.0.1",
          StaticRoutes: [{ Destination: "10.208.0.0/16", RouteType: 0, NextHop: "10.207.0.1" }],
        };
      },
    });
    await net.create({ Name: "wired", Driver: "wire", IPAM: { Driver: "book" }, Options: { colour: "red" } });
    const created = driver.calls.find((call) => call.method === "NetworkDriver.CreateNetwork")!.body;
    expect(created.Options?.["com.docker.network.generic"]).toEqual({ colour: "red" });
    expect(created.IPv4Data).toEqual([
      { AddressSpace: "LocalDefault", Pool: "10.207.0.0/24", Gateway: "10.207.0.10/24", AuxAddresses: {} },
    ]);

    const box = await world.container();
    await net.prepare(request("box", { networkMode: "wired" }));
    await net.plumb("box", box.pid);
    expect(net.endpoints("box")["wired"]).toMatchObject({
      IPAddress: "10.207.0.11",
      Gateway: "10.207.0.1",
      MacAddress: "02:00:00:00:12:34",
    });
    const inside = RouteNetlink.openIn(box.fd);
    expect(inside.links().map((link) => `${link.name} ${link.mac}`)).toContain("wire0 02:00:00:00:12:34");
    expect(inside.routes(2).map((route) => `${route.destination} ${route.gateway}`)).toContain(
      "10.208.0.0/16 10.207.0.1",
    );
    inside.close();
    // A plain pair, which the kernel begins to use some time after it came up: what is sent before is lost.
    const service = serve(world.host, "tcp", "0.0.0.0", 9000);
    expect(reach(box.fd, "10.207.0.1", 9000, service)).toBe("10.207.0.11");

    await net.release("box");
    await net.remove("wired");
    expect(driver.calls.map((call) => call.method.split(".")[1])).toEqual([
      "Activate",
      "CreateNetwork",
      "CreateEndpoint",
      "Join",
      "Leave",
      "DeleteEndpoint",
      "DeleteNetwork",
    ]);
    expect(manager.calls.slice(-3).map((call) => [call.method.split(".")[1], call.body.Address])).toEqual([
      ["ReleaseAddress", "10.207.0.11"],
      ["ReleaseAddress", "10.207.0.10"],
      ["ReleasePool", undefined],
    ]);
    driver.stop();
    manager.stop();
  });

  test("a daemon that is started without the plugin keeps what lives; with it, it gives back what has died", async () => {
    const own = new Database(":memory:");
    const reopen = () =>
      openNetwork({ db: own, execRoot: "/x", bridge: "gtbr1", bip: "10.199.0.1/24", pluginPlaces: places });
    const start = () => ({
      manager: plugin("keeper", {
        "Plugin.Activate": () => ({ Implements: ["IpamDriver"] }),
        "IpamDriver.GetDefaultAddressSpaces": () => ({ LocalDefaultAddressSpace: "L", GlobalDefaultAddressSpace: "G" }),
        "IpamDriver.RequestPool": () => ({ PoolID: "p1", Pool: "10.205.0.0/24" }),
        "IpamDriver.RequestAddress": (body) => ({ Address: `${body.Address || "10.205.0.7"}/24` }),
      }),
      driver: plugin("cable", {
        "Plugin.Activate": () => ({ Implements: ["NetworkDriver"] }),
        "NetworkDriver.GetCapabilities": () => ({ Scope: "local" }),
        "NetworkDriver.Join": () => {
          const netlink = RouteNetlink.open();
          netlink.run(netlink.batch().createVeth({ name: "gtplug2", up: true }, { name: "gtplug3" }));
          netlink.close();
          return { InterfaceName: { SrcName: "gtplug3", DstPrefix: "eth" } };
        },
      }),
    });
    let { manager, driver } = start();
    let its = await reopen();
    await its.restore([]);
    const Config = [{ Gateway: "10.205.0.1" }];
    await its.create({ Name: "kept", Driver: "cable", IPAM: { Driver: "keeper", Config } });
    const box = await world.container();
    await its.prepare(request("lives", { networkMode: "kept" }));
    await its.plumb("lives", box.pid);
    await its.shutdown();
    for (const one of [manager, driver]) one.stop();

    its = await reopen();
    await its.restore([{ containerId: "lives", pid: box.pid }]);
    expect(its.endpoints("lives")["kept"]?.IPAddress).toBe("10.205.0.7");
    await its.shutdown();

    ({ manager, driver } = start());
    its = await reopen();
    await its.restore([]);
    expect(its.endpoints("lives")).toEqual({});
    expect(driver.calls.map((call) => call.method.split(".")[1])).toEqual(
      expect.arrayContaining(["Leave", "DeleteEndpoint"]),
    );
    expect(manager.calls.find((call) => call.method === "IpamDriver.ReleaseAddress")?.body.Address).toBe("10.205.0.7");
    expect(own.query("SELECT count(*) AS n FROM sandboxes").get()).toEqual({ n: 0 });
    await its.shutdown();
    for (const one of [manager, driver]) one.stop();
  });

  test("a network that is removed while a plugin is asked for an address takes nobody in", async () => {
    let asked = () => {};
    const manager = plugin("slow", {
      "Plugin.Activate": () => ({ Implements: ["IpamDriver"] }),
      "IpamDriver.GetDefaultAddressSpaces": () => ({ LocalDefaultAddressSpace: "L", GlobalDefaultAddressSpace: "G" }),
      "IpamDriver.RequestPool": () => ({ PoolID: "p1", Pool: "10.206.0.0/24" }),
      "IpamDriver.RequestAddress": (body) => {
        asked();
        return { Address: `${body.Address || "10.206.0.2"}/24` };
      },
    });
    await net.create({ Name: "leaving", IPAM: { Driver: "slow", Config: [{ Gateway: "10.206.0.1" }] } });
    const removed = new Promise<unknown>((resolve) => {
      asked = () => resolve(net.remove("leaving").catch((error) => error));
    });
    await expect(net.prepare(request("late", { networkMode: "leaving" }))).rejects.toThrow("network leaving not found");
    expect(await removed).toBeUndefined();
    expect(net.endpoints("late")).toEqual({});
    expect(manager.calls.map((call) => call.method.split(".")[1])).toContain("ReleaseAddress");
    manager.stop();
  });

  test("macvlan puts a container beside the host; ipvlan is refused where the kernel has none", async () => {
    const outside = world.neighbour("eth0", 0);
    await net.create({
      Name: "lan",
      Driver: "macvlan",
      Options: { parent: "eth0" },
      IPAM: { Config: [{ Subnet: "10.209.0.0/24", IPRange: "10.209.0.128/25", Gateway: "10.209.0.2" }] },
    });
    const box = await world.container();
    await net.prepare(request("mac", { networkMode: "lan", portBindings: { "80/tcp": [{ HostPort: "8080" }] } }));
    await net.plumb("mac", box.pid);
    expect(net.endpoints("mac")["lan"]).toMatchObject({ IPAddress: "10.209.0.128", Gateway: "10.209.0.2" });
    expect(net.ports("mac")).toEqual({});
    const web = serve(box.fd, "tcp", "0.0.0.0", 80);
    expect(reach(outside, "10.209.0.128", 80, web)).toBe("10.209.0.2");
    const whole = { parent: "eth0", macvlan_mode: "passthru" };
    await expect(net.create({ Name: "again", Driver: "macvlan", Options: whole })).rejects.toThrow(
      "is already using parent interface eth0",
    );
    await net.release("mac");
    await net.remove("lan");
    const made = net.create({ Name: "ip", Driver: "ipvlan", Options: { parent: "eth0" } });
    try {
      await made;
      await net.remove("ip");
    } catch (error) {
      expect((error as Error).message).toBe("this kernel has no ipvlan (CONFIG_IPVLAN is needed)");
    }
  });
});
