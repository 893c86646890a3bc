import { CliError } from "../errors.ts";
import { parseDuration } from "./sizes.ts";

/**
 * A point in time as the API takes it (seconds since 1970 with nanoseconds): from a duration back from now (`10m`), a
 * date in any length of RFC 3339, or seconds. Empty stays empty. Throws CliError.
 */
export function timestamp(text: string, now = Date.now()): string {
  if (text === "") return "";
  try {
    // A bare 0 is a moment, not a duration.
    if (text !== "0") return seconds(BigInt(now) * 1_000_000n - BigInt(parseDuration(text)));
  } catch {
    // Not a duration: a date or a number.
  }
  if (/^\d+(\.\d{1,9})?$/.test(text)) return text;
  const match = /^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(\.\d{1,9})?)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  if (!match) throw new CliError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", zone = ""] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  if (Number.isNaN(ms)) throw new CliError(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return seconds(BigInt(ms) * 1_000_000n + BigInt(fraction.slice(1).padEnd(9, "0")));
}

function seconds(nanoseconds: bigint): string {
  return `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}`;
}
