// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import { describe, expect, test } from "bun:test";
import { expand, type ShellOptions } from "./shell.ts";

const ENV: Record<string, string> = {
  DIR: "/srv",
  EMPTY: "",
  NAME: "été",
  FILE: "a/b/c.tar.gz",
  TWO: "x  y",
  STAR: "a*b*c",
};

function run(text: string, options: Partial<ShellOptions> = {}) {
  return expand(text, (name) => ENV[name], { escape: "\\", ...options });
}

describe("expand", () => {
  test.each([
    ["plain", "plain"],
    ["a'b c'd", "ab cd"],
    ['"$DIR/x"', "/srv/x"],
    ["'$DIR'", "$DIR"],
    ["\\$DIR", "$DIR"],
    ["\\\\$DIR", "\\/srv"],
    ['"\\n\\""', '\\n"'],
    ["$DIR$NAME", "/srvété"],
    ["${DIR}s", "/srvs"],
    ["$UNSET.", "."],
    ["$1x${2}y", "xy"],
    ["$$", ""],
    ["a$.b", "a$.b"],
    ["trailing\\", "trailing"],
    ["${UNSET-d}", "d"],
    ["${EMPTY-d}", ""],
    ["${EMPTY:-d}", "d"],
    ["${UNSET:-${EMPTY:-in}}", "in"],
    ["${DIR+set}", "set"],
    ["${EMPTY+set}", "set"],
    ["${EMPTY:+set}", ""],
    ["${DIR?gone}", "/srv"],
    ["${EMPTY?gone}", ""],
    ["${FILE#*/}", "b/c.tar.gz"],
    ["${FILE##*/}", "c.tar.gz"],
    ["${FILE%.*}", "a/b/c.tar"],
    ["${FILE%%.*}", "a/b/c"],
    ["${FILE%/*}", "a/b"],
    ["${FILE#?/}", "b/c.tar.gz"],
    ["${FILE/\\//-}", "a-b/c.tar.gz"],
    ["${FILE//\\//-}", "a-b-c.tar.gz"],
    ["${FILE/./$}", "a/b/c$tar.gz"],
    ["${FILE//[/-}", "a/b/c.tar.gz"],
    ["${STAR//\\*/+}", "a+b+c"],
    ["${STAR#a\\*}", "b*c"],
    ["${UNSET:-\\}}", "}"],
    ["${UNSET:-'a b'}", "a b"],
  ])("%s → %s", (text, expected) => {
    expect(run(text).text).toBe(expected);
  });

  test.each([
    ["'open", "unexpected end of statement while looking for matching single-quote"],
    ['"open', "unexpected end of statement while looking for matching double-quote"],
    ["${DIR", "unsupported modifier () in substitution"],
    ["${DIR:-x", "syntax error: missing '}'"],
    ["${", "syntax error: missing '}'"],
    ["${}", "syntax error: bad substitution"],
    ["${:-x}", "syntax error: bad substitution"],
    ["${DIR=x}", "unsupported modifier (=) in substitution"],
    ["${DIR:=x}", "unsupported modifier (:=) in substitution"],
    ["${DIR:#x}", "unsupported modifier (:#) in substitution"],
    ["${UNSET?}", "UNSET: is not allowed to be unset"],
    ["${EMPTY:?}", "EMPTY: is not allowed to be empty"],
    ["${UNSET:?set it to $DIR}", "UNSET: set it to /srv"],
    ["${FILE#\\a}", "invalid pattern (\\a) in substitution"],
    ["${FILE/a}", "syntax error: missing '/' in ${}"],
  ])("%s is refused: %s", (text, message) => {
    expect(() => run(text)).toThrow(message);
  });

  test("words fall apart at blanks that no quote protects", () => {
    expect(run("a \"$TWO\" $TWO 'q r's").words).toEqual(["a", "x  y", "x", "y", "q rs"]);
    expect(run("  lead $EMPTY trail  ").words).toEqual(["lead", "trail"]);
  });

  test("what was asked for", () => {
    const { matched, unmatched } = run("$DIR ${UNSET:-$NAME}");
    expect([...matched].sort()).toEqual(["DIR", "NAME"]);
    expect([...unmatched]).toEqual(["UNSET"]);
  });

  test("keepUnset leaves references as they are", () => {
    expect(run("$DIR $U ${U} ${U:-x} ${U#p} ${U//a/b}", { keepUnset: true }).text).toBe(
      "/srv $U ${U} ${U:-x} ${U#p} ${U//a/b}",
    );
  });

  test("the backquote as escape", () => {
    expect(run("C:\\dir`$DIR", { escape: "`" }).text).toBe("C:\\dir$DIR");
  });

  test("heredoc bodies: quotes mean nothing", () => {
    expect(run('it\'s "$DIR"', { skipQuotes: true }).text).toBe('it\'s "/srv"');
  });
});

test("no pattern in a variable holds up the daemon", () => {
  const text = (source: string, value: string) => expand(source, () => value, { escape: "\\" }).text;
  const value = "a".repeat(20_000);
  const pattern = `${"*a".repeat(20)}b`;
  const started = performance.now();
  for (const part of [
    `#${pattern}`,
    `##${pattern}`,
    `%${pattern}`,
    `%%${pattern}`,
    `/${pattern}/x`,
    `//${pattern}/x`,
  ]) {
    expect(text(`\${V${part}}`, value).length).toBe(value.length);
  }
  expect(performance.now() - started).toBeLessThan(30_000);
  expect(text("${V//*/x}", "abc")).toBe("x");
  expect(text("${V/b*/x}", "abcb")).toBe("ax");
  expect(text("${V//b?/x}", "abcbcb")).toBe("axxb");
});
