import { Database } from "bun:sqlite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { inNetworkNamespace, Nftables, RouteNetlink } from "@gantry/sys";
import type { NetworkController, NetworkEvent } from "./contract.ts";
import { openNetwork } from "./open.ts";
import { eventually } from "./testing/eventually.ts";
import { request } from "./testing/request.ts";
import { attempt, reach, serve, World } from "./testing/world.ts";

const BRIDGE = "gtbr0";

describe.skipIf(process.getuid?.() !== 0)("networks and sandboxes", () => {
  let world: World;
  let outside: number;
  let db: Database;
  let net: NetworkController;
  const events: NetworkEvent[] = [];

  const open = async () => {
    net = await openNetwork({
      db,
      execRoot: "/nonexistent",
      bridge: BRIDGE,
      bip: "10.200.0.1/24",
      addressPools: [{ base: "10.201.0.0/16", size: 24 }],
    });
    net.onEvent((event) => events.push(event));
  };
  beforeAll(async () => {
    world = new World();
    outside = world.neighbour("eth0", 0);
    db = new Database(":memory:");
    await open();
    await net.restore([]);
  });
  afterAll(async () => {
    await net.shutdown();
    await world.leave();
  });
  const containers: string[] = [];
  afterEach(async () => {
    for (const id of containers.splice(0)) await net.release(id);
    for (const network of net.list())
      if (!["bridge", "host", "none"].includes(network.Name)) await net.remove(network.Id);
  });

  const start = async (id: string, more: Parameters<typeof request>[1] = {}) => {
    const box = await world.container();
    containers.push(id);
    const prepared = await net.prepare(request(id, more));
    await net.plumb(id, box.pid);
    return { ...box, ...prepared };
  };
  const inside = (fd: number) => {
    const netlink = RouteNetlink.openIn(fd);
    try {
      const names = new Map(netlink.links().map((link) => [link.index, link.name]));
      return {
        links: [...names.values()],
        addresses: netlink.addresses().map((one) => `${names.get(one.link)} ${one.address}/${one.prefix}`),
        routes: [...netlink.routes(2), ...netlink.routes(10)]
          .filter((route) => route.destination.endsWith("/0") && route.table === 254 && route.type === 1)
          .map((route) => `${route.gateway} ${names.get(route.link)}`),
      };
    } finally {
      netlink.close();
    }
  };

  test("a container that has left its last network shows no ports until it joins one again", async () => {
    await start("leaves", {
      portBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
      exposedPorts: ["81/tcp"],
    });
    expect(net.ports("leaves")).toEqual({ "80/tcp": [expect.anything()], "81/tcp": null });
    await net.disconnect("leaves", "bridge", false);
    expect(net.ports("leaves")).toEqual({});
    await net.connect("leaves", "bridge", {});
    expect(net.ports("leaves")).toEqual({ "80/tcp": [expect.anything()], "81/tcp": null });
  });

  test("a network that was cut off, or could not be written down, leaves neither a device nor a row", async () => {
    const links = () => {
      const netlink = RouteNetlink.open();
      try {
        return netlink.links().flatMap(({ name }) => (name.startsWith("br-") ? [name] : []));
      } finally {
        netlink.close();
      }
    };
    const rows = (name: string) =>
      db.query("SELECT id FROM networks WHERE json_extract(record, '$.name') = ?").all(name).length;
    db.run(`CREATE TRIGGER full BEFORE INSERT ON networks
      WHEN json_extract(NEW.record, '$.name') = 'full' AND json_extract(NEW.record, '$.state.making') IS NULL
      BEGIN SELECT RAISE(ABORT, 'full'); END`);
    const before = links();
    await expect(net.create({ Name: "full" })).rejects.toThrow("full");
    db.run("DROP TRIGGER full");
    expect([links(), rows("full")]).toEqual([before, 0]);

    const { id } = await net.create({ Name: "cut" });
    expect(links()).toContain(`br-${id.slice(0, 12)}`);
    // As it is while its device is being made.
    db.run("UPDATE networks SET record = json_set(record, '$.state.making', '1') WHERE id = ?", [id]);
    await net.shutdown();
    await open();
    await net.restore([]);
    expect([net.list().some(({ Name }) => Name === "cut"), rows("cut")]).toEqual([false, 0]);
    await eventually(() => links().length <= before.length);
    expect(links()).toEqual(before);
    await net.create({ Name: "cut" });
  });

  test("a bridge that is still being deleted is nobody else's", async () => {
    const Options = { "com.docker.network.bridge.name": "gtown0" };
    await net.create({ Name: "before", Options });
    const removed = net.remove("before");
    await expect(net.create({ Name: "after", Options })).rejects.toThrow("networks have same bridge name");
    await removed;
    await net.create({ Name: "after", Options });
    const netlink = RouteNetlink.open();
    expect(netlink.link("gtown0")).not.toBeNull();
    netlink.close();
  });

  test("a disconnect that a kill interrupts has happened", async () => {
    await net.create({ Name: "left" });
    const box = await start("leaver", { networkMode: "left" });
    await net.connect("leaver", "bridge", {});
    const leaving = net.disconnect("leaver", "left", false);
    // What a daemon finds that is started now.
    const row = db.query("SELECT record FROM sandboxes WHERE container = 'leaver'").get() as { record: string };
    expect(JSON.parse(row.record).endpoints).toHaveLength(1);
    await leaving;
    expect(linksOf(box.fd).sort()).toEqual(["eth1", "lo"]);
  });

  test("the modes host, none and container: leave the namespace alone, but for loopback", async () => {
    const none = await start("none-box", { networkMode: "none" });
    expect(inside(none.fd)).toEqual({ links: ["lo"], addresses: ["lo 127.0.0.1/8", "lo ::1/128"], routes: [] });
    expect(Object.keys(net.endpoints("none-box"))).toEqual(["none"]);
    await net.prepare(request("host-box", { networkMode: "host", portBindings: { "80/tcp": [{ HostPort: "80" }] } }));
    expect(net.ports("host-box")).toEqual({});
    const shared = await net.prepare(request("shared", { networkMode: "container:none-box" }));
    expect(shared.hosts).toBe("");
    containers.push("host-box", "shared");
  });

  test("a container on three networks; joining and leaving while it runs moves the default route and the ports", async () => {
    await net.create({
      Name: "a",
      EnableIPv6: true,
      IPAM: { Config: [{ Subnet: "10.202.0.0/24" }, { Subnet: "fd00:202::/64" }] },
    });
    await net.create({ Name: "z", IPAM: { Config: [{ Subnet: "10.203.0.0/24", Gateway: "10.203.0.254" }] } });
    const box = await start("box", {
      networkMode: "z",
      endpoints: {
        z: { IPAMConfig: { IPv4Address: "10.203.0.77" }, MacAddress: "02:11:22:33:44:55", Aliases: ["web"] },
      },
      portBindings: { "80/tcp": [{ HostPort: "8080" }] },
    });
    expect(inside(box.fd).routes).toEqual(["10.203.0.254 eth0"]);
    expect(box.hosts).toContain("10.203.0.77\tbox\n");
    const z = net.endpoints("box")["z"]!;
    expect(z).toMatchObject({ IPAddress: "10.203.0.77", MacAddress: "02:11:22:33:44:55", Gateway: "10.203.0.254" });
    expect(z.DNSNames).toEqual(["box", "web"]);

    let hosts = "";
    net.onFiles((change) => {
      hosts = change.hosts.text;
    });
    await net.connect("box", "a", {});
    expect(inside(box.fd).routes.sort()).toEqual(["10.202.0.1 eth1", "fd00:202::1 eth1"]);
    expect(hosts).toContain("10.202.0.2\tbox\n");
    expect(hosts).toContain("fd00:202::2\tbox\n");
    const web = serve(box.fd, "tcp", "0.0.0.0", 80);
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    await expect(net.connect("box", "a", {})).rejects.toThrow("endpoint with name box already exists in network a");

    await net.connect("box", "bridge", { GwPriority: 5 });
    expect(inside(box.fd).routes.sort()).toEqual(["10.200.0.1 eth2", "fd00:202::1 eth1"]);
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    await expect(net.remove("a")).rejects.toThrow(
      /error while removing network: network a has active endpoints \(name:"box" id:"/,
    );

    await net.disconnect("box", "bridge", false);
    await net.disconnect("box", "a", false);
    expect(inside(box.fd)).toMatchObject({ links: ["lo", "eth0"], routes: ["10.203.0.254 eth0"] });
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    await expect(net.disconnect("box", "a", false)).rejects.toThrow("is not connected to network a");
    expect(
      events.filter((event) => event.containerId === "box").map((event) => `${event.action} ${event.networkName}`),
    ).toEqual(["connect z", "connect a", "connect bridge", "disconnect bridge", "disconnect a"]);
  });

  test("internal networks have no way out or in; networks without icc keep containers apart", async () => {
    await net.create({ Name: "in", Internal: true });
    await net.create({ Name: "apart", Options: { "com.docker.network.bridge.enable_icc": "false" } });
    const one = await start("one", { networkMode: "in", portBindings: { "80/tcp": [{ HostPort: "8080" }] } });
    const two = await start("two", { networkMode: "in" });
    expect(inside(one.fd).routes).toEqual([]);
    expect(net.ports("one")).toEqual({});
    const web = serve(one.fd, "tcp", "0.0.0.0", 80);
    const address = net.endpoints("one")["in"]!.IPAddress!;
    expect(reach(two.fd, address, 80, web)).not.toBeNull();
    expect(attempt(outside, address, 80, web)).toBeNull();

    const a = await start("a", { networkMode: "apart", portBindings: { "80/tcp": [{ HostPort: "8081" }] } });
    const b = await start("b", { networkMode: "apart" });
    const service = serve(a.fd, "tcp", "0.0.0.0", 80);
    expect(attempt(b.fd, net.endpoints("a")["apart"]!.IPAddress!, 80, service)).toBeNull();
    expect(reach(b.fd, "10.209.0.1", 8081, service)).not.toBeNull();
  });

  test("a network in routed mode is reached by its own addresses, at published ports only", async () => {
    await net.create({
      Name: "routed",
      Options: { "com.docker.network.bridge.gateway_mode_ipv4": "routed" },
      IPAM: { Config: [{ Subnet: "10.204.0.0/24" }] },
    });
    const box = await start("box", { networkMode: "routed", portBindings: { "80/tcp": [{}] } });
    const web = serve(box.fd, "tcp", "0.0.0.0", 80);
    const hidden = serve(box.fd, "tcp", "0.0.0.0", 81);
    const far = serve(outside, "tcp", "0.0.0.0", 9000);
    expect(reach(outside, "10.204.0.2", 80, web)).toBe("10.209.0.2");
    expect(attempt(outside, "10.204.0.2", 81, hidden)).toBeNull();
    expect(reach(box.fd, "10.209.0.2", 9000, far)).toBe("10.204.0.2");
  });

  test("ports of a running container are added and removed, and their connections with them", async () => {
    const box = await start("box", { portBindings: { "53/udp": [{ HostPort: "5300" }] } });
    const dns = serve(box.fd, "udp", "0.0.0.0", 53);
    const web = serve(box.fd, "tcp", "0.0.0.0", 80);
    expect(reach(outside, "10.209.0.1", 5300, dns)).toBe("10.209.0.2");
    await net.publish("box", { "80/tcp": [{ HostPort: "8080" }] }, {});
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    expect(tracked(world.host)).toContain("sport=53 ");
    await net.publish("box", {}, { "53/udp": [{ HostPort: "5300" }] });
    // At once: whoever has the port next must not lose a connection to what was before.
    expect(tracked(world.host)).not.toContain("sport=53 ");
    expect(attempt(outside, "10.209.0.1", 5300, dns)).toBeNull();
    expect(net.ports("box")).toEqual({
      "80/tcp": [
        { HostIp: "0.0.0.0", HostPort: "8080" },
        { HostIp: "::", HostPort: "8080" },
      ],
    });
    await expect(net.publish("box", {}, { "81/tcp": [] })).rejects.toThrow("not published");
  });

  test("a released container's connections are forgotten where its ports were used", async () => {
    const box = await start("box", { portBindings: { "53/udp": [{ HostPort: "5300" }] } });
    const dns = serve(box.fd, "udp", "0.0.0.0", 53);
    expect(reach(outside, "10.209.0.1", 5300, dns)).toBe("10.209.0.2");
    const address = net.endpoints("box")["bridge"]!.IPAddress!;
    expect(tracked(world.host)).toContain(`src=${address} dst=10.209.0.2 sport=53`);
    await net.release("box");
    await eventually(() => !tracked(world.host).includes(`src=${address} dst=10.209.0.2 sport=53`));
  });

  test("a failing start leaves nothing behind", async () => {
    await start("first", { portBindings: { "80/tcp": [{ HostPort: "8080" }] } });
    const before = net.resolve("bridge");
    await expect(
      net.prepare(
        request("second", { portBindings: { "80/tcp": [{ HostPort: "8090" }], "81/tcp": [{ HostPort: "8080" }] } }),
      ),
    ).rejects.toThrow(
      /^failed to set up container networking: driver failed programming external connectivity on endpoint second \([0-9a-f]{64}\): Bind for 0.0.0.0:8080 failed: port is already allocated$/,
    );
    expect(net.resolve("bridge")).toEqual(before);
    await net.prepare(request("third", { portBindings: { "80/tcp": [{ HostPort: "8090" }] } }));
    await expect(net.plumb("third", 4_000_000)).rejects.toThrow("is gone");
    await net.release("third");
    expect(net.resolve("bridge")).toEqual(before);
  });

  test("after a daemon's death the living are adopted, the dead released, strays deleted, ports still open", async () => {
    await net.create({ Name: "kept", IPAM: { Config: [{ Subnet: "10.205.0.0/24" }] } });
    const living = await start("living", { networkMode: "kept", portBindings: { "80/tcp": [{ HostPort: "8080" }] } });
    await start("dead", { networkMode: "kept", portBindings: { "80/tcp": [{ HostPort: "8081" }] } });
    const web = serve(living.fd, "tcp", "0.0.0.0", 80);
    const was = { endpoints: net.endpoints("living"), network: net.resolve("kept"), ports: net.ports("living") };
    // The old controller is simply forgotten, as by a kill; only what it holds in this process must go.
    await net.shutdown();
    await open();
    await net.restore([{ containerId: "living", pid: living.pid }]);
    expect(net.endpoints("living")).toEqual(was.endpoints);
    expect(net.ports("living")).toEqual(was.ports);
    const { dead: _, ...others } = was.network.Containers;
    expect(net.resolve("kept").Containers).toEqual(others);
    expect(reach(outside, "10.209.0.1", 8080, web)).toBe("10.209.0.2");
    const next = await start("next", { networkMode: "kept", portBindings: { "80/tcp": [{ HostPort: "8081" }] } });
    expect(net.endpoints("next")["kept"]!.IPAddress).not.toBe(was.endpoints["kept"]!.IPAddress);
    expect(inside(next.fd).links).toEqual(["lo", "eth0"]);
    await expect(net.prepare(request("x", { portBindings: { "80/tcp": [{ HostPort: "8080" }] } }))).rejects.toThrow(
      "allocated",
    );
    const links = linksOf(world.host);
    expect(links.filter((name) => name.startsWith("veth"))).toHaveLength(2);
  });

  test("sysctls of one interface, link-local addresses, and the counters of stats", async () => {
    const box = await start("box", {
      endpoints: {
        bridge: {
          DriverOpts: { "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1" },
          IPAMConfig: { LinkLocalIPs: ["169.254.7.7"] },
        },
      },
    });
    expect(inside(box.fd).addresses).toContain("eth0 169.254.7.7/16");
    const value = inNetworkNamespace(
      box.fd,
      () => readFileSync("/proc/sys/net/ipv4/conf/eth0/log_martians", "utf8") as never,
    ) as unknown as string;
    expect(value.trim()).toBe("1");
    attempt(box.fd, "10.209.0.2", 1, serve(outside, "tcp", "0.0.0.0", 9001));
    expect((await net.stats("box"))["eth0"]!.tx_packets).toBeGreaterThan(0);
  });

  test("an engine without a default bridge keeps a table of its own", async () => {
    const own = new Database(":memory:");
    const tables = () => new Nftables().run("list tables").match(/gantry-none-[0-9a-f]{8}/g);
    for (let i = 0; i < 2; i++) {
      const lonely = await openNetwork({ db: own, execRoot: "/nonexistent", bridge: "none", ipForwardNoDrop: true });
      await lonely.restore([]);
      expect(
        lonely
          .list()
          .map((network) => network.Name)
          .sort(),
      ).toEqual(["host", "none"]);
      expect(tables()).toHaveLength(1);
      await lonely.shutdown();
      expect(tables()).toBeNull();
    }
  });

  test("a container that is started again has its addresses again, unless somebody else took them", async () => {
    const address = () => {
      const { IPAddress, MacAddress } = net.endpoints("again")["bridge"]!;
      return { IPAddress, MacAddress };
    };
    await start("again");
    const first = address();
    await start("other");
    await net.release("again");
    await start("again");
    expect(address()).toEqual(first);
    await net.release("again");
    await net.create({ Name: "own", IPAM: { Config: [{ Subnet: "10.206.0.0/24" }] } });
    const wanted = { own: { IPAMConfig: { IPv4Address: "10.206.0.2" } } };
    await start("first", { networkMode: "own", endpoints: { own: {} } });
    await net.release("first");
    await start("thief", { networkMode: "own", endpoints: wanted });
    await start("first", { networkMode: "own", endpoints: { own: {} } });
    expect(net.endpoints("first")["own"]!.IPAddress).toBe("10.206.0.3");
  });

  test("interfaces are called as asked for, and the others by the names that are left", async () => {
    const named = (name: string) => ({ DriverOpts: { "com.docker.network.endpoint.ifname": name } });
    for (const Name of ["red", "green", "blue"]) await net.create({ Name });
    const box = await start("named", { networkMode: "red", endpoints: { red: {}, green: named("eth0") } });
    await net.connect("named", "blue", named("uplink"));
    expect(inside(box.fd).links.sort()).toEqual(["eth0", "eth1", "lo", "uplink"]);
    expect(Object.keys(net.endpoints("named"))).toEqual(["red", "green", "blue"]);
  });

  test("a container without a network may leave none and join another", async () => {
    await net.create({ Name: "own" });
    const box = await start("loner", { networkMode: "none" });
    await expect(net.connect("loner", "own", {})).rejects.toThrow("one of the networks in private (none) mode");
    await net.disconnect("loner", "none", false);
    await net.connect("loner", "own", {});
    expect(Object.keys(net.endpoints("loner"))).toEqual(["own"]);
    expect(inside(box.fd).links.sort()).toEqual(["eth0", "lo"]);
  });

  test("a subnet of a family that is off is shown, and nothing else", async () => {
    await net.create({ Name: "half", IPAM: { Config: [{ Subnet: "fd00:206::/64" }] } });
    const { IPAM, EnableIPv6 } = net.resolve("half");
    expect([EnableIPv6, IPAM?.Config?.length, IPAM?.Config?.[0]]).toEqual([false, 2, { Subnet: "fd00:206::/64" }]);
    await net.create({ Name: "whole", EnableIPv6: true, IPAM: { Config: [{ Subnet: "fd00:206::/64" }] } });
    await start("six", { networkMode: "half", endpoints: { half: {} } });
    expect(net.endpoints("six")["half"]!.GlobalIPv6Address).toBe("");
  });

  test("what cannot be is refused in Docker's words", async () => {
    const refused = (work: Promise<unknown>, text: string | RegExp) => expect(work).rejects.toThrow(text);
    await net.create({ Name: "mine", IPAM: { Config: [{ Subnet: "10.206.0.0/24" }] } });
    await refused(net.create({ Name: "mine" }), "network with name mine already exists");
    await refused(net.create({ Name: "bridge" }), "operation is not permitted on predefined bridge network");
    await refused(net.create({ Name: "" }), "invalid name: name is empty");
    await refused(net.create({ Name: "x", Driver: "nope" }), 'plugin "nope" not found');
    await refused(net.create({ Name: "x", Driver: "../nope" }), 'plugin "../nope" not found');
    await refused(net.create({ Name: "x", Driver: "host" }), 'only one instance of "host" network is allowed');
    const subnet = (Subnet: string, more = {}) => net.create({ Name: "x", IPAM: { Config: [{ Subnet, ...more }] } });
    await refused(
      subnet("10.206.0.128/25"),
      "invalid pool request: Pool overlaps with other one on this address space",
    );
    await refused(subnet("10.207.0.1/24"), "invalid subnet 10.207.0.1/24: it should be 10.207.0.0/24");
    await refused(subnet("10.207.0.0/33"), "invalid subnet 10.207.0.0/33: invalid CIDR block notation");
    await refused(
      subnet("10.207.0.0/24", { IPRange: "10.207.0.0/16" }),
      "invalid ip-range 10.207.0.0/16: CIDR block is bigger than its parent subnet 10.207.0.0/24",
    );
    for (const Gateway of ["10.207.0.0", "10.207.0.255"]) {
      await refused(
        subnet("10.207.0.0/24", { Gateway }),
        `failed to allocate gateway (${Gateway}): Address already in use`,
      );
    }
    const others = (AuxiliaryAddresses: object, more = {}) => subnet("10.207.0.0/24", { AuxiliaryAddresses, ...more });
    const taken = (what: string) => `failed to allocate secondary ip address (${what}): Address already in use`;
    await refused(others({ a: "10.207.0.1" }), taken("a:10.207.0.1"));
    await refused(others({ a: "10.207.0.5" }, { Gateway: "10.207.0.5" }), taken("a:10.207.0.5"));
    await refused(others({ a: "10.207.0.5", b: "10.207.0.5" }), taken("b:10.207.0.5"));
    const two = [{ Subnet: "10.207.0.0/24" }, { Subnet: "10.208.0.0/24" }];
    await refused(net.create({ Name: "x", IPAM: { Config: two } }), "bridge driver doesn't support multiple subnets");
    await refused(net.create({ Name: "x", IPAM: { Driver: "null" } }), "ipv4 pool is empty");
    await refused(
      net.create({ Name: "x", ConfigOnly: true, Internal: true }),
      "configuration network can only contain network specific fields.",
    );
    await refused(
      net.create({ Name: "x", ConfigFrom: { Network: "no" } }),
      'configuration network "no" does not exist',
    );
    await refused(net.remove("bridge"), "bridge is a pre-defined network and cannot be removed");
    await refused(net.remove("nope"), "network nope not found");
    const options = (Options: Record<string, string>, Driver = "bridge") => net.create({ Name: "x", Driver, Options });
    await refused(
      options({ "com.docker.network.bridge.enable_icc": "maybe" }),
      "failed to parse com.docker.network.bridge.enable_icc value: maybe",
    );
    const mtu = "com.docker.network.driver.mtu";
    await refused(
      options({ [mtu]: "x" }),
      `failed to parse ${mtu} value: x (strconv.Atoi: parsing "x": invalid syntax)`,
    );
    await refused(options({ [mtu]: "-1" }), "invalid MTU number: -1");
    await refused(
      net.create({ Name: "x", IPAM: { Config: [{}] } }),
      "invalid network config:\ninvalid subnet : invalid CIDR block notation",
    );
    const inject = "192.0.2.1 }\nadd table inet injected\n#";
    for (const [key, value] of [
      ["com.docker.network.host_ipv4", inject],
      ["com.docker.network.host_ipv4", "fd00::1"],
      ["com.docker.network.host_ipv6", "192.0.2.1"],
    ] as const) {
      await refused(options({ [key]: value }), `failed to parse ${key} value: ${value} (nil ip)`);
    }
    await refused(
      options({ "com.docker.network.bridge.trusted_host_interfaces": 'lo:x" }' }),
      'invalid interface name "x\\" }"',
    );
    await refused(options({ "com.docker.network.bridge.name": "lo" }), "existing interface lo is not a bridge");
    await refused(
      options({ "com.docker.network.bridge.name": BRIDGE }),
      new RegExp(`conflicts with network ${net.resolve("bridge").Id} \\(${BRIDGE}\\): networks have same bridge name`),
    );
    await refused(
      options({ "com.docker.network.bridge.name": "toolongname123456789" }),
      "numerical result out of range",
    );
    await refused(
      options({ "com.docker.network.bridge.gateway_mode_ipv4": "isolated" }),
      "can only be used for an internal network",
    );
    await refused(
      options({ macvlan_mode: "foo", parent: "eth0" }, "macvlan"),
      "requested macvlan mode 'foo' is not valid",
    );
    const endpoint = (network: string, settings: object) =>
      net.prepare(request("x", { networkMode: network, endpoints: { [network]: settings } }));
    await refused(
      endpoint("bridge", { IPAMConfig: { IPv4Address: "10.200.0.9" } }),
      "supported on user defined networks only",
    );
    await refused(
      endpoint("mine", { IPAMConfig: { IPv4Address: "10.99.0.9" } }),
      "no configured subnet or ip-range contain the IP address 10.99.0.9",
    );
    await refused(endpoint("mine", { IPAMConfig: { IPv4Address: "10.206.0.1" } }), "Address already in use");
    await refused(endpoint("mine", { IPAMConfig: { IPv4Address: "10.206.0.255" } }), "Address already in use");
    await refused(
      endpoint("mine", { DriverOpts: { "com.docker.network.endpoint.ifname": "toolongname123456789" } }),
      "numerical result out of range",
    );
    await refused(
      net.connect("x", "mine", { IPAMConfig: { IPv4Address: "10.99.0.9" } }),
      /^invalid endpoint settings:\nno configured subnet/,
    );
    await refused(endpoint("mine", { MacAddress: "zz" }), "invalid MAC address zz");
    for (const address of ["1.2.3.4", "fd00::1"]) {
      const words = `invalid link local IP address: ${address}`;
      await refused(endpoint("mine", { IPAMConfig: { LinkLocalIPs: [address] } }), words);
    }
    await refused(
      net.prepare(request("x", { networkMode: "nope" })),
      "failed to set up container networking: network nope not found",
    );
    await refused(net.connect("x", "host", {}), "container must be created in host network mode");
    expect(
      net
        .list()
        .map((network) => network.Name)
        .sort(),
    ).toEqual(["bridge", "host", "mine", "none"]);
    expect(net.resolve(net.resolve("mine").Id.slice(0, 12)).Name).toBe("mine");
  });
});

const tracked = (namespaceFd: number): string =>
  inNetworkNamespace(
    namespaceFd,
    () => readFileSync("/proc/thread-self/net/nf_conntrack", "utf8") as never,
  ) as unknown as string;

const linksOf = (namespaceFd: number): string[] => {
  const netlink = RouteNetlink.openIn(namespaceFd);
  const names = netlink.links().map((link) => link.name);
  netlink.close();
  return names;
};
