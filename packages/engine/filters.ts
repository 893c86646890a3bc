import { invalidParameter, LinearRegExp, parseJson } from "@gantry/spec";
import { parseTimestamp } from "./time.ts";

/** The `filters` of a list request: by key, the values any of which may match. */
export class Filters {
  private readonly values: Map<string, string[]>;

  constructor(values: Map<string, string[]> = new Map()) {
    this.values = values;
  }

  /** From JSON: `{"key": ["value"]}`, or the older `{"key": {"value": true}}`. Empty text gives no filters. */
  static parse(text: string | undefined | null): Filters {
    if (text === undefined || text === null || text === "") return new Filters();
    let parsed: unknown;
    try {
      parsed = parseJson(text);
    } catch {
      throw invalidParameter("invalid filter");
    }
    const values = new Map<string, string[]>();
    if (parsed === null) return new Filters(values);
    if (typeof parsed !== "object" || Array.isArray(parsed)) throw invalidParameter("invalid filter");
    for (const [key, entry] of Object.entries(parsed as object)) {
      if (entry === null) values.set(key, []);
      else if (Array.isArray(entry) && entry.every((value) => typeof value === "string")) values.set(key, entry);
      else if (typeof entry === "object" && Object.values(entry).every((on) => typeof on === "boolean")) {
        // A value that is there counts, whatever is said of it.
        values.set(key, Object.keys(entry));
      } else throw invalidParameter("invalid filter");
    }
    return new Filters(values);
  }

  get size(): number {
    return this.values.size;
  }

  has(key: string): boolean {
    return (this.values.get(key)?.length ?? 0) > 0;
  }

  get(key: string): string[] {
    return this.values.get(key) ?? [];
  }

  keys(): string[] {
    return [...this.values.keys()];
  }

  /** Refuses keys not in the list, with Docker's words. */
  allow(...keys: string[]): void {
    for (const key of this.values.keys()) {
      if (!keys.includes(key)) throw invalidParameter(`invalid filter '${key}'`);
    }
  }

  /** True where the key is absent or one of its values is the text. */
  exact(key: string, text: string): boolean {
    return !this.has(key) || this.get(key).includes(text);
  }

  /** True where the key is absent or one of its values is, or as a regular expression matches within, the text. */
  match(key: string, text: string): boolean {
    if (!this.has(key)) return true;
    return this.get(key).some((value) => value === text || regexMatches(value, text));
  }

  /** True where every `key` or `key=value` among the values is in the labels. */
  labels(key: string, labels: Record<string, string> | null | undefined): boolean {
    return this.get(key).every((wanted) => {
      const equals = wanted.indexOf("=");
      const name = equals < 0 ? wanted : wanted.slice(0, equals);
      const value = labels?.[name];
      return value !== undefined && (equals < 0 || value === wanted.slice(equals + 1));
    });
  }

  /** The point in time of a prune's `until`, of which there may be one; nanoseconds since 1970, null where absent. */
  until(): bigint | null {
    const values = this.get("until");
    if (values.length > 1) throw invalidParameter("more than one until filter specified");
    return values.length === 0 ? null : timeFilter(values[0] as string);
  }

  /** A boolean filter; `fallback` where absent. Docker's values: 1, t, true, 0, f, false. */
  bool(key: string, fallback: boolean): boolean {
    if (!this.has(key)) return fallback;
    const values = this.get(key);
    const isTrue = values.some((value) => value === "1" || value === "true");
    const isFalse = values.some((value) => value === "0" || value === "false");
    if (isTrue === isFalse || values.length > 2) {
      throw invalidParameter(`invalid filter '${key}=[${values.join(" ")}]'`);
    }
    return isTrue;
  }
}

/** A point in time, or a duration ago, as nanoseconds since 1970. */
export function timeFilter(text: string): bigint | null {
  try {
    return parseTimestamp(text);
  } catch {
    throw invalidParameter(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  }
}

/** In linear time, whatever the client's pattern: a text that is none matches nothing. */
function regexMatches(source: string, text: string): boolean {
  if (source.length > 256) return false;
  try {
    return new LinearRegExp(source).test(text);
  } catch {
    return false;
  }
}
