import { invalidParameter } from "@gantry/spec";
import { parseDuration } from "../time.ts";

/** Go's strconv.Atoi, of nine digits at most. */
export function parseCount(text: string): number {
  if (!/^[+-]?\d{1,9}$/.test(text))
    throw invalidParameter(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** Go's strconv.ParseBool. */
export function parseBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw invalidParameter(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Go's strconv.ParseUint of so many bits (32 at most). */
export function parseUint(text: string, bits: number): number {
  const fail = (why: string) => invalidParameter(`strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`);
  if (!/^\d+$/.test(text)) throw fail("invalid syntax");
  if (Number(text) >= 2 ** bits) throw fail("value out of range");
  return Number(text);
}

/** "10m" in bytes. */
export function parseLogSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw invalidParameter(`invalid size: '${text}'`);
  const shift = " kmgt".indexOf((match[2] || " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** shift);
}

/** A Go duration in milliseconds. */
export function parseMilliseconds(text: string): number {
  const ns = parseDuration(text);
  if (ns !== null) return Number(ns) / 1e6;
  const what = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? "missing unit in" : "invalid";
  throw invalidParameter(`time: ${what} duration ${JSON.stringify(text)}`);
}

/** Milliseconds as Go prints a duration: "1m30s", "1.5s", "100ms". */
export function formatMilliseconds(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 0) return `-${formatMilliseconds(-ms)}`;
  const trimmed = (value: number, digits: number) => String(Number(value.toFixed(digits)));
  if (ms < 0.001) return `${Math.round(ms * 1e6)}ns`;
  if (ms < 1) return `${trimmed(ms * 1000, 3)}µs`;
  if (ms < 1000) return `${trimmed(ms, 6)}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = `${trimmed((ms % 60_000) / 1000, 9)}s`;
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
