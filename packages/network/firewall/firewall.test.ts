import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import { Nftables } from "@gantry/sys";
import type { NetworkController } from "../contract.ts";
import { openNetwork } from "../open.ts";
import { eventually } from "../testing/eventually.ts";
import { request } from "../testing/request.ts";
import { attempt, reach, type Service, serve, World } from "../testing/world.ts";

describe.skipIf(process.getuid?.() !== 0)("the firewall among others", () => {
  let world: World;
  let outside: number;
  let second: number;
  let net: NetworkController;
  let box: { pid: number; fd: number };
  let web: Service;
  let far: Service;
  let nft: Nftables;

  beforeAll(async () => {
    world = new World();
    outside = world.neighbour("eth0", 0);
    second = world.neighbour("eth1", 1);
    nft = new Nftables();
    net = await openNetwork({ db: new Database(":memory:"), execRoot: "/x", bridge: "gtbr0", bip: "10.200.0.1/24" });
    await net.restore([]);
    box = await world.container();
    await net.prepare(request("box", { portBindings: { "80/tcp": [{ HostPort: "8080" }] } }));
    await net.plumb("box", box.pid);
    web = serve(box.fd, "tcp", "0.0.0.0", 80);
    far = serve(outside, "tcp", "0.0.0.0", 9000);
  });
  afterAll(async () => {
    nft.close();
    await net.shutdown();
    await world.leave();
  });

  const works = (probe = attempt) => [
    probe(outside, "10.209.0.1", 8080, web),
    probe(box.fd, "10.209.0.2", 9000, far),
    attempt(outside, "10.200.0.2", 80, web),
  ];
  const all = ["10.209.0.2", "10.209.0.1", null];

  test("the table comes back exactly after a flush of the whole ruleset", async () => {
    const before = nft.run("list table inet gantry-gtbr0");
    expect(works(reach)).toEqual(all);
    nft.run("flush ruleset");
    expect(attempt(outside, "10.209.0.1", 8080, web)).toBeNull();
    expect(reach(box.fd, "10.209.0.2", 9000, far)).toBe("10.200.0.2");
    expect(reach(outside, "10.200.0.2", 80, web)).toBe("10.209.0.2");
    await eventually(() => isDeepStrictEqual(works(), all));
    expect(sorted(nft.run("list table inet gantry-gtbr0"))).toEqual(sorted(before));
  });

  test("an element or a rule taken away by hand is put back", async () => {
    const before = nft.run("list table inet gantry-gtbr0");
    nft.run("delete element inet gantry-gtbr0 dnat4_any { tcp . 8080 }");
    await eventually(() => isDeepStrictEqual(works(), all));
    nft.run("flush chain inet gantry-gtbr0 enter-nat");
    await eventually(() => isDeepStrictEqual(sorted(nft.run("list table inet gantry-gtbr0")), sorted(before)));
    expect(works(reach)).toEqual(all);
  });

  test("a user's own chain is never touched, and may drop", async () => {
    nft.run(`table inet mine {
      chain forward {
        type filter hook forward priority filter - 1; policy accept;
        ct original ip daddr 10.209.0.1 drop
      }
    }`);
    expect(attempt(outside, "10.209.0.1", 8080, web)).toBeNull();
    await net.create({ Name: "more", IPAM: { Config: [{ Subnet: "10.201.0.0/24" }] } });
    await net.remove("more");
    expect(nft.run("list table inet mine")).toContain("drop");
    nft.run("delete table inet mine");
    expect(works(reach)).toEqual(all);
  });

  test("Docker's iptables with its dropping forward policy is passed, and left as it was", async () => {
    nft.run(`table ip filter {
      chain DOCKER-USER { }
      chain FORWARD { type filter hook forward priority 0; policy drop; counter jump DOCKER-USER; }
    }`);
    expect(works().slice(0, 2)).toEqual([null, null]);
    await eventually(() => isDeepStrictEqual(works(), all));
    expect(nft.run("list chain ip filter DOCKER-USER").match(/comment "gantry:gantry-gtbr0"/g)).toHaveLength(2);
    await net.create({ Name: "more", IPAM: { Config: [{ Subnet: "10.201.0.0/24" }] } });
    expect(nft.run("list chain ip filter DOCKER-USER").match(/gantry:gantry-gtbr0/g)).toHaveLength(4);
    // What an engine left that is gone is swept along; what any other program put there is not touched.
    nft.run('insert rule ip filter DOCKER-USER iifname "gtgone" counter accept comment "gantry:gantry-gtgone"');
    nft.run('insert rule ip filter DOCKER-USER iifname "gtgone" counter accept comment "mine"');
    await net.remove("more");
    expect(nft.run("list chain ip filter DOCKER-USER").match(/gantry:gantry-gtbr0/g)).toHaveLength(2);
    expect(nft.run("list chain ip filter DOCKER-USER").match(/gtgone/g)).toHaveLength(1);
    nft.run("delete table ip filter");
  });

  test("a host that forwards only because of us does not route between its own networks", () => {
    // The tests' cables are veth pairs, which have a kind; network cards have none. So only the rule's presence can be shown here.
    expect(nft.run("list chain inet gantry-gtbr0 forward")).toContain("no routing between network cards");
    expect(attempt(second, "10.200.0.2", 80, web)).toBeNull();
    expect(reach(second, "10.209.1.1", 8080, web)).toBe("10.209.1.2");
  });

  test("a port published on 127.0.0.1 is not reachable from the network, even by a route", async () => {
    const local = await world.container();
    await net.prepare(request("local", { portBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8081" }] } }));
    await net.plumb("local", local.pid);
    const service = serve(local.fd, "tcp", "0.0.0.0", 80);
    expect(reach(world.host, "127.0.0.1", 8081, service)).toBe("10.200.0.1");
    expect(attempt(outside, "10.209.0.1", 8081, service)).toBeNull();
    await net.release("local");
  });
});

/** Lines without the order that sets are listed in. */
const sorted = (text: string) =>
  text
    .replace(/counter packets \d+ bytes \d+/g, "counter")
    .split(/[\n,{}]/)
    .map((line) => line.trim())
    .sort();
