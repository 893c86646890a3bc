import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Nftables, RouteNetlink } from "@gantry/sys";
import type { NetworkController } from "./contract.ts";
import { openNetwork } from "./open.ts";
import { eventually } from "./testing/eventually.ts";
import { request } from "./testing/request.ts";
import { World } from "./testing/world.ts";

/** A generator of the same numbers in each run (Park and Miller). */
function dice(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

describe.skipIf(process.getuid?.() !== 0)("200 rounds of random life", () => {
  let world: World;
  let db: Database;
  let net: NetworkController;
  const open = () =>
    openNetwork({
      db,
      execRoot: "/x",
      bridge: "gtbr0",
      bip: "10.200.0.1/24",
      addressPools: [
        { base: "10.201.0.0/16", size: 24 },
        { base: "fd00:201::/48", size: 64 },
      ],
    });
  beforeAll(async () => {
    world = new World();
    world.neighbour("eth0", 0);
    db = new Database(":memory:");
    net = await open();
    await net.restore([]);
  });
  afterAll(async () => {
    await net.shutdown();
    await world.leave();
  });

  test("leave no interface, address, rule, port or row behind", async () => {
    const roll = dice(20261121);
    const nft = new Nftables();
    const table = () => nft.run("list table inet gantry-gtbr0");
    const before = table();
    const networks = ["bridge", "n1", "n2", "n3"];
    for (const Name of networks.slice(1)) await net.create({ Name, EnableIPv6: Name !== "n1" });
    const alive = new Map<string, { pid: number; kill: () => Promise<void> }>();
    let serial = 0;
    for (let round = 0; round < 200; round++) {
      const ids = [...alive.keys()];
      const id = ids[roll(ids.length || 1)];
      const kind = roll(10);
      if (kind < 3 || id === undefined) {
        if (alive.size >= 8) continue;
        const box = await world.container();
        const name = `box${++serial}`;
        const portBindings = { "80/tcp": [{ HostPort: roll(2) ? "" : String(20000 + serial) }], "53/udp": [{}] };
        await net.prepare(request(name, { networkMode: networks[roll(4)]!, portBindings }));
        await net.plumb(name, box.pid);
        alive.set(name, box);
      } else if (kind < 5) {
        // Its processes die; the engine releases it, sometimes before the kernel has cleaned up and sometimes after.
        await alive.get(id)!.kill();
        if (roll(2)) await Bun.sleep(5);
        await net.release(id);
        alive.delete(id);
      } else if (kind < 7) {
        await net.connect(id, networks[roll(4)]!, { GwPriority: roll(3) }).catch((error: Error) => {
          expect(error.message).toContain("already exists in network");
        });
      } else if (kind < 8) {
        const joined = Object.keys(net.endpoints(id));
        await net.disconnect(id, joined[roll(joined.length || 1)] ?? "n1", true);
      } else if (kind < 9) {
        // The daemon is killed and started; meanwhile one container may have died.
        const dead = roll(2) && alive.size > 1 ? id : undefined;
        await net.shutdown();
        if (dead !== undefined) {
          await alive.get(dead)!.kill();
          alive.delete(dead);
        }
        net = await open();
        await net.restore([...alive].map(([containerId, box]) => ({ containerId, pid: box.pid })));
      } else {
        await net.publish(id, { "443/tcp": [{}] }, {}).catch(() => {});
      }
    }
    for (const [id, box] of alive) {
      await box.kill();
      await net.release(id);
    }
    for (const Name of networks.slice(1)) await net.remove(Name);
    await net.shutdown();
    net = await open();
    await net.restore([]);
    expect(sorted(table())).toEqual(sorted(before));
    const netlink = RouteNetlink.open();
    const names = () =>
      netlink
        .links()
        .map((link) => link.name)
        .sort();
    // Links are taken away some time after what they were for.
    await eventually(() => names().length <= 3);
    expect(names()).toEqual(["eth0", "gtbr0", "lo"]);
    netlink.close();
    expect(db.query("SELECT count(*) AS n FROM sandboxes").get()).toEqual({ n: 0 });
    expect(
      net
        .list()
        .map((network) => network.Name)
        .sort(),
    ).toEqual(["bridge", "host", "none"]);
    expect(net.resolve("bridge").Containers).toEqual({});
    nft.close();
  }, 240_000);
});

const sorted = (text: string) =>
  text
    .split(/[\n,{}]/)
    .map((line) => line.trim())
    .sort();
