import { expect, test } from "bun:test";
import { formatIp, formatMac, parseIp, parseMac } from "./ip-address.ts";

test("addresses come back in their shortest form (RFC 5952)", () => {
  for (const [text, shown] of [
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80:0:0:0:0:0:0:1", "fe80::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:0:0:0:5:0:0:8", "1::5:0:0:8"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:10.0.0.1", "::ffff:10.0.0.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["ABCD::EF", "abcd::ef"],
  ] as const) {
    expect(formatIp(parseIp(text)!)).toBe(shown);
    expect(formatIp(parseIp(shown)!)).toBe(shown);
  }
});

test("everything else is no address", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "1.2.3.4 ",
    "a.b.c.d",
    "1.2.3.-4",
    ":",
    ":::",
    "1::2::3",
  ]) {
    expect(parseIp(text)).toBeNull();
  }
  for (const text of [
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "g::",
    "::1%eth0",
    "::1/64",
    "1.2.3.4::",
    "::1.2.3",
    "1:2:3:4:5:6:7::8",
  ]) {
    expect(parseIp(text)).toBeNull();
  }
});

test("MAC addresses", () => {
  expect(formatMac(parseMac("02-42-AC-11-00-02")!)).toBe("02:42:ac:11:00:02");
  for (const text of ["", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "02:42:ac:11:00:0g", "0242ac110002"])
    expect(parseMac(text)).toBeNull();
});
