import { describe, expect, test } from "bun:test";
import { AddressSet } from "./addresses.ts";
import { covers, formatCidr, overlaps, parseCidr } from "./cidr.ts";
import { DEFAULT_POOLS, SubnetPools, ulaPool } from "./subnets.ts";

const cidr = (text: string) => parseCidr(text)!;

describe("blocks", () => {
  test("are read, cut to their base and written again", () => {
    expect(formatCidr(cidr("10.1.2.3/8"))).toBe("10.0.0.0/8");
    expect(formatCidr(cidr("fd00::1:2/64"))).toBe("fd00::/64");
    expect(formatCidr(cidr("0.0.0.0/0"))).toBe("0.0.0.0/0");
    for (const text of [
      "10.0.0.0",
      "10.0.0.0/33",
      "10.0.0/8",
      "::/129",
      "/8",
      "10.0.0.0/-1",
      "010.0.0.0/8",
      "10.0.0.0/8/8",
    ]) {
      expect(parseCidr(text)).toBeNull();
    }
  });
  test("meet or do not", () => {
    expect(overlaps(cidr("10.0.0.0/8"), cidr("10.255.255.255/32"))).toBe(true);
    expect(overlaps(cidr("10.0.0.0/8"), cidr("11.0.0.0/8"))).toBe(false);
    expect(overlaps(cidr("0.0.0.0/0"), cidr("::/0"))).toBe(false);
    expect(covers(cidr("10.0.0.0/8"), cidr("10.1.0.0/16"))).toBe(true);
    expect(covers(cidr("10.1.0.0/16"), cidr("10.0.0.0/8"))).toBe(false);
  });
});

describe("subnets from pools", () => {
  test("come in Docker's order, clear of what is taken", () => {
    const pools = new SubnetPools(DEFAULT_POOLS);
    const taken = [cidr("172.17.0.0/16")];
    const names: string[] = [];
    for (let i = 0; i < 15; i++) {
      const next = pools.choose(4, taken);
      taken.push(next);
      names.push(formatCidr(next));
    }
    expect(names.slice(0, 2)).toEqual(["172.18.0.0/16", "172.19.0.0/16"]);
    expect(names.slice(13)).toEqual(["172.31.0.0/16", "192.168.0.0/20"]);
    for (let i = 0; i < 15; i++) taken.push(pools.choose(4, taken));
    expect(() => pools.choose(4, taken)).toThrow("all predefined address pools have been fully subnetted");
  });
  test("a host's route in the middle of a pool is walked round in one step", () => {
    const pools = new SubnetPools([{ base: "10.0.0.0/8", size: 28 }]);
    expect(formatCidr(pools.choose(4, [cidr("10.0.0.0/9"), cidr("10.128.0.16/28")]))).toBe("10.128.0.0/28");
    expect(formatCidr(pools.choose(4, [cidr("10.0.0.0/9"), cidr("10.128.0.3/32")]))).toBe("10.128.0.16/28");
  });
  test("unlawful pools are refused; a host's own IPv6 pool is one of RFC 4193", () => {
    expect(() => new SubnetPools([{ base: "10.0.0.0/24", size: 16 }])).toThrow("cannot be cut");
    expect(() => new SubnetPools([{ base: "nonsense", size: 16 }])).toThrow("invalid base pool");
    expect(ulaPool("a").base).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{4}:[0-9a-f]{4}::\/48$/);
    expect(parseCidr(ulaPool("a").base)).not.toBeNull();
    expect(ulaPool("a")).not.toEqual(ulaPool("b"));
  });
});

describe("addresses of a subnet", () => {
  test("go up and come back into use as late as possible", () => {
    const set = new AddressSet(cidr("10.0.0.0/29"));
    set.reserve("10.0.0.1");
    expect([set.next(), set.next()]).toEqual(["10.0.0.2", "10.0.0.3"]);
    set.free("10.0.0.2");
    expect([set.next(), set.next(), set.next(), set.next(), set.next()]).toEqual([
      "10.0.0.4",
      "10.0.0.5",
      "10.0.0.6",
      "10.0.0.2",
      null,
    ]);
    expect(set.available).toBe(0n);
  });
  test("a range limits what is given, not what may be asked for", () => {
    const set = new AddressSet(cidr("10.0.0.0/16"), cidr("10.0.5.0/30"));
    expect([set.next(), set.next(), set.next(), set.next(), set.next()]).toEqual([
      "10.0.5.0",
      "10.0.5.1",
      "10.0.5.2",
      "10.0.5.3",
      null,
    ]);
    set.take("10.0.0.9");
    expect(() => set.take("10.0.0.9")).toThrow("Address already in use");
    expect(() => set.take("10.1.0.0")).toThrow("no configured subnet");
  });
  test("small blocks: /31 and /127 are all hosts, /32 is one", () => {
    const all = (text: string) => {
      const set = new AddressSet(cidr(text));
      const out: string[] = [];
      for (let next = set.next(); next !== null; next = set.next()) out.push(next);
      return out;
    };
    expect(all("10.0.0.0/31")).toEqual(["10.0.0.0", "10.0.0.1"]);
    expect(all("10.0.0.0/30")).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(all("10.0.0.7/32")).toEqual(["10.0.0.7"]);
    expect(all("fd00::/127")).toEqual(["fd00::", "fd00::1"]);
  });
  test("65,000 addresses are found quickly, in a /64 too", () => {
    const set = new AddressSet(cidr("fd00::/64"));
    for (let i = 0; i < 65_000; i++) set.next();
    expect(set.next()).toBe("fd00::fde9");
  });

  test("a network's own address and its broadcast address are nobody's to ask for; a last one comes back where it is free", () => {
    const set = new AddressSet(cidr("10.0.0.0/24"));
    for (const text of ["10.0.0.0", "10.0.0.255"]) {
      expect(() => set.take(text)).toThrow("Address already in use");
      expect(set.tryTake(text)).toBe(false);
    }
    const six = new AddressSet(cidr("fd00::/64"));
    expect(() => six.take("fd00::")).toThrow("Address already in use");
    six.take("fd00::ffff:ffff:ffff:ffff");
    new AddressSet(cidr("10.0.0.0/31")).take("10.0.0.0");
    expect([set.tryTake("10.0.0.9"), set.tryTake("10.0.0.9"), set.tryTake("10.0.1.9")]).toEqual([true, false, false]);
  });
});
