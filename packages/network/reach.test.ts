import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Nftables } from "@gantry/sys";
import type { NetworkController } from "./contract.ts";
import { openNetwork } from "./open.ts";
import { request } from "./testing/request.ts";
import { askSlowly, attempt, reach, reachSlowly, type Service, serve, World } from "./testing/world.ts";

/** Who can reach what: every row from outside, from the host and from containers, over both families, TCP and UDP. */
describe.skipIf(process.getuid?.() !== 0)("published ports", () => {
  let world: World;
  let outside: number;
  let net: NetworkController;
  type Box = { pid: number; fd: number; kill: () => Promise<void> };
  let box: Box;
  let sibling: Box;
  let stranger: Box;
  const services: Record<string, Service> = {};

  beforeAll(async () => {
    world = new World();
    outside = world.neighbour("eth0", 0);
    net = await openNetwork({
      db: new Database(":memory:"),
      execRoot: "/nonexistent",
      bridge: "gtbr0",
      bip: "10.200.0.1/24",
      addressPools: [
        { base: "10.201.0.0/16", size: 24 },
        { base: "fd00:201::/48", size: 64 },
      ],
    });
    await net.restore([]);
    await net.create({ Name: "dual", EnableIPv6: true });
    await net.create({ Name: "other", EnableIPv6: true });
    [box, sibling, stranger] = await Promise.all([world.container(), world.container(), world.container()]);
    const portBindings = { "80/tcp": [{ HostPort: "8080" }], "53/udp": [{ HostPort: "5300" }] };
    await net.prepare(request("box", { networkMode: "dual", portBindings }));
    await net.plumb("box", box.pid);
    await net.prepare(request("sibling", { networkMode: "dual" }));
    await net.plumb("sibling", sibling.pid);
    await net.prepare(request("stranger", { networkMode: "other" }));
    await net.plumb("stranger", stranger.pid);
    for (const [family, any] of [
      [4, "0.0.0.0"],
      [6, "::"],
    ] as const) {
      services[`tcp${family}`] = serve(box.fd, "tcp", any, 80);
      services[`udp${family}`] = serve(box.fd, "udp", any, 53);
      services[`hidden${family}`] = serve(box.fd, "tcp", any, 81);
    }
  });
  afterAll(async () => {
    await net.shutdown();
    await world.leave();
  });

  const gateway = { 4: "10.201.0.1", 6: "fd00:201::1" };
  const own = { 4: "10.201.0.2", 6: "fd00:201::2" };
  const hostAddress = { 4: "10.209.0.1", 6: "fd00:209::1" };
  const outsideAddress = { 4: "10.209.0.2", 6: "fd00:209::2" };
  const strangerAddress = { 4: "10.201.1.2", 6: "fd00:201:0:1::2" };

  for (const family of [4, 6] as const) {
    for (const protocol of ["tcp", "udp"] as const) {
      const port = protocol === "tcp" ? 8080 : 5300;
      const inner = protocol === "tcp" ? 80 : 53;
      const service = () => services[`${protocol}${family}`]!;
      test(`IPv${family} ${protocol}`, () => {
        // From outside the source is kept; directly there is no way in, even to a published port.
        expect(reach(outside, hostAddress[family], port, service())).toBe(outsideAddress[family]);
        expect(attempt(outside, own[family], inner, service())).toBeNull();
        // From the host by each of its addresses, and directly.
        expect(reach(world.host, hostAddress[family], port, service())).toBe(hostAddress[family]);
        expect(reach(world.host, gateway[family], port, service())).toBe(gateway[family]);
        expect(reach(world.host, own[family], inner, service())).toBe(gateway[family]);
        // From the container itself, its sibling, and a container elsewhere.
        expect(reach(box.fd, hostAddress[family], port, service())).toBe(gateway[family]);
        expect(reach(box.fd, gateway[family], port, service())).toBe(gateway[family]);
        expect(reach(sibling.fd, hostAddress[family], port, service())).toBe(gateway[family]);
        expect(reach(sibling.fd, own[family], inner, service())).toBe(own[family].replace(/2$/, "3"));
        expect(reach(stranger.fd, hostAddress[family], port, service())).toBe(gateway[family]);
        expect(attempt(stranger.fd, own[family], inner, service())).toBeNull();
        expect(strangerAddress[family]).toBe(family === 4 ? "10.201.1.2" : "fd00:201:0:1::2");
      });
    }
    test(`IPv${family} unpublished`, () => {
      const hidden = services[`hidden${family}`]!;
      expect(attempt(outside, own[family], 81, hidden)).toBeNull();
      expect(attempt(outside, hostAddress[family], 81, hidden)).toBeNull();
      expect(attempt(stranger.fd, own[family], 81, hidden)).toBeNull();
      expect(reach(sibling.fd, own[family], 81, hidden)).not.toBeNull();
      expect(reach(world.host, own[family], 81, hidden)).not.toBeNull();
    });
  }

  test("localhost over IPv4, TCP and UDP", () => {
    expect(reach(world.host, "127.0.0.1", 8080, services["tcp4"]!)).toBe("10.201.0.1");
    expect(reach(world.host, "127.0.0.1", 5300, services["udp4"]!)).toBe("10.201.0.1");
  });

  test("localhost over IPv6, through the relay", async () => {
    expect(await askSlowly(world.host, "::1", 5300, services["udp6"]!)).toBe("fd00:201::1");
    expect(await reachSlowly(world.host, "::1", 8080, services["tcp6"]!)).toBe("fd00:201::1");
  });

  test("IPv6 callers of a container that has IPv4 only", async () => {
    const four = await world.container();
    await net.prepare(
      request("four", { portBindings: { "80/tcp": [{ HostPort: "8081" }], "53/udp": [{ HostPort: "5301" }] } }),
    );
    await net.plumb("four", four.pid);
    const dns = serve(four.fd, "udp", "0.0.0.0", 53);
    expect(await askSlowly(outside, "fd00:209::1", 5301, dns)).toBe("10.200.0.1");
    expect(await askSlowly(world.host, "::1", 5301, dns)).toBe("10.200.0.1");
    // The relay's own port leads nowhere.
    const listing = new Nftables().run("list map inet gantry-gtbr0 proxy6_any");
    const relay = Number(/17 \. 5301 : (\d+)|udp \. 5301 : (\d+)/.exec(listing)?.slice(1).find(Boolean));
    expect(relay).toBeGreaterThan(0);
    expect(await askSlowly(outside, "fd00:209::1", relay, dns, 1000)).toBeNull();
    const service = serve(four.fd, "tcp", "0.0.0.0", 80);
    expect(await reachSlowly(outside, "fd00:209::1", 8081, service)).toBe("10.200.0.1");
    expect(await reachSlowly(world.host, "::1", 8081, service)).toBe("10.200.0.1");
    expect(reach(outside, "10.209.0.1", 8081, service)).toBe("10.209.0.2");
    await net.release("four");
    await four.kill();
  });
});
