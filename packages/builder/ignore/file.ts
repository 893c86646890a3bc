import { cleanPath } from "./clean.ts";

/**
 * The patterns of a `.dockerignore`: a BOM is dropped, lines that begin with `#` are comments, white space around a
 * pattern and its leading `/` go away, also after `!`.
 */
export function parseIgnoreFile(text: string): string[] {
  const patterns: string[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    let pattern = line.trim();
    if (pattern === "") continue;
    const negated = pattern.startsWith("!");
    if (negated) pattern = pattern.slice(1).trim();
    if (pattern !== "") {
      pattern = cleanPath(pattern);
      if (pattern.length > 1 && pattern.startsWith("/")) pattern = pattern.slice(1);
    }
    patterns.push(negated ? `!${pattern}` : pattern);
  }
  return patterns;
}
