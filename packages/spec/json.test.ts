import { expect, test } from "bun:test";
import { parseJson, uint64 } from "./json.ts";

test("documents are taken as deep as Go's decoder takes them", () => {
  const nested = (depth: number, open = "[", close = "]") => open.repeat(depth) + close.repeat(depth);
  expect(() => parseJson(nested(10_000))).not.toThrow();
  expect(() => parseJson(nested(10_001))).toThrow("exceeded max depth");
  expect(() => parseJson("[".repeat(7_000_000))).toThrow("exceeded max depth");
  expect(() => parseJson(nested(10_001, '{"a":', "}"))).toThrow();
  expect(parseJson(`["${"[".repeat(20_000)}", "\\"${"{".repeat(20_000)}\\\\"]`)).toHaveLength(2);
  expect(parseJson(`[${"[],".repeat(20_000)}0]`)).toHaveLength(20_001);
  expect(() => parseJson(`{"a":"${"x".repeat(20_000)}`)).toThrow(SyntaxError);
});

test("a count beyond what a double holds is written to the last digit, and stays a uint64", () => {
  expect(uint64(7n)).toBe(7);
  const text = JSON.stringify({ a: uint64(2n ** 53n + 1n), b: uint64(2n ** 64n - 1n), c: uint64(2n ** 72n) });
  expect(text).toBe('{"a":9007199254740993,"b":18446744073709551615,"c":18446744073709551615}');
});
