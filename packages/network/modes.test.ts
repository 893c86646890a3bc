import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { Nftables } from "@gantry/sys";
import type { NetworkController } from "./contract.ts";
import { type NetworkOptions, openNetwork } from "./open.ts";
import { eventually } from "./testing/eventually.ts";
import { request } from "./testing/request.ts";
import { attempt, reach, reachSlowly, type Service, serve, World } from "./testing/world.ts";

const BRIDGE = "com.docker.network.bridge";

/** What a network's options say about who reaches its containers: tried with traffic, over both families. */
describe.skipIf(process.getuid?.() !== 0)("networks' options", () => {
  let world: World;
  let outside: number;
  let net: NetworkController;
  type Box = { pid: number; fd: number; kill: () => Promise<void> };

  async function start(options: Partial<NetworkOptions> = {}): Promise<void> {
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
      ...options,
    });
    await net.restore([]);
  }
  afterEach(async () => {
    await net.shutdown();
    await world.leave();
  });

  /** A container with a published port 80 (8080 outside) and a port 81 that is not. */
  async function box(name: string, networkMode: string, ports = true): Promise<Box> {
    const made = await world.container();
    const portBindings = { "80/tcp": [{ HostPort: "8080" }], "53/udp": [{ HostPort: "5300" }] };
    await net.prepare(request(name, { networkMode, ...(ports ? { portBindings } : {}) }));
    await net.plumb(name, made.pid);
    return made;
  }
  const listen = (fd: number, any: string): Record<"web" | "dns" | "hidden", Service> => ({
    web: serve(fd, "tcp", any, 80),
    dns: serve(fd, "udp", any, 53),
    hidden: serve(fd, "tcp", any, 81),
  });

  test("networks of macvlan share an interface of the host, but for mode passthru", async () => {
    await start();
    const make = (Name: string, n: number, more = {}) =>
      net.create({
        Name,
        Driver: "macvlan",
        Options: { parent: "eth0", ...more },
        IPAM: { Config: [{ Subnet: `10.${n}.0.0/24` }] },
      });
    const one = await make("one", 231);
    await make("two", 232);
    for (const name of ["one", "two"]) {
      await box(name, name, false);
      expect(net.endpoints(name)[name]!.IPAddress).toMatch(/^10\.23[12]\.0\.2$/);
    }
    const passthru = { macvlan_mode: "passthru" };
    await net.release("two");
    await net.remove("two");
    await expect(make("three", 233, passthru)).rejects.toThrow(
      `cannot use mode passthru, macvlan network ${one.id} is already using parent interface eth0`,
    );
    await net.release("one");
    await net.remove("one");
    const { id } = await make("three", 233, passthru);
    await expect(make("four", 234)).rejects.toThrow(
      `macvlan network ${id} is already using parent interface eth0 in mode passthru`,
    );
    await net.remove("three");
    const bad = { [`${BRIDGE}.host_binding_ipv4`]: "bad" };
    await expect(net.create({ Name: "bad", Options: bad })).rejects.toThrow("value: bad (nil ip)");
  });

  test("a network of IPv6 alone: published, named, apart from others", async () => {
    await start();
    await net.create({ Name: "six", EnableIPv4: false, EnableIPv6: true });
    const server = await box("server", "six");
    const sibling = await box("sibling", "six", false);
    const stranger = await box("stranger", "bridge", false);
    const { web, dns, hidden } = listen(server.fd, "::");
    expect(net.endpoints("server")["six"]).toMatchObject({ IPAddress: "", GlobalIPv6Address: "fd00:201::2" });
    for (const [service, port] of [
      [web, 8080],
      [dns, 5300],
    ] as const) {
      expect(reach(outside, "fd00:209::1", port, service)).toBe("fd00:209::2");
      expect(reach(world.host, "fd00:209::1", port, service)).toBe("fd00:209::1");
      expect(reach(sibling.fd, "fd00:209::1", port, service)).toBe("fd00:201::1");
    }
    expect(reach(sibling.fd, "fd00:201::2", 81, hidden)).toBe("fd00:201::3");
    expect(attempt(outside, "fd00:201::2", 81, hidden)).toBeNull();
    expect(attempt(outside, "10.209.0.1", 8080, web)).toBeNull();
    expect(attempt(stranger.fd, "fd00:201::2", 80, web)).toBeNull();
    // Out of it, as the host.
    const world6 = serve(outside, "tcp", "::", 90);
    expect(reach(server.fd, "fd00:209::2", 90, world6)).toBe("fd00:209::1");
  });

  for (const family of [4, 6] as const) {
    const any = family === 4 ? "0.0.0.0" : "::";
    const host = family === 4 ? "10.209.0.1" : "fd00:209::1";
    const far = family === 4 ? "10.209.0.2" : "fd00:209::2";
    const own = family === 4 ? "10.201.0.2" : "fd00:201::2";

    test(`gateway mode nat-unprotected, IPv${family}: every port can be reached directly, published ones by the host too`, async () => {
      await start();
      await net.create({
        Name: "open",
        EnableIPv6: true,
        Options: { [`${BRIDGE}.gateway_mode_ipv${family}`]: "nat-unprotected" },
      });
      await net.create({ Name: "other", EnableIPv6: true });
      const server = await box("server", "open");
      const stranger = await box("stranger", "other", false);
      const { web, dns, hidden } = listen(server.fd, any);
      expect(reach(outside, host, 8080, web)).toBe(far);
      expect(reach(outside, host, 5300, dns)).toBe(far);
      expect(reach(outside, own, 81, hidden)).toBe(far);
      expect(reach(outside, own, 80, web)).toBe(far);
      // But not from containers of other networks.
      expect(attempt(stranger.fd, own, 80, web)).toBeNull();
      expect(attempt(stranger.fd, own, 81, hidden)).toBeNull();
      // It still goes out as the host.
      expect(reach(server.fd, far, 90, serve(outside, "tcp", any, 90))).toBe(host);
    });

    test(`gateway mode routed, IPv${family}: published ports under the container's own address, nothing translated`, async () => {
      await start();
      await net.create({
        Name: "routed",
        EnableIPv6: true,
        Options: { [`${BRIDGE}.gateway_mode_ipv${family}`]: "routed" },
      });
      await net.create({ Name: "other", EnableIPv6: true });
      const server = await box("server", "routed");
      const stranger = await box("stranger", "other", false);
      const { web, dns, hidden } = listen(server.fd, any);
      expect(reach(outside, own, 80, web)).toBe(far);
      expect(reach(outside, own, 53, dns)).toBe(far);
      expect(attempt(outside, own, 81, hidden)).toBeNull();
      expect(attempt(outside, host, 8080, web)).toBeNull();
      expect(reach(stranger.fd, own, 80, web)).not.toBeNull();
      expect(attempt(stranger.fd, own, 81, hidden)).toBeNull();
      const [v4, v6] = net.ports("server")["80/tcp"]!.map((binding) => binding.HostPort);
      expect([v4, v6]).toEqual(family === 4 ? ["", "8080"] : ["8080", ""]);
      expect(reach(server.fd, far, 90, serve(outside, "tcp", any, 90))).toBe(own);
    });

    test(`gateway mode isolated, IPv${family}: the bridge has no address, siblings meet, nobody else does`, async () => {
      await start();
      await net.create({
        Name: "island",
        Internal: true,
        EnableIPv6: true,
        Options: { [`${BRIDGE}.gateway_mode_ipv${family}`]: "isolated" },
      });
      const server = await box("server", "island", false);
      const sibling = await box("sibling", "island", false);
      const { hidden } = listen(server.fd, any);
      expect(reach(sibling.fd, own, 81, hidden)).toBe(own.replace(/2$/, "3"));
      expect(attempt(outside, own, 81, hidden)).toBeNull();
      expect(attempt(world.host, own, 81, hidden)).toBeNull();
      expect(attempt(server.fd, far, 90, serve(outside, "tcp", any, 90))).toBeNull();
    });

    test(`a trusted interface of the host lets direct routes to published ports in, IPv${family}; others stay out`, async () => {
      await start();
      const second = world.neighbour("eth1", 1);
      await net.create({
        Name: "trusting",
        EnableIPv6: true,
        Options: { [`${BRIDGE}.trusted_host_interfaces`]: "eth0" },
      });
      const server = await box("server", "trusting");
      const { web, dns, hidden } = listen(server.fd, any);
      expect(reach(outside, own, 80, web)).toBe(far);
      expect(reach(outside, own, 53, dns)).toBe(far);
      expect(attempt(outside, own, 81, hidden)).toBeNull();
      expect(attempt(second, own, 80, web)).toBeNull();
    });

    test(`allow-direct-routing, IPv${family}: published ports are open to other hosts directly, not to other networks`, async () => {
      await start({ allowDirectRouting: true });
      await net.create({ Name: "mine", EnableIPv6: true });
      await net.create({ Name: "other", EnableIPv6: true });
      const server = await box("server", "mine");
      const stranger = await box("stranger", "other", false);
      const { web, hidden } = listen(server.fd, any);
      expect(reach(outside, own, 80, web)).toBe(far);
      expect(attempt(outside, own, 81, hidden)).toBeNull();
      expect(attempt(stranger.fd, own, 80, web)).toBeNull();
      expect(reach(outside, host, 8080, web)).toBe(far);
    });

    test(`enable_icc=false, IPv${family}: siblings do not meet, but by a published port`, async () => {
      await start();
      await net.create({ Name: "apart", EnableIPv6: true, Options: { [`${BRIDGE}.enable_icc`]: "false" } });
      const server = await box("server", "apart");
      const sibling = await box("sibling", "apart", false);
      const { web, hidden } = listen(server.fd, any);
      expect(attempt(sibling.fd, own, 81, hidden)).toBeNull();
      expect(attempt(sibling.fd, own, 80, web)).toBeNull();
      expect(reach(sibling.fd, host, 8080, web)).not.toBeNull();
      expect(reach(outside, host, 8080, web)).toBe(far);
    });
  }

  test("a link reaches exposed ports where the default bridge keeps containers apart, and only in its direction", async () => {
    await start({ icc: false });
    const server = await world.container();
    await net.prepare(request("server", { exposedPorts: ["80/tcp", "53/udp"] }));
    await net.plumb("server", server.pid);
    const linked = await world.container();
    await net.prepare(request("linked", { links: ["server:db"], exposedPorts: ["90/tcp"] }));
    await net.plumb("linked", linked.pid);
    const other = await box("other", "bridge", false);
    const address = (name: string) => net.endpoints(name)["bridge"]!.IPAddress!;
    const { web, dns, hidden } = listen(server.fd, "0.0.0.0");
    const back = serve(linked.fd, "tcp", "0.0.0.0", 90);
    const through = () => {
      expect(reach(linked.fd, address("server"), 80, web)).toBe(address("linked"));
      expect(reach(linked.fd, address("server"), 53, dns)).toBe(address("linked"));
      expect(attempt(linked.fd, address("server"), 81, hidden)).toBeNull();
      expect(attempt(other.fd, address("server"), 80, web)).toBeNull();
      expect(attempt(server.fd, address("linked"), 90, back)).toBeNull();
    };
    through();
    new Nftables().run("flush ruleset");
    await eventually(() => new Nftables().run("list ruleset").includes("linked4"));
    through();
    const at = address("server");
    await net.release("linked");
    expect(new Nftables().run("list set inet gantry-gtbr0 linked4")).not.toContain("elements");
    await net.prepare(request("linked"));
    const again = await world.container();
    await net.plumb("linked", again.pid);
    expect(attempt(again.fd, at, 80, web)).toBeNull();
  });

  test("host_binding_ipv4: ports that ask for no address are published at this one alone", async () => {
    await start();
    await net.create({ Name: "bound", Options: { [`${BRIDGE}.host_binding_ipv4`]: "127.0.0.1" } });
    const server = await box("server", "bound");
    const { web } = listen(server.fd, "0.0.0.0");
    expect(net.ports("server")["80/tcp"]).toEqual([{ HostIp: "127.0.0.1", HostPort: "8080" }]);
    expect(reach(world.host, "127.0.0.1", 8080, web)).toBe("10.201.0.1");
    expect(attempt(outside, "10.209.0.1", 8080, web)).toBeNull();
  });

  test("iptables=false: nothing is written; containers are reached and go out under their own addresses", async () => {
    await start({ iptables: false });
    await net.create({ Name: "dual", EnableIPv6: true });
    const server = await box("server", "dual");
    for (const [any, own, far] of [
      ["0.0.0.0", "10.201.0.2", "10.209.0.2"],
      ["::", "fd00:201::2", "fd00:209::2"],
    ] as const) {
      expect(reach(outside, own, 81, listen(server.fd, any).hidden)).toBe(far);
      expect(reach(server.fd, far, 90, serve(outside, "tcp", any, 90))).toBe(own);
    }
    expect(new Nftables().run("list ruleset").trim()).toBe("");
  });

  test("ip6tables=false: IPv6 is neither filtered nor translated; published ports come through the relay", async () => {
    await start({ ip6tables: false });
    await net.create({ Name: "dual", EnableIPv6: true });
    const server = await box("server", "dual");
    const six = listen(server.fd, "::");
    expect(reach(outside, "fd00:201::2", 81, six.hidden)).toBe("fd00:209::2");
    expect(reach(server.fd, "fd00:209::2", 90, serve(outside, "tcp", "::", 90))).toBe("fd00:201::2");
    expect(await reachSlowly(outside, "fd00:209::1", 8080, six.web)).toBe("fd00:201::1");
    const listing = new Nftables().run("list table inet gantry-gtbr0");
    for (const set of ["dnat6_any", "masq6", "home6", "snat6", "into6", "open6"]) {
      const body = new RegExp(`(?:map|set) ${set} \\{[^}]*\\}`).exec(listing)![0];
      expect(body).not.toContain("elements");
    }
    // IPv4 is as ever.
    const four = serve(server.fd, "tcp", "0.0.0.0", 82);
    expect(attempt(outside, "10.201.0.2", 82, four)).toBeNull();
  });
});
