import { invalidParameter } from "@gantry/spec";

/**
 * A wildcard pattern in the manner of Go's path.Match, as COPY's sources use it: `*` and `?` do not match `/`, `[a-z]`
 * and `[^a]` classes, backslash escapes. Throws invalidParameter `syntax error in pattern`.
 */
export function globToRegExp(pattern: string): RegExp {
  const chars = [...pattern];
  let source = "^";
  for (let i = 0; i < chars.length; i++) {
    const ch = chars[i]!;
    if (ch === "*") source += "[^/]*";
    else if (ch === "?") source += "[^/]";
    else if (ch === "\\") {
      const next = chars[++i];
      if (next === undefined) throw badPattern();
      source += literal(next);
    } else if (ch === "[") {
      const end = readClass(chars, i + 1);
      source += `(?!/)${end.source}`;
      i = end.last;
    } else source += literal(ch);
  }
  return new RegExp(`${source}$`, "su");
}

/** Throws where the text is not a pattern. */
export function checkGlob(pattern: string): void {
  globToRegExp(pattern);
}

/** Whether the text has any of the characters that make it a pattern. */
export function hasWildcards(text: string): boolean {
  return /[*?[]/.test(text.replace(/\\./gs, ""));
}

/** The class after the `[` at `start - 1` as a regular expression; `last` is where its `]` is. */
export function readClass(chars: string[], start: number): { source: string; last: number } {
  let i = start;
  const negated = chars[i] === "^";
  if (negated) i++;
  let source = "";
  const one = (): string => {
    let ch = chars[i++];
    if (ch === undefined || ch === "-" || ch === "]") throw badPattern();
    if (ch === "\\") ch = chars[i++];
    if (ch === undefined || i >= chars.length) throw badPattern();
    return ch;
  };
  let ranges = 0;
  while (!(chars[i] === "]" && ranges > 0)) {
    const low = one();
    let high = low;
    if (chars[i] === "-") {
      i++;
      high = one();
    }
    ranges++;
    // An empty range (z-a) matches nothing in Go, and is an error in a regular expression.
    if (low.codePointAt(0)! <= high.codePointAt(0)!) source += `${code(low)}-${code(high)}`;
  }
  if (source === "") return { source: negated ? "[^]" : "[]", last: i };
  return { source: `[${negated ? "^" : ""}${source}]`, last: i };
}

function code(ch: string): string {
  return `\\u{${ch.codePointAt(0)!.toString(16)}}`;
}

/** One character as a regular expression. */
export function literal(ch: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(ch) ? `\\${ch}` : ch;
}

function badPattern() {
  return invalidParameter("syntax error in pattern");
}
