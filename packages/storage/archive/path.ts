import { invalidParameter } from "@gantry/spec";

/**
 * Cleans a member's name as Go's `filepath.Clean` does: no empty and dot parts, `..` taken lexically. A leading
 * slash means nothing. Returns "" for the root itself, null for a name that climbs above it.
 */
export function cleanName(name: string): string | null {
  // Nearly all names are clean already.
  if (!/(?:^|\/)(?:\.{0,2})(?:\/|$)/.test(name)) return name;
  const parts: string[] = [];
  for (const part of name.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join("/");
}

/** Docker's words for a member outside of the destination. */
export function breakout(name: string, root: string): Error {
  return invalidParameter(`${JSON.stringify(name)} is outside of ${JSON.stringify(root)}`);
}

/** Splits a clean name in folder ("" for the top) and base. */
export function splitName(name: string): [folder: string, base: string] {
  const slash = name.lastIndexOf("/");
  return slash < 0 ? ["", name] : [name.slice(0, slash), name.slice(slash + 1)];
}
