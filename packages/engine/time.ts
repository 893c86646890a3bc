import { invalidParameter } from "@gantry/spec";

/** Go's zero time, which Docker shows where something never happened. */
export const ZERO_TIME = "0001-01-01T00:00:00Z";

// The wall clock has milliseconds; the monotonic one fills in the rest. Taken anew when they drift (a clock was set).
let base = 0n;

/** Nanoseconds since 1970. */
export function nowNs(): bigint {
  const wall = BigInt(Date.now()) * 1_000_000n;
  const mono = BigInt(Bun.nanoseconds());
  const guess = base + mono;
  const drift = guess - wall;
  if (drift < 0n || drift > 2_000_000n) {
    base = wall - mono;
    return wall;
  }
  return guess;
}

/** Nanoseconds since 1970 as RFC 3339 in UTC, without trailing zeros (Go's RFC3339Nano). */
export function formatTime(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, "0").replace(/0+$/, "");
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return fraction === "" ? `${text}Z` : `${text}.${fraction}Z`;
}

export function now(): string {
  return formatTime(nowNs());
}

/** RFC 3339 text to nanoseconds since 1970; null where it is none. */
export function parseTime(text: string): bigint | null {
  const match = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return null;
  const ms = Date.parse(`${match[1]}T${match[2]}${(match[4] as string).toUpperCase()}`);
  if (Number.isNaN(ms)) return null;
  return BigInt(ms) * 1_000_000n + BigInt((match[3] ?? "").padEnd(9, "0"));
}

/**
 * A point in time as the API takes it: seconds since 1970 with an optional fraction, RFC 3339, or a Go duration ago.
 * Returns nanoseconds, null for "" and 0.
 */
export function parseTimestamp(text: string | undefined): bigint | null {
  if (text === undefined || text === "" || text === "0") return null;
  const unix = /^(-?\d{1,12})(?:\.(\d{1,9}))?$/.exec(text);
  if (unix !== null) return BigInt(unix[1] as string) * 1_000_000_000n + BigInt((unix[2] ?? "").padEnd(9, "0"));
  const full = parseTime(text) ?? parseTime(`${text}Z`) ?? parseTime(`${text}T00:00:00Z`) ?? parseTime(`${text}:00Z`);
  if (full !== null) return full;
  const duration = parseDuration(text);
  if (duration !== null) return nowNs() - duration;
  throw invalidParameter(`invalid timestamp ${JSON.stringify(text)}`);
}

/**
 * A time of the API's `since` and `until`, which take nothing but seconds since 1970 with a fraction ("1500000000.5"), in
 * nanoseconds; null where there is none. Throws invalidParameter in Docker's words.
 */
export function parseUnixTime(text: string | undefined): bigint | null {
  if (text === undefined || text === "" || text === "0") return null;
  const dot = text.indexOf(".");
  const [seconds, fraction] = dot < 0 ? [text, ""] : [text.slice(0, dot), text.slice(dot + 1)];
  for (const [part, form] of [
    [seconds, /^[+-]?\d{1,12}$/],
    [fraction, /^\d*$/],
  ] as const) {
    if (!form.test(part)) throw invalidParameter(`strconv.ParseInt: parsing ${JSON.stringify(part)}: invalid syntax`);
  }
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, "0"));
}

const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A Go duration ("1h30m", "1.5s") in nanoseconds; null where it is none. */
export function parseDuration(text: string): bigint | null {
  if (text === "0") return 0n;
  if (!/^[+-]?(?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return null;
  let total = 0;
  for (const part of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(part[1]) * (UNITS[part[2] as string] as number);
  }
  return BigInt(Math.round(text.startsWith("-") ? -total : total));
}

/** How long ago or for how long, as `docker ps` words it: "2 hours". */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
