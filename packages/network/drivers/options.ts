import { invalidParameter } from "@gantry/spec";
import { parseAddress } from "../ipam/cidr.ts";

/** Reads driver options as Go's parsers do. Each throws invalidParameter in Docker's words. */
export function boolOption(options: Record<string, string>, key: string, fallback: boolean): boolean {
  const text = options[key];
  if (text === undefined) return fallback;
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  const why = `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw invalidParameter(`failed to parse ${key} value: ${text} (${why})`);
}

/** A link's MTU in bytes, 0 where none is given. */
export function mtuOption(options: Record<string, string>): number {
  const text = options["com.docker.network.driver.mtu"];
  if (text === undefined || text === "") return 0;
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    const why = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`;
    throw invalidParameter(`failed to parse com.docker.network.driver.mtu value: ${text} (${why})`);
  }
  if (Number(text) < 0) throw invalidParameter(`invalid MTU number: ${text}`);
  return Number(text);
}

/** An address of a family, "" where none is given. */
export function addressOption(options: Record<string, string>, key: string, family: 4 | 6): string {
  const text = options[key] ?? "";
  if (text === "" || parseAddress(text)?.family === family) return text;
  throw invalidParameter(`failed to parse ${key} value: ${text} (nil ip)`);
}

/** A name the kernel takes for a link: 1 to 15 bytes, no slash, no blank. */
export function linkNameOption(options: Record<string, string>, key: string): string {
  const name = options[key] ?? "";
  // As the kernel says it, and Docker after it.
  if (Buffer.byteLength(name) > 15) throw invalidParameter("numerical result out of range");
  if (name !== "" && !isLinkName(name)) throw invalidParameter(`invalid interface name ${JSON.stringify(name)}`);
  return name;
}

export function isLinkName(name: string): boolean {
  return /^[^\s/:"\\\0-\x1f]{1,15}$/.test(name) && Buffer.byteLength(name) <= 15 && name !== "." && name !== "..";
}
