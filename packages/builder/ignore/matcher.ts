import { invalidParameter, LinearRegExp } from "@gantry/spec";
import { cleanPath } from "./clean.ts";
import { checkGlob, literal, readClass } from "./glob.ts";

interface Pattern {
  exclusion: boolean;
  test(path: string): boolean;
}

/** What a directory's patterns said, to be handed to its entries. */
export type MatchState = boolean[];

/**
 * Docker's pattern list (moby/patternmatcher): the last pattern that matches a path, or one of its parent directories,
 * decides; `!` takes back; `**` spans directories; no pattern matches the root itself.
 */
export class PatternMatcher {
  private readonly patterns: Pattern[] = [];
  /** Whether a `!` pattern is among them: then an ignored directory's entries must still be asked about. */
  readonly hasExclusions: boolean;

  /** Throws invalidParameter for a lone `!` and for bad syntax. */
  constructor(patterns: Iterable<string>) {
    for (const raw of patterns) {
      let text = raw.trim();
      if (text === "") continue;
      text = cleanPath(text);
      const exclusion = text.startsWith("!");
      if (exclusion) {
        if (text.length === 1) throw invalidParameter('illegal exclusion pattern: "!"');
        text = text.slice(1);
      }
      checkGlob(text);
      this.patterns.push({ exclusion, test: compile(text) });
    }
    this.hasExclusions = this.patterns.some((pattern) => pattern.exclusion);
  }

  get isEmpty(): boolean {
    return this.patterns.length === 0;
  }

  /** Whether the slash-delimited relative path is matched, by itself or through a parent directory. */
  matches(path: string): boolean {
    const clean = cleanPath(path);
    if (clean === ".") return false;
    const parents = parentsOf(clean);
    let matched = false;
    for (const pattern of this.patterns) {
      // A pattern that could not change the answer is not asked.
      if (pattern.exclusion !== matched) continue;
      if (pattern.test(clean) || parents.some((parent) => pattern.test(parent))) matched = !pattern.exclusion;
    }
    return matched;
  }

  /** The same while walking: `parent` is what the directory's own call returned as `state`; none for the top. */
  step(path: string, parent?: MatchState): { matched: boolean; state: MatchState } {
    let matched = false;
    const state: MatchState = new Array(this.patterns.length).fill(false);
    this.patterns.forEach((pattern, i) => {
      let hit = parent?.[i] ?? false;
      if (!hit) {
        if (pattern.exclusion !== matched) return;
        hit = pattern.test(path);
      }
      state[i] = hit;
      if (hit) matched = !pattern.exclusion;
    });
    return { matched, state };
  }
}

function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let i = path.indexOf("/"); i > 0; i = path.indexOf("/", i + 1)) parents.push(path.slice(0, i));
  return parents;
}

/** One pattern as a test. The common shapes need no regular expression, and Docker's answers differ by shape. */
function compile(pattern: string): (path: string) => boolean {
  const chars = [...pattern];
  let source = "^";
  let shape: "exact" | "prefix" | "suffix" | "regexp" = "exact";
  for (let i = 0, token = 0; i < chars.length; i++, token++) {
    const ch = chars[i]!;
    if (ch === "*" && chars[i + 1] === "*") {
      i++;
      if (chars[i + 1] === "/") i++;
      if (i + 1 >= chars.length) {
        if (shape === "exact") shape = "prefix";
        else {
          source += ".*";
          shape = "regexp";
        }
      } else {
        source += "(.*/)?";
        shape = "regexp";
      }
      if (token === 0) shape = "suffix";
    } else if (ch === "*" || ch === "?") {
      source += ch === "*" ? "[^/]*" : "[^/]";
      shape = "regexp";
    } else if (ch === "\\") {
      const next = chars[++i];
      source += literal(next ?? "\\");
      if (next !== undefined) shape = "regexp";
    } else if (ch === "[") {
      const end = readClass(chars, i + 1);
      source += end.source;
      i = end.last;
      shape = "regexp";
    } else {
      source += literal(ch);
      if (ch === "]") shape = "regexp";
    }
  }
  if (shape === "exact") return (path) => path === pattern;
  if (shape === "prefix") {
    const prefix = pattern.slice(0, -2);
    return (path) => path.startsWith(prefix);
  }
  if (shape === "suffix") {
    const suffix = pattern.slice(2);
    return (path) => path.endsWith(suffix) || (suffix.startsWith("/") && path === suffix.slice(1));
  }
  const expression = new LinearRegExp(`${source}$`, { dotAll: true });
  return (path) => expression.test(path);
}
