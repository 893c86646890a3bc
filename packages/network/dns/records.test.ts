import { expect, test } from "bun:test";
import { addressBytes, addressKey } from "./message.ts";
import { Records } from "./records.ts";

const net = (id: string, name = id) => ({ networkId: id, networkName: name });
const text = (list: Uint8Array[] | null) => list?.map((a) => [...a].join(".")).sort() ?? null;

test("names are seen only on networks both are on", () => {
  const records = new Records();
  records.set({
    ...net("n1", "front"),
    containerId: "a",
    names: ["web", "aaaaaaaaaaaa"],
    ipv4: ["10.0.0.2"],
    ipv6: [],
    links: {},
  });
  records.set({
    ...net("n1", "front"),
    containerId: "b",
    names: ["db"],
    ipv4: ["10.0.0.3"],
    ipv6: ["fd00::3"],
    links: {},
  });
  records.set({ ...net("n2", "back"), containerId: "c", names: ["secret"], ipv4: ["10.1.0.2"], ipv6: [], links: {} });
  expect(text(records.resolve("a", "db", 4))).toEqual(["10.0.0.3"]);
  expect(text(records.resolve("b", "aaaaaaaaaaaa", 4))).toEqual(["10.0.0.2"]);
  expect(records.resolve("a", "secret", 4)).toBeNull();
  expect(records.resolve("b", "web", 6)).toEqual([]);
  expect(text(records.resolve("a", "db.front", 4))).toEqual(["10.0.0.3"]);
  expect(records.resolve("a", "secret.back", 4)).toBeNull();
  expect(records.reverse("a", addressKey(addressBytes("10.0.0.3")))).toBe("db.front");
  expect(records.reverse("a", addressKey(addressBytes("10.1.0.2")))).toBeNull();
});

test("an alias of several containers gives all of them in changing order", () => {
  const records = new Records();
  for (let i = 2; i < 6; i++) {
    records.set({
      ...net("n"),
      containerId: `c${i}`,
      names: [`c${i}`, "pool"],
      ipv4: [`10.0.0.${i}`],
      ipv6: [],
      links: {},
    });
  }
  expect(text(records.resolve("c2", "pool", 4))).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"]);
  const firsts = new Set(Array.from({ length: 200 }, () => records.resolve("c2", "pool", 4)![0]!.join(".")));
  expect(firsts.size).toBe(4);
});

test("links are one container's own names", () => {
  const records = new Records();
  records.set({ ...net("n"), containerId: "a", names: ["a"], ipv4: ["10.0.0.2"], links: { mysql: "db" }, ipv6: [] });
  records.set({ ...net("n"), containerId: "db", names: ["db"], ipv4: ["10.0.0.3"], ipv6: [], links: {} });
  expect(text(records.resolve("a", "mysql", 4))).toEqual(["10.0.0.3"]);
  expect(records.resolve("db", "mysql", 4)).toBeNull();
});

test("removal and replacement leave nothing stale", () => {
  const records = new Records();
  records.set({ ...net("n"), containerId: "a", names: ["old"], ipv4: ["10.0.0.2"], ipv6: [], links: {} });
  records.set({ ...net("n"), containerId: "b", names: ["b"], ipv4: ["10.0.0.3"], ipv6: [], links: {} });
  records.set({ ...net("n"), containerId: "a", names: ["new"], ipv4: ["10.0.0.9"], ipv6: [], links: {} });
  expect(records.resolve("b", "old", 4)).toBeNull();
  expect(text(records.resolve("b", "new", 4))).toEqual(["10.0.0.9"]);
  expect(records.reverse("b", addressKey(addressBytes("10.0.0.2")))).toBeNull();
  records.remove("n", "a");
  expect(records.resolve("b", "new", 4)).toBeNull();
  records.remove("n", "a");
});
