import { invalidParameter } from "@gantry/spec";

/**
 * A shell wildcard pattern (`*`, `?`, backslash escapes; no brackets) as a regular expression, as the Dockerfile's
 * `${x#p}`, `${x%p}` and `${x/p/r}` take it. `greedy`: `*` takes as much as it can. Throws for a backslash before
 * anything but `*`, `?`, `\`, `}` and `/`.
 */
export function shellPattern(pattern: string, options: { greedy: boolean; anchored: boolean; all?: boolean }): RegExp {
  const star = options.greedy ? ".*" : ".*?";
  const chars = [...pattern];
  let source = options.anchored ? "^" : "";
  for (let i = 0; i < chars.length; i++) {
    const ch = chars[i]!;
    if (ch === "*") source += star;
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
  return new RegExp(source, options.all ? "gu" : "u");
}

/** `${value#pattern}`, or `##` with `greedy`. */
export function trimPrefix(value: string, pattern: string, greedy: boolean): string {
  const match = shellPattern(pattern, { greedy, anchored: true }).exec(value);
  return match ? value.slice(match[0].length) : value;
}

/**
 * `${value%pattern}`, or `%%` with `greedy`. The shortest match at the end cannot be asked of a regular expression, so
 * value and pattern are both turned round and trimmed at the front.
 */
export function trimSuffix(value: string, pattern: string, greedy: boolean): string {
  return reverse(trimPrefix(reverse(value), reversePattern(pattern), greedy));
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
