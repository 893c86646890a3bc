import { describe, expect, test } from "bun:test";
import { LinearRegExp } from "./linear-regexp.ts";

describe("says what the language's own expressions say", () => {
  const patterns = [
    "a", "^a", "a$", "^$", "", "a|b|", "(ab)+c?", "a{2,3}b", "a{0}b", "^(?:x|yz)*$", "[a-c]x", "[^a-c]x", "[]x]?a", "\\.", "a.c",
    "\\d+-\\w*", "\\s", "(a|b)*abb", "^a?b??c+?$", "x{,3}", "(?:a$|b)", "(^a|b)c", "[a\\-c]+z", "é.", "a{2}{1}",
  ]; // biome-ignore format: a list
  const texts = ["", "a", "b", "ab", "abc", "aab", "aaab", "ababc", "x", "yzx", "yzxx", "ax", "dx", "]a", "a.c", "a\nc", "12-ab", " ", "babb", "bc", "ac", "c", "a-cz", "éa", "x{,3}", "😀"]; // biome-ignore format: a list
  test.each(patterns)("%s", (pattern) => {
    let own: RegExp;
    try {
      own = new RegExp(pattern.replace("[]x]", "[\\]x]"), "");
    } catch {
      expect(() => new LinearRegExp(pattern)).toThrow("error parsing regexp");
      return;
    }
    const linear = new LinearRegExp(pattern);
    for (const text of texts) expect([text, linear.test(text)]).toEqual([text, own.test(text)]);
  });
});

test("what is of Go, and what is refused", () => {
  expect(new LinearRegExp("(?i)AbC[d-f]").test("xabCE")).toBe(true);
  expect(new LinearRegExp("(?i:a)B").test("AB")).toBe(true);
  expect(new LinearRegExp("(?i:a)B").test("Ab")).toBe(false);
  expect(new LinearRegExp("(?P<name>x)\\z").test("yx")).toBe(true);
  expect(new LinearRegExp("^[[:alpha:]_]+\\x{41}$").test("z_A")).toBe(true);
  expect(new LinearRegExp("a.c", { dotAll: true }).test("a\nc")).toBe(true);
  expect(new LinearRegExp("^.$").test("😀")).toBe(true);
  for (const pattern of [
    "(",
    ")",
    "[a",
    "*",
    "a**",
    "a\\",
    "(?=a)",
    "(a)\\1",
    "a{2,1}",
    "[b-a]",
    "((a{1,999}){1,999})",
  ]) {
    expect(() => new LinearRegExp(pattern)).toThrow("error parsing regexp");
  }
});

test("the length of a match at the start", () => {
  expect(new LinearRegExp("a.*b").prefix("axbxbx", false)).toBe(3);
  expect(new LinearRegExp("a.*b").prefix("axbxbx", true)).toBe(5);
  expect(new LinearRegExp("b").prefix("ab", true)).toBe(-1);
  expect(new LinearRegExp("a*").prefix("b", true)).toBe(0);
  expect(new LinearRegExp(".").prefix("😀x", true)).toBe(2);
});

test("no pattern takes more than its text's time", () => {
  const text = "a".repeat(20_000);
  const started = performance.now();
  for (const pattern of [
    "(a|a)*b",
    "(.|a)*!",
    "(a*)*b",
    `${"a*".repeat(50)}b`,
    `${".*a".repeat(20)}b$`,
    "(a?){50}a{50}c",
  ]) {
    expect(new LinearRegExp(pattern).test(text)).toBe(false);
  }
  expect(performance.now() - started).toBeLessThan(30_000);
});
