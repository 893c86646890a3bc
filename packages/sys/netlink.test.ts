import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { close, O, open } from "./file.ts";
import { CLONE_NEW, setns, unshare } from "./namespace.ts";
import { NetlinkError } from "./netlink.ts";
import { align, NetlinkBatch, NLM_F, parseAttributes, parseMessages } from "./netlink-message.ts";
import { RouteNetlink } from "./netlink-route.ts";
import { Nftables, NftablesError } from "./nftables.ts";
import { concat, interfaceField, NftElements, portField, protocolField } from "./nftables-elements.ts";
import { AF } from "./socket.ts";

test("messages and attributes are padded, numbered, and read back", () => {
  const batch = new NetlinkBatch();
  batch.message(16, NLM_F.ACK, "one").u8(1).attrString(3, "eth0");
  batch.message(17, 0, "two").nest(18, () => batch.attrU16be(1, 0x1234).attrU32(2, 7));
  const [one, two] = parseMessages(batch.finish(100));
  expect([one!.type, one!.seq, one!.flags, two!.type, two!.seq]).toEqual([16, 100, NLM_F.ACK | NLM_F.REQUEST, 17, 101]);
  const inner = parseAttributes(parseAttributes(two!.payload).get(18)!);
  expect([...inner.get(1)!]).toEqual([0x12, 0x34]);
  expect([...inner.get(2)!]).toEqual([7, 0, 0, 0]);
  expect(() => batch.attr(1, new Uint8Array(70_000))).toThrow(RangeError);
});

test("truncated and lying lengths end the reading", () => {
  const batch = new NetlinkBatch();
  batch.message(16, 0, "one").attrString(3, "eth0");
  const bytes = batch.finish(1).slice();
  expect(parseMessages(bytes.subarray(0, 12))).toEqual([]);
  bytes[0] = 255;
  expect(parseMessages(bytes)).toEqual([]);
  expect(parseAttributes(Uint8Array.of(3, 0, 1, 0)).size).toBe(0);
  expect(parseAttributes(Uint8Array.of(200, 0, 1, 0, 1)).size).toBe(0);
  expect(align(5)).toBe(8);
});

