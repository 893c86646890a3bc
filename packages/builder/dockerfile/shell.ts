// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are variables of Dockerfiles.
import { invalidParameter } from "@gantry/spec";
import { replacePattern, trimPrefix, trimSuffix } from "./shell-pattern.ts";

/** Looks up a variable; undefined where it is not set. */
export type EnvLookup = (name: string) => string | undefined;

export interface ShellOptions {
  /** The Dockerfile's escape character. */
  escape: "\\" | "`";
  /** Keep quotes in the result. */
  rawQuotes?: boolean;
  /** Keep escape characters in the result. */
  rawEscapes?: boolean;
  /** Quotes have no meaning (heredoc bodies). */
  skipQuotes?: boolean;
  /** Leave references to unset variables as they are. */
  keepUnset?: boolean;
}

/** What became of a word: its text, the words it falls apart into, and the variables it asked for. */
export interface Expansion {
  text: string;
  words: string[];
  /** Names that were set. */
  matched: Set<string>;
  /** Names that were not. */
  unmatched: Set<string>;
}

/**
 * Expands variables and takes away quotes as the Dockerfile reference's "Environment replacement" says: `$name`,
 * `${name}`, and the modifiers `-`, `:-`, `+`, `:+`, `?`, `:?`, `#`, `##`, `%`, `%%`, `/p/r`, `//p/r`. `words` is the
 * same text split at unquoted white space, after expansion. Throws invalidParameter `failed to process "…": …`.
 */
export function expand(source: string, env: EnvLookup, options: ShellOptions): Expansion {
  const run = new Run(source, env, options);
  try {
    const { text, words } = run.until(null, options.rawEscapes ?? false);
    return { text, words, matched: run.matched, unmatched: run.unmatched };
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    throw invalidParameter(`failed to process ${JSON.stringify(source)}: ${error.message}`);
  }
}

class SyntaxFault extends Error {}

const SPACE = /^\s$/u;
const DIGIT = /^\p{Nd}$/u;
const NAME = /^[\p{L}\p{Nd}_]$/u;
const SPECIAL = new Set(["@", "*", "#", "?", "-", "$", "!", "0"]);

class Words {
  readonly list: string[] = [];
  private current = "";
  private open = false;
  /** Text in which white space separates words. */
  split(text: string): void {
    for (const ch of text) {
      if (!SPACE.test(ch)) this.raw(ch);
      else if (this.open && this.current !== "") this.end();
    }
  }
  /** Text that belongs to one word whatever is in it. */
  raw(text: string): void {
    this.current += text;
    this.open = true;
  }
  end(): string[] {
    if (this.current !== "") this.list.push(this.current);
    this.current = "";
    this.open = false;
    return this.list;
  }
}

class Run {
  readonly matched = new Set<string>();
  readonly unmatched = new Set<string>();
  private readonly chars: string[];
  private at = 0;
  private rawEscapes: boolean;

  constructor(
    source: string,
    private readonly env: EnvLookup,
    private readonly options: ShellOptions,
  ) {
    this.chars = [...source];
    this.rawEscapes = options.rawEscapes ?? false;
  }

  /** Processes up to an unquoted `stop` (which is taken), or to the end where it is null. */
  until(stop: string | null, rawEscapes: boolean): { text: string; words: string[] } {
    const before = this.rawEscapes;
    this.rawEscapes = rawEscapes;
    const words = new Words();
    let text = "";
    while (this.at < this.chars.length) {
      const ch = this.chars[this.at]!;
      if (ch === stop) {
        this.at++;
        this.rawEscapes = before;
        return { text, words: words.end() };
      }
      if (ch === "$") {
        const value = this.dollar();
        text += value;
        words.split(value);
      } else if (ch === "<") {
        const value = this.lessThan();
        text += value;
        words.raw(value);
      } else if (ch === "'" && !this.options.skipQuotes) {
        const value = this.singleQuoted();
        text += value;
        words.raw(value);
      } else if (ch === '"' && !this.options.skipQuotes) {
        const value = this.doubleQuoted();
        text += value;
        words.raw(value);
      } else if (ch === this.options.escape) {
        this.at++;
        let taken = this.rawEscapes ? ch : "";
        if (this.at < this.chars.length) taken += this.chars[this.at++]!;
        text += taken;
        if (taken !== "") words.raw(taken);
      } else {
        this.at++;
        text += ch;
        words.split(ch);
      }
    }
    this.rawEscapes = before;
    if (stop !== null) throw new SyntaxFault(`unexpected end of statement while looking for matching ${stop}`);
    return { text, words: words.end() };
  }

  private singleQuoted(): string {
    const end = this.chars.indexOf("'", this.at + 1);
    if (end < 0) {
      this.at = this.chars.length;
      throw new SyntaxFault("unexpected end of statement while looking for matching single-quote");
    }
    const inner = this.chars.slice(this.at + 1, end).join("");
    this.at = end + 1;
    return this.options.rawQuotes ? `'${inner}'` : inner;
  }

