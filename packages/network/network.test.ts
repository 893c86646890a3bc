import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NetworkController } from "./contract.ts";
import { openNetwork } from "./open.ts";
import { request } from "./testing/request.ts";
import { reach, serve, World } from "./testing/world.ts";

const root = process.getuid?.() === 0;

describe.skipIf(!root)("a container on the default bridge", () => {
  let world: World;
  let outside: number;
  let net: NetworkController;

  beforeAll(async () => {
    world = new World();
    outside = world.neighbour("eth0", 0);
    net = await openNetwork({
      db: new Database(":memory:"),
      execRoot: "/nonexistent",
      bridge: "gtbr0",
      bip: "10.200.0.1/24",
    });
    await net.restore([]);
  });
  afterAll(async () => {
    await net.shutdown();
    await world.leave();
  });

  test("reaches the world, masqueraded, and is reached by its published ports only", async () => {
    const box = await world.container();
    const t0 = performance.now();
    await net.prepare(
      request("one", { portBindings: { "80/tcp": [{ HostPort: "8080" }], "53/udp": [{ HostPort: "5300" }] } }),
    );
    const t1 = performance.now();
    await net.plumb("one", box.pid);
    console.log("prepare", t1 - t0, "plumb", performance.now() - t1);
    const [address] = Object.values(net.endpoints("one")).map((one) => one.IPAddress);
    expect(address).toBe("10.200.0.2");
    expect(net.ports("one")["80/tcp"]).toContainEqual({ HostIp: "0.0.0.0", HostPort: "8080" });

    const elsewhere = serve(outside, "tcp", "0.0.0.0", 9000);
    expect(reach(box.fd, "10.209.0.2", 9000, elsewhere)).toBe("10.209.0.1");

    const web = serve(box.fd, "tcp", "0.0.0.0", 80);
    const dns = serve(box.fd, "udp", "0.0.0.0", 53);
    const hidden = serve(box.fd, "tcp", "0.0.0.0", 81);
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    expect(reach(outside, "10.209.0.1", 5300, dns)).toBe("10.209.0.2");
    expect(reach(outside, "10.200.0.2", 80, web)).toBeNull();
    expect(reach(outside, "10.200.0.2", 81, hidden)).toBeNull();
    expect(reach(world.host, "127.0.0.1", 8080, web)).toBe("10.200.0.1");
    expect(reach(world.host, "127.0.0.1", 5300, dns)).toBe("10.200.0.1");
    expect(reach(world.host, "10.209.0.1", 8080, web)).toBe("10.209.0.1");
    expect(reach(world.host, "10.200.0.2", 81, hidden)).toBe("10.200.0.1");
    expect(reach(box.fd, "10.209.0.1", 8080, web)).toBe("10.200.0.1");
    expect(reach(box.fd, "10.200.0.1", 5300, dns)).toBe("10.200.0.1");
    const t2 = performance.now();
    await net.release("one");
    console.log("release", performance.now() - t2);
    expect(reach(outside, "10.209.0.1", 8080, web)).toBeNull();
  });
});
