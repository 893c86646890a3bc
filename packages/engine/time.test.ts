import { expect, test } from "bun:test";
import { formatTime, humanDuration, nowNs, parseDuration, parseTime, parseTimestamp, parseUnixTime } from "./time.ts";

test("times keep their nanoseconds both ways", () => {
  const text = "2026-11-21T01:02:03.123456789Z";
  expect(formatTime(parseTime(text) as bigint)).toBe(text);
  expect(formatTime(1_500_000_000_000_000_000n)).toBe("2017-07-14T02:40:00Z");
  expect(parseTime("2026-11-21T03:02:03+02:00")).toBe(parseTime("2026-11-21T01:02:03Z"));
  expect(parseTime("yesterday")).toBeNull();
});

test("timestamps as clients send them", () => {
  expect(parseTimestamp("1500000000.5")).toBe(1_500_000_000_500_000_000n);
  expect(parseTimestamp("1500000000")).toBe(1_500_000_000_000_000_000n);
  expect(parseTimestamp("0")).toBeNull();
  expect(parseTimestamp("")).toBeNull();
  expect(Number(nowNs() - (parseTimestamp("1h") as bigint)) / 3600e9).toBeCloseTo(1, 2);
  expect(() => parseTimestamp("soon")).toThrow("invalid timestamp");
});

test("times of the API are seconds since 1970 and nothing else", () => {
  expect(parseUnixTime("1500000000.5")).toBe(1_500_000_000_500_000_000n);
  expect(parseUnixTime("12.3456789012")).toBe(12_345_678_901n);
  expect(parseUnixTime("0")).toBeNull();
  expect(() => parseUnixTime("30s")).toThrow('strconv.ParseInt: parsing "30s": invalid syntax');
  expect(() => parseUnixTime("1.x")).toThrow('strconv.ParseInt: parsing "x": invalid syntax');
});

test("durations in Go's form", () => {
  expect(parseDuration("1h30m")).toBe(5_400_000_000_000n);
  expect(parseDuration("1.5s")).toBe(1_500_000_000n);
  expect(parseDuration("5")).toBeNull();
});

test("the clock never goes back", () => {
  let last = nowNs();
  for (let i = 0; i < 1000; i++) {
    const next = nowNs();
    expect(next).toBeGreaterThanOrEqual(last);
    last = next;
  }
});

test("words for durations", () => {
  const cases: [number, string][] = [
    [0.2, "Less than a second"],
    [1, "1 second"],
    [59, "59 seconds"],
    [60, "About a minute"],
    [3599, "59 minutes"],
    [3600, "About an hour"],
    [47 * 3600, "47 hours"],
    [49 * 3600, "2 days"],
    [15 * 86400, "2 weeks"],
    [65 * 86400, "2 months"],
    [800 * 86400, "2 years"],
  ];
  for (const [seconds, words] of cases) expect([seconds, humanDuration(seconds * 1000)]).toEqual([seconds, words]);
});
