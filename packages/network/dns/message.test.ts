import { expect, test } from "bun:test";
import {
  addressBytes,
  addressKey,
  buildResponse,
  parseQuery,
  type Query,
  readName,
  reverseKey,
  Type,
  writeName,
} from "./message.ts";

/** A query packet; `opt` adds an EDNS record with that UDP size. */
function question(name: string, type: number, opt?: number): Uint8Array {
  const wire = writeName(name);
  const tail = opt === undefined ? [] : [0, 0, 41, opt >> 8, opt & 0xff, 0, 0, 0, 0, 0, 0];
  return new Uint8Array([
    0x12,
    0x34,
    1,
    0,
    0,
    1,
    0,
    0,
    0,
    0,
    0,
    opt === undefined ? 0 : 1,
    ...wire,
    type >> 8,
    type & 0xff,
    0,
    1,
    ...tail,
  ]);
}

test("a query is read with its name in lower case", () => {
  const query = parseQuery(question("Web.My-Net", Type.A, 1232)) as Query;
  expect(query).toMatchObject({
    id: 0x1234,
    name: "web.my-net",
    type: 1,
    class: 1,
    edns: true,
    udpSize: 1232,
    recursionDesired: true,
  });
});

test("responses, short packets and other opcodes get what they deserve", () => {
  expect(parseQuery(new Uint8Array(5))).toBeNull();
  const response = question("a", Type.A);
  response[2] = 0x81;
  expect(parseQuery(response)).toBeNull();
  const update = question("a", Type.A);
  update[2] = 0x28;
  expect(parseQuery(update)).toEqual({ rcode: 4 });
  const two = question("a", Type.A);
  two[5] = 2;
  expect(parseQuery(two)).toEqual({ rcode: 1 });
});

test("names: pointers only backwards, labels and length bounded", () => {
  expect(readName(new Uint8Array([1, 97, 0, 1, 98, 0xc0, 0]), 3)).toEqual({ name: "b.a", end: 7 });
  expect(readName(new Uint8Array([0xc0, 0]), 0)).toBeNull();
  expect(readName(new Uint8Array([0xc0, 2, 0]), 0)).toBeNull();
  expect(readName(new Uint8Array([64, 1, 2]), 0)).toBeNull();
  expect(readName(new Uint8Array([5, 97]), 0)).toBeNull();
  const long = Array.from({ length: 5 }, () => [63, ...Array(63).fill(97)]).flat();
  expect(readName(new Uint8Array([...long, 0]), 0)).toBeNull();
});

test("a response carries its answers, and TC where the limit cuts some off", () => {
  const packet = question("web", Type.A);
  const query = parseQuery(packet) as Query;
  const answers = Array.from({ length: 40 }, (_, i) => ({ type: Type.A, data: new Uint8Array([10, 0, 0, i]) }));
  const whole = buildResponse(packet, query, 0, answers.slice(0, 2), 512);
  // An answer, whole, and no authority's.
  expect([whole[2]! & 0x80, whole[2]! & 2, whole[2]! & 4, whole[7]]).toEqual([0x80, 0, 0, 2]);
  expect([...whole.subarray(-4)]).toEqual([10, 0, 0, 1]);
  const cut = buildResponse(packet, query, 0, answers, 512);
  expect(cut.length).toBeLessThanOrEqual(512);
  expect(cut[2]! & 2).toBe(2);
  expect(cut[7]).toBe(Math.floor((512 - query.questionEnd) / 16));
});

test("addresses and reverse names", () => {
  expect([...addressBytes("172.17.0.2")]).toEqual([172, 17, 0, 2]);
  expect(addressKey(addressBytes("fd00::1:2"))).toBe("fd000000000000000000000000010002");
  expect(addressKey(addressBytes("::ffff:1.2.3.4"))).toBe("00000000000000000000ffff01020304");
  expect(reverseKey("2.0.17.172.in-addr.arpa")).toBe("ac110002");
  expect(reverseKey("300.0.17.172.in-addr.arpa")).toBeNull();
  const v6 = "fd000000000000000000000000010002";
  expect(reverseKey([...v6].reverse().join(".") + ".ip6.arpa")).toBe(v6);
  for (const bad of ["1.2.3", "1.2.3.4.5", "::g", "1::2::3", "256.1.1.1"]) expect(() => addressBytes(bad)).toThrow();
});

test("mutated packets never throw and never give a response longer than the limit", () => {
  let seed = 1;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  for (let round = 0; round < 20_000; round++) {
    const packet = question("web.net.example", [1, 28, 12, 16][random(4)]!, random(2) ? random(65536) : undefined);
    for (let i = random(8); i >= 0; i--) packet[random(packet.length)] = random(256);
    const cut = packet.subarray(0, random(4) ? packet.length : random(packet.length));
    const query = parseQuery(cut);
    if (query && !("rcode" in query)) {
      expect(query.questionEnd).toBeLessThanOrEqual(cut.length);
      const out = buildResponse(cut, query, 0, [{ type: 1, data: new Uint8Array(4) }], 512);
      expect(out.length).toBeLessThanOrEqual(Math.max(512, query.questionEnd + 11));
    }
  }
});
