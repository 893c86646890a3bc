import { expect, test } from "bun:test";
import { Filters } from "./filters.ts";

test("both forms of the document", () => {
  expect(Filters.parse('{"status":["running","paused"]}').get("status")).toEqual(["running", "paused"]);
  expect(Filters.parse('{"status":{"running":true,"paused":false}}').get("status")).toEqual(["running", "paused"]);
  expect(Filters.parse("").size).toBe(0);
  expect(Filters.parse('{"label":null}').has("label")).toBe(false);
  for (const bad of ["{", "[]", '{"a":1}', '{"a":[1]}', '{"a":{"b":1}}', '{"a":["b"]}c'])
    expect(() => Filters.parse(bad)).toThrow("invalid filter");
});

test("a pattern that would try for ever is answered at once", () => {
  const name = "a".repeat(255);
  const filters = Filters.parse('{"name":["(a|a)*b","(.|a)*!","(x|a+)+$"]}');
  expect(filters.match("name", name)).toBe(true);
  expect(filters.match("name", `${name}-`)).toBe(false);
});

test("labels: all of them, by name or by value", () => {
  const filters = Filters.parse('{"label":["a","b=c=d"]}');
  expect(filters.labels("label", { a: "", b: "c=d" })).toBe(true);
  expect(filters.labels("label", { a: "", b: "c" })).toBe(false);
  expect(filters.labels("label", null)).toBe(false);
});

test("the time of a prune: one, and a time or a duration", () => {
  expect(Filters.parse("").until()).toBeNull();
  expect(Filters.parse('{"until":["1700000000"]}').until()).toBe(1_700_000_000_000_000_000n);
  expect(() => Filters.parse('{"until":["1h","2h"]}').until()).toThrow("more than one until filter specified");
  expect(() => Filters.parse('{"until":["x"]}').until()).toThrow('failed to parse value as time or duration: "x"');
});

test("booleans and unknown keys", () => {
  expect(Filters.parse('{"dangling":["1"]}').bool("dangling", false)).toBe(true);
  expect(new Filters().bool("dangling", true)).toBe(true);
  expect(() => Filters.parse('{"dangling":["maybe"]}').bool("dangling", false)).toThrow("invalid filter 'dangling");
  expect(() => Filters.parse('{"x":["1"]}').allow("y")).toThrow("invalid filter 'x'");
});
