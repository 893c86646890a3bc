import { invalidParameter, LinearRegExp } from "@gantry/spec";

/**
 * A wildcard pattern in the manner of Go's path.Match, as COPY's sources use it: `*` and `?` do not match `/`, `[a-z]`
 * and `[^a]` classes, backslash escapes. Throws invalidParameter `syntax error in pattern`.
 */
export function globToRegExp(pattern: string): LinearRegExp {
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
      const end = readClass(chars, i + 1, true);
      source += end.source;
      i = end.last;
    } else source += literal(ch);
  }
  return new LinearRegExp(`${source}$`, { dotAll: true });
}

/** Throws where the text is not a pattern. */
export function checkGlob(pattern: string): void {
  globToRegExp(pattern);
}

/** Whether the text has any of the characters that make it a pattern. */
export function hasWildcards(text: string): boolean {
  return /[*?[]/.test(text.replace(/\\./gs, ""));
}

/**
 * The class after the `[` at `start - 1` as a regular expression; `last` is where its `]` is. `noSlash`: it is of parts
 * of a path, and takes no slash.
 */
export function readClass(chars: string[], start: number, noSlash = false): { source: string; last: number } {
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
    const [from, to] = [low.codePointAt(0)!, high.codePointAt(0)!];
    if (!noSlash || negated || from > SLASH || to < SLASH) source += range(from, to);
    else source += range(from, SLASH - 1) + range(SLASH + 1, to);
  }
  if (noSlash && negated) source += range(SLASH, SLASH);
  if (source === "") return { source: negated ? ANY : NONE, last: i };
  return { source: `[${negated ? "^" : ""}${source}]`, last: i };
}

const SLASH = 0x2f;
const ANY = "[\\x{0}-\\x{10ffff}]";
const NONE = "[^\\x{0}-\\x{10ffff}]";

function range(from: number, to: number): string {
  return from <= to ? `\\x{${from.toString(16)}}-\\x{${to.toString(16)}}` : "";
}

/** One character as a regular expression. */
export function literal(ch: string): string {
  return /[\\^$.*+?()[\]{}|/]/.test(ch) ? `\\${ch}` : ch;
}

function badPattern() {
  return invalidParameter("syntax error in pattern");
}
