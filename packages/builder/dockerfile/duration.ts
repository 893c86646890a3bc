import { invalidParameter } from "@gantry/spec";

const UNITS: Record<string, number> = { ns: 1, us: 1e3, µs: 1e3, μs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };

/** A Go duration ("1m30s", "500ms") in nanoseconds. Throws invalidParameter. */
export function parseDuration(text: string): number {
  const quoted = JSON.stringify(text);
  const match = /^([+-]?)(.*)$/s.exec(text)!;
  const body = match[2]!;
  if (body === "0") return 0;
  if (body === "") throw invalidParameter(`time: invalid duration ${quoted}`);
  let total = 0;
  let rest = body;
  while (rest !== "") {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (!part) throw invalidParameter(`time: invalid duration ${quoted}`);
    if (part[2] === "") throw invalidParameter(`time: missing unit in duration ${quoted}`);
    const unit = Object.hasOwn(UNITS, part[2]!) ? UNITS[part[2]!] : undefined;
    if (unit === undefined)
      throw invalidParameter(`time: unknown unit ${JSON.stringify(part[2])} in duration ${quoted}`);
    total += Number(part[1]) * unit;
    rest = rest.slice(part[0].length);
  }
  if (total > 9.2e18) throw invalidParameter(`time: invalid duration ${quoted}`);
  return Math.round(match[1] === "-" ? -total : total);
}

/** Nanoseconds as Go prints a time.Duration: "1m30s", "500ms", "0s". */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 0) return `-${formatDuration(-nanoseconds)}`;
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3600e9);
  const minutes = Math.floor((nanoseconds % 3600e9) / 60e9);
  const seconds = (nanoseconds % 60e9) / 1e9;
  return (hours ? `${hours}h` : "") + (hours || minutes ? `${minutes}m` : "") + `${seconds}s`;
}