  private doubleQuoted(): string {
    const quote = this.options.rawQuotes ? '"' : "";
    const escapeChar = this.options.escape;
    let text = quote;
    this.at++;
    while (this.at < this.chars.length) {
      const ch = this.chars[this.at]!;
      if (ch === '"') {
        this.at++;
        return text + quote;
      }
      if (ch === "$") {
        text += this.dollar();
        continue;
      }
      this.at++;
      if (ch !== escapeChar) {
        text += ch;
        continue;
      }
      if (this.rawEscapes) text += ch;
      const next = this.chars[this.at];
      if (next === undefined) break;
      // Within double quotes the escape only has power over these; elsewhere it stands for itself.
      if (next === '"' || next === "$" || next === escapeChar) {
        text += next;
        this.at++;
      } else text += ch;
    }
    throw new SyntaxFault("unexpected end of statement while looking for matching double-quote");
  }

  /** `<`, or `<<` with the white space after it: that of a heredoc, which does not end a word. */
  private lessThan(): string {
    this.at++;
    if (this.chars[this.at] !== "<") return "<";
    let text = "<<";
    this.at++;
    while (/^[\t\r ]$/.test(this.chars[this.at] ?? "")) text += this.chars[this.at++];
    return text;
  }

  private dollar(): string {
    this.at++;
    if (this.chars[this.at] !== "{") {
      const name = this.name();
      if (name === "") return "$";
      const value = this.lookup(name);
      return value === undefined && this.options.keepUnset ? `$${name}` : (value ?? "");
    }
    this.at++;
    const first = this.chars[this.at];
    if (first === undefined) throw new SyntaxFault("syntax error: missing '}'");
    if (first === "{" || first === "}" || first === ":") throw new SyntaxFault("syntax error: bad substitution");
    const name = this.name();
    const modifier = this.chars[this.at++];
    if (modifier === "}") {
      const value = this.lookup(name);
      return value === undefined && this.options.keepUnset ? `\${${name}}` : (value ?? "");
    }
    if (modifier === "/") return this.replace(name);
    if (modifier === ":") {
      const kind = this.chars[this.at++] ?? "";
      if (!"-+?".includes(kind) || kind === "") throw unsupported(`:${kind}`);
      return this.conditional(name, kind, true);
    }
    if (modifier !== undefined && "-+?".includes(modifier)) return this.conditional(name, modifier, false);
    if (modifier === "#" || modifier === "%") return this.trim(name, modifier);
    throw unsupported(modifier ?? "");
  }

  private conditional(name: string, kind: string, nullIsUnset: boolean): string {
    const word = this.part("}", false, "'}'");
    const value = this.lookup(name);
    if (value === undefined && this.options.keepUnset) return `\${${name}${nullIsUnset ? ":" : ""}${kind}${word}}`;
    const missing = value === undefined || (nullIsUnset && value === "");
    if (kind === "-") return missing ? word : value;
    if (kind === "+") return missing ? "" : word;
    if (value === undefined) throw new SyntaxFault(`${name}: ${word || "is not allowed to be unset"}`);
    if (missing) throw new SyntaxFault(`${name}: ${word || "is not allowed to be empty"}`);
    return value;
  }

  private trim(name: string, kind: string): string {
    const word = this.part("}", true, "'}'");
    const value = this.lookup(name);
    if (value === undefined && this.options.keepUnset) return `\${${name}${kind}${word}}`;
    const greedy = word.startsWith(kind);
    const pattern = greedy ? word.slice(1) : word;
    return kind === "#" ? trimPrefix(value ?? "", pattern, greedy) : trimSuffix(value ?? "", pattern, greedy);
  }

  private replace(name: string): string {
    const all = this.chars[this.at] === "/";
    if (all) this.at++;
    const pattern = this.part("/", true, "'/' in ${}");
    const replacement = this.part("}", true, "'}'");
    const value = this.lookup(name);
    if (value === undefined && this.options.keepUnset) return `\${${name}/${all ? "/" : ""}${pattern}/${replacement}}`;
    return replacePattern(value ?? "", pattern, replacement, all);
  }

  private part(stop: string, rawEscapes: boolean, what: string): string {
    try {
      return this.until(stop, rawEscapes).text;
    } catch (error) {
      if (error instanceof SyntaxFault && this.at >= this.chars.length) {
        throw new SyntaxFault(`syntax error: missing ${what}`);
      }
      throw error;
    }
  }

  private name(): string {
    const first = this.chars[this.at];
    if (first === undefined) return "";
    const start = this.at;
    if (DIGIT.test(first)) {
      while (this.at < this.chars.length && DIGIT.test(this.chars[this.at]!)) this.at++;
    } else if (SPECIAL.has(first)) this.at++;
    else while (this.at < this.chars.length && NAME.test(this.chars[this.at]!)) this.at++;
    return this.chars.slice(start, this.at).join("");
  }

  private lookup(name: string): string | undefined {
    const value = this.env(name);
    (value === undefined ? this.unmatched : this.matched).add(name);
    return value;
  }
}

function unsupported(modifier: string): SyntaxFault {
  return new SyntaxFault(`unsupported modifier (${modifier}) in substitution`);
}
