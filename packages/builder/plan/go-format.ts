import type { HealthConfig } from "@gantry/spec";
import { formatDuration } from "../dockerfile/duration.ts";

/** Texts of history entries are Go's formatting of the values: other engines' caches are matched by them. */

const ESCAPES: Record<string, string> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  '"': '\\"',
  "\\": "\\\\",
};

/** Go's %q of a string. */
export function quote(text: string): string {
  const body = text.replace(/["\\\x00-\x1f\x7f]/g, (ch) => {
    return ESCAPES[ch] ?? `\\x${ch.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${body}"`;
}

/** Go's %q of a list. */
export function quoteList(list: string[]): string {
  return `[${list.map(quote).join(" ")}]`;
}

/** Go's %v of a list. */
export function plainList(list: string[]): string {
  return `[${list.join(" ")}]`;
}

/** Go's %v of a health check. */
export function healthText(health: HealthConfig): string {
  const durations = [health.Interval, health.Timeout, health.StartPeriod, health.StartInterval];
  const parts = [plainList(health.Test ?? []), ...durations.map((d) => formatDuration(d ?? 0)), health.Retries ?? 0];
  return `&{${parts.join(" ")}}`;
}
