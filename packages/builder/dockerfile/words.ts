import { invalidParameter } from "@gantry/spec";

const SPACE = /\s/;

/**
 * Splits at unquoted white space, keeping quotes and escapes in the words (ENV, LABEL and ARG take them away later,
 * after variables were replaced). An escape character at the very end is dropped.
 */
export function splitWords(text: string, escapeChar: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  let any = false;
  for (let i = 0; i < text.length; i++) {
    const ch = text[i]!;
    if (!quote && SPACE.test(ch)) {
      if (any) words.push(word);
      word = "";
      any = false;
      continue;
    }
    if (ch === escapeChar && quote !== "'") {
      if (i + 1 === text.length) continue;
      word += ch + text[++i]!;
      any = true;
      continue;
    }
    if (quote) {
      if (ch === quote) quote = "";
    } else if (ch === "'" || ch === '"') quote = ch;
    word += ch;
    any = true;
  }
  if (any) words.push(word);
  return words;
}

/**
 * Takes the leading `--flag` words of an instruction's arguments. In flags, quotes and escapes are taken away at once.
 * A bare `--` ends them.
 */
export function splitFlags(text: string, escapeChar: string): { flags: string[]; rest: string } {
  const flags: string[] = [];
  let i = 0;
  for (;;) {
    while (i < text.length && SPACE.test(text[i]!)) i++;
    if (!text.startsWith("--", i)) return { flags, rest: text.slice(i).trim() };
    let word = "";
    let quote = "";
    for (; i < text.length && (quote || !SPACE.test(text[i]!)); i++) {
      let ch = text[i]!;
      if (quote && ch === quote) {
        quote = "";
        continue;
      }
      if (!quote && (ch === "'" || ch === '"')) {
        quote = ch;
        continue;
      }
      if (ch === escapeChar) {
        if (i + 1 === text.length) break;
        ch = text[++i]!;
      }
      word += ch;
    }
    if (word === "--") return { flags, rest: text.slice(i).trim() };
    flags.push(word);
    if (i >= text.length) return { flags, rest: "" };
  }
}

/**
 * The strings of a JSON array, or null where the text is none. Throws invalidParameter where it is an array of other
 * things than strings.
 */
export function jsonStrings(text: string): string[] | null {
  const trimmed = text.trimStart();
  if (!trimmed.startsWith("[")) return null;
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    return null;
  }
  if (!Array.isArray(value)) return null;
  if (!value.every((item) => typeof item === "string")) {
    throw invalidParameter("when using JSON array syntax, arrays must be comprised of strings only");
  }
  return value;
}

/** Splits at runs of blanks; an empty text gives no words. */
export function splitBlanks(text: string): string[] {
  return text === "" ? [] : text.split(/[\t\v\f\r ]+/);
}
