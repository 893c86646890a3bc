import { describe, expect, test } from "bun:test";
import { cleanPath } from "./clean.ts";
import { parseIgnoreFile } from "./file.ts";
import { globToRegExp, hasWildcards } from "./glob.ts";
import { type MatchState, PatternMatcher } from "./matcher.ts";

const single: [pattern: string, path: string, hit: boolean][] = [
  ["**", "f", true],
  ["**/", "a/f", true],
  ["**/**", "a/f", true],
  ["src/**", "src", false],
  ["src/**", "src/a/b", true],
  ["**/node_modules", "node_modules", true],
  ["**/node_modules", "node_modules/x/y", true],
  ["**/node_modules", "pkg/a/node_modules/x", true],
  ["**node", "a/b/xnode", true],
  ["**/tmp/*", "a/tmp/x", true],
  ["**/tmp/**", "a/tmp/x/y", true],
  ["**/*.log", "x.log", true],
  ["**/*.log", "a/b/x.log", true],
  ["**/**/*.log", "x.txt", false],
  ["a**/*.log", "abc/d/x.log", true],
  ["a/*.log", "a/b/x.log", false],
  ["a/*.log**", "a/x.log", true],
  ["*.md", "README.md", true],
  ["*.md", "docs/README.md", false],
  ["*", "docs/README.md", true],
  ["doc?", "docs", true],
  ["doc?", "doc/", false],
  ["x[b-d]y", "xcy", true],
  ["x[b-d]y", "xy", false],
  ["x[^b-d]y", "xzy", true],
  [".*", ".git", true],
  [".*", "git", false],
  ["a.c", "abc", false],
  ["a(b)|c$+{d}", "a(b)|c$+{d}", true],
  ["a\\*b", "a*b", true],
  ["a\\*b", "axb", false],
  ["a\\\\", "a\\", true],
  ["a?c", "a☺c", true],
  ["a?c", "a😀c", true],
  ["docs/", "docs/a", true],
  ["./docs", "docs/a", true],
  ["**/.foo", "bar.foo", false],
];

describe("PatternMatcher", () => {
  test.each(single)("%s on %s: %p", (pattern, path, hit) => {
    const matcher = new PatternMatcher([pattern]);
    expect(matcher.matches(path)).toBe(hit);
    expect(walk(matcher, cleanPath(path))).toBe(hit);
  });

  test.each([
    [["docs", "!docs/README.md"], "docs/README.md", false],
    [["docs", "!docs/README.md"], "docs/other", true],
    [["*.go", "!main.go"], "main.go", false],
    [["!main.go", "*.go"], "main.go", true],
    [["**", "!util/web"], "util/web/x", false],
    [["**", "!util/web", "util/web/x"], "util/web/x", true],
    [["**", "!dist/*.whl"], "dist/a+b.whl", false],
    [["  a ", "", "b"], "a", true],
  ] as [string[], string, boolean][])("%p on %s: %p", (patterns, path, hit) => {
    const matcher = new PatternMatcher(patterns);
    expect(matcher.matches(path)).toBe(hit);
    expect(walk(matcher, path)).toBe(hit);
  });

  test("the root is never matched", () => {
    expect(new PatternMatcher(["**"]).matches(".")).toBe(false);
  });

  test.each(["!", "[", "a[", "[]a]", "[-]", "[a-b-c]", "\\"])("refuses %s", (pattern) => {
    expect(() => new PatternMatcher([pattern])).toThrow();
  });

  function walk(matcher: PatternMatcher, path: string): boolean {
    const parts = path.split("/");
    let state: MatchState | undefined;
    let matched = false;
    parts.forEach((_, i) => {
      const step = matcher.step(parts.slice(0, i + 1).join("/"), state);
      state = step.state;
      matched = step.matched;
    });
    return matched;
  }
});

describe("globToRegExp", () => {
  test.each([
    ["a*b*c/f", "axbxc/f", true],
    ["a*/b", "a/c/b", false],
    ["a*b?c*x", "abxbbxdbxebxczzx", true],
    ["a[^a]b", "a/b", false],
    ["[\\]a]", "]", true],
    ["[\\-x]", "-", true],
    ["[a-ζ]*", "α", true],
    ["*[a-ζ]", "A", false],
    ["[z-a]", "b", false],
  ] as [string, string, boolean][])("%s on %s: %p", (pattern, text, hit) => {
    expect(globToRegExp(pattern).test(text)).toBe(hit);
  });
  test("wildcards", () => {
    expect(["a*", "a?", "a[b]", "a\\*", "plain"].map(hasWildcards)).toEqual([true, true, true, false, false]);
  });
});

test("parseIgnoreFile", () => {
  expect(parseIgnoreFile("\uFEFF# c\r\n\n  /a/./b/ \n! /c\n#x\n *.md\n!\n")).toEqual(["a/b", "!c", "*.md", "!"]);
});

test("cleanPath", () => {
  expect(["", "a//b/../c/", "/../a", "../a/..", "./", "a/.."].map(cleanPath)).toEqual([
    ".",
    "a/c",
    "/a",
    "..",
    ".",
    ".",
  ]);
});

test("no pattern of a context holds up the daemon", () => {
  const name = "a".repeat(250);
  const pattern = `${"*a".repeat(20)}b`;
  const started = performance.now();
  expect(new PatternMatcher([pattern, `**/${pattern}`, "(a|a)*"]).matches(`x/${name}`)).toBe(false);
  expect(globToRegExp(pattern).test(name)).toBe(false);
  expect(performance.now() - started).toBeLessThan(30_000);
});
