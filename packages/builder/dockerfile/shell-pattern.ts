import { invalidParameter, LinearRegExp } from "@gantry/spec";

/**
 * A shell wildcard pattern (`*`, `?`, backslash escapes; no brackets) as a regular expression, as the Dockerfile's
 * `${x#p}`, `${x%p}` and `${x/p/r}` take it. Throws for a backslash before anything but `*`, `?`, `\`, `}` and `/`.
 */
function shellPattern(pattern: string): LinearRegExp {
  const chars = [...pattern];
  let source = "";
  for (let i = 0; i < chars.length; i++) {
    const ch = chars[i]!;
    if (ch === "*") source += ".*";
    else if (ch === "?") source += ".";
    else if (ch === "\\") {
      const next = chars[i + 1];
      // `}` and `/` end the parts of ${…}: their escape is not part of the pattern.
      if (next === "}" || next === "/") continue;
      if (next !== "*" && next !== "?" && next !== "\\") {
        throw invalidParameter(`invalid pattern (${pattern}) in substitution: invalid escape '\\${next ?? ""}'`);
      }
      source += `\\${next}`;
      i++;
    } else source += /[[\]{}.+()|^$]/.test(ch) ? `\\${ch}` : ch;
  }
  return new LinearRegExp(source);
}

/** `${value#pattern}`, or `##` with `greedy`. */
export function trimPrefix(value: string, pattern: string, greedy: boolean): string {
  const length = shellPattern(pattern).prefix(value, greedy);
  return length > 0 ? value.slice(length) : value;
}

/**
 * `${value%pattern}`, or `%%` with `greedy`. The shortest match at the end cannot be asked of a regular expression, so
 * value and pattern are both turned round and trimmed at the front.
 */
export function trimSuffix(value: string, pattern: string, greedy: boolean): string {
  return reverse(trimPrefix(reverse(value), reversePattern(pattern), greedy));
}

/** `${value/pattern/replacement}`, or `//` with `all`: the first match, as long as it can be. */
export function replacePattern(value: string, pattern: string, replacement: string, all: boolean): string {
  const wanted = shellPattern(pattern);
  if (!wanted.test(value)) return value;
  let result = "";
  for (let at = 0; at <= value.length; ) {
    const rest = value.slice(at);
    const length = wanted.prefix(rest, true);
    // Nothing matches next to what matched.
    if (length > 0 || (length === 0 && result === "")) {
      result += replacement;
      at += length;
      if (!all) return result + value.slice(at);
    }
    if (length <= 0 || at === value.length) result += value[at++] ?? "";
  }
  return result;
}

function reverse(text: string): string {
  return [...text].reverse().join("");
}

function reversePattern(pattern: string): string {
  const tokens: string[] = [];
  const chars = [...pattern];
  for (let i = 0; i < chars.length; i++) {
    if (chars[i] === "\\" && i + 1 < chars.length) tokens.push(`\\${chars[++i]}`);
    else tokens.push(chars[i]!);
  }
  return tokens.reverse().join("");
}
