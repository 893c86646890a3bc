import { expect, test } from "bun:test";
import { parseJson } from "./json.ts";

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
