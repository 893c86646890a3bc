import { expect, test } from "bun:test";
import type { CacheRecord } from "@gantry/builder";
import { pruneFilters } from "./build-prune.ts";

const record = { id: "abc", type: "regular", description: "COPY", parents: ["def"], shared: false } as CacheRecord;
const takes = (filters: object) => pruneFilters(JSON.stringify(filters)).matches?.(record);

test("filters take what they name, and nothing else", () => {
  expect(pruneFilters(undefined)).toEqual({});
  expect(takes({ id: ["ab"], type: ["regular"], parent: ["def"], private: ["1"] })).toBe(true);
  for (const other of [{ id: ["x"] }, { type: ["x"] }, { parent: ["x"] }, { description: ["x"] }, { shared: ["1"] }]) {
    expect(takes(other)).toBe(false);
  }
  // Counted from a now of its own.
  expect(Math.abs((pruneFilters('{"until":["1h"]}').olderThan ?? 0) - 3_600_000)).toBeLessThan(60_000);
});

test("what is not understood is refused", () => {
  const cases: [object, string][] = [
    [{ constructor: ["x"] }, "invalid filter 'constructor'"],
    [{ type: ["a", "b"] }, "filters expect only one value"],
    [{ until: ["1h"], "unused-for": ["1h"] }, 'conflicting filters: "until" and "unused-for"'],
    [{ until: ["zz"] }, `"until" filter expects a duration (e.g., '24h') or a timestamp: failed to parse value`],
  ];
  for (const [filters, words] of cases) expect(() => takes(filters)).toThrow(`failed to prune build cache: ${words}`);
});