describe.skipIf(process.getuid?.() !== 0)("in a namespace of its own", () => {
  const home = open("/proc/thread-self/ns/net", O.RDONLY);
  let other = -1;
  let netlink: RouteNetlink;
  beforeAll(() => {
    unshare(CLONE_NEW.NET);
    other = open("/proc/thread-self/ns/net", O.RDONLY);
    unshare(CLONE_NEW.NET);
    netlink = RouteNetlink.open();
  });
  afterAll(() => {
    netlink.close();
    setns(home, CLONE_NEW.NET);
    close(other);
    close(home);
  });

  test("a pair whose ends live in two namespaces, with addresses, routes and counters", () => {
    netlink.run(netlink.batch().createLink({ name: "br0", mac: "02:00:00:00:00:01" }, { kind: "bridge" }));
    const bridge = netlink.link("br0")!;
    netlink.run(
      netlink
        .batch()
        .createVeth(
          { name: "v0", master: bridge.index, up: true, mtu: 1400 },
          { name: "eth0", mac: "02:00:00:00:00:02", namespaceFd: other },
        )
        .setBridgePort("v0", { isolated: true, hairpin: true })
        .addAddress(bridge.index, "10.200.0.1/24")
        .addAddress(bridge.index, "fd00:200::1/64")
        .setLink("br0", { up: true }),
    );
    expect(netlink.link("v0")).toMatchObject({ kind: "veth", master: bridge.index, mtu: 1400, up: true });
    const inside = RouteNetlink.openIn(other);
    const eth0 = inside.link("eth0")!;
    expect(eth0).toMatchObject({ mac: "02:00:00:00:00:02", up: false });
    inside.run(
      inside
        .batch()
        .addAddress(eth0.index, "10.200.0.2/24")
        .setLink(eth0.index, { up: true, name: "wan0" })
        .addRoute({ destination: "0.0.0.0/0", gateway: "10.200.0.1", link: eth0.index }),
    );
    expect(inside.routes(AF.INET)).toContainEqual({
      destination: "0.0.0.0/0",
      gateway: "10.200.0.1",
      link: eth0.index,
      table: 254,
      type: 1,
    });
    expect(inside.addresses().map((one) => `${one.address}/${one.prefix}`)).toContain("10.200.0.2/24");
    expect(inside.links(true).find((link) => link.name === "wan0")!.stats!.rxBytes).toBeGreaterThanOrEqual(0);
    inside.run(inside.batch().deleteRoute({ destination: "0.0.0.0/0", gateway: "10.200.0.1", link: eth0.index }));
    expect(inside.routes(AF.INET).some((route) => route.destination === "0.0.0.0/0")).toBe(false);
    inside.run(inside.batch().addNeighbour(eth0.index, "10.200.0.9", "02:00:00:00:00:09"));
    expect(inside.neighbours(AF.INET)).toContainEqual({
      link: eth0.index,
      address: "10.200.0.9",
      mac: "02:00:00:00:00:09",
      state: 0x80,
    });
    inside.close();
  });

  test("the first refusal of a batch is told, with the kernel's words; the rest is carried out", () => {
    const batch = netlink
      .batch()
      .deleteLink("nothere")
      .createLink({ name: "br1" }, { kind: "bridge" })
      .createLink({ name: "br1" }, { kind: "bridge" });
    try {
      netlink.run(batch);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(NetlinkError);
      expect(error).toMatchObject({ code: "ENODEV", index: 0 });
    }
    expect(netlink.link("br1")).not.toBeNull();
    expect(() => netlink.run(netlink.batch().setLink("br1", { master: 999_999 }))).toThrow(/set br1/);
    expect(netlink.link("nothere")).toBeNull();
    expect(netlink.link(999_999)).toBeNull();
    expect(() => netlink.batch().addAddress(1, "10.0.0.1/40")).toThrow(RangeError);
  });

  test("a deletion by another thread does not hold this one up", async () => {
    netlink.run(netlink.batch().createVeth({ name: "gone0" }, { name: "gone1" }));
    const done = netlink.runElsewhere(netlink.batch().deleteLink("gone0").deleteLink("nothere"));
    await done;
    expect(netlink.link("gone0")).toBeNull();
  });

  test("set elements are changed all or none, counted, and told from a table made anew", () => {
    const nft = new Nftables();
    const ruleset = `table inet t
      delete table inet t
      table inet t {
        map ports { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
        map links { type ifname : verdict; }
        chain one { drop; }
      }`;
    nft.run(ruleset);
    const table = new NftElements("t");
    const port = (number: number) => ({
      set: "ports",
      key: concat(protocolField(6), portField(number)),
      data: concat(Uint8Array.of(10, 0, 0, 2), portField(80)),
    });
    table.change(
      [
        ...Array.from({ length: 1500 }, (_, i) => port(1000 + i)),
        { set: "links", key: interfaceField("eth0"), data: { jump: "one" } },
      ],
      [],
    );
    expect(table.count("ports")).toBe(1500);
    expect(table.packets([port(1000), port(1001)])).toBe(0);
    expect(nft.run("list map inet t links")).toContain('"eth0" : jump one');
    expect(nft.run("get element inet t ports { tcp . 1000 }")).toContain("10.0.0.2 . 80");
    expect(() => table.change([port(5000), port(1000)], [])).toThrow("file exists");
    expect(() => table.change([port(5000)], [port(4999)])).toThrow("no such file");
    expect(table.count("ports")).toBe(1500);
    table.change([port(5000)], [port(1000), port(1001)]);
    expect(table.count("ports")).toBe(1499);
    const [before, generation] = [table.identity(), table.generation()];
    nft.run(ruleset);
    expect(table.identity()).not.toBe(before);
    expect(table.generation()).not.toBe(generation);
    nft.run("delete table inet t");
    expect(table.identity()).toBeNull();
    expect(() => table.change([port(1)], [])).toThrow("no such file");
    table.close();
    nft.close();
  });

  test("nft's own errors are told and nothing is carried out", () => {
    const nft = new Nftables();
    expect(() =>
      nft.run("add table inet half\nadd chain inet half c { type nonsense hook input priority 0; }"),
    ).toThrow(NftablesError);
    expect(nft.run("list tables")).not.toContain("half");
    expect(JSON.parse(nft.run("list tables", "json"))).toHaveProperty("nftables");
    nft.close();
  });
});
