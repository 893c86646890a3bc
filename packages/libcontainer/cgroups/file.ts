import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, writeSync } from "node:fs";
import { messageOf, systemError } from "@gantry/spec";
import { isErrno } from "@gantry/sys";

/** Writes one value to a cgroup file. Never creates it: an absent one is ENOENT, on fake trees too. */
export function writeValue(file: string, value: string): void {
  const fd = openSync(file, "r+");
  try {
    writeSync(fd, value);
  } finally {
    closeSync(fd);
  }
}

/** As writeValue, for files that take one line per write, with the file opened once. */
export function writeLines(file: string, lines: readonly string[]): void {
  if (lines.length === 0) return;
  const fd = openSync(file, "r+");
  try {
    for (const line of lines) writeSync(fd, line);
  } finally {
    closeSync(fd);
  }
}

export function readText(file: string): string {
  return readFileSync(file, "utf8");
}

/** The file's text, or null where it (or its cgroup) is not there or its controller does not serve it. */
export function tryRead(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENODEV", "EOPNOTSUPP", "ENOTDIR")) return null;
    throw error;
  }
}

/** A file of one number; `max` is `unlimited`; `absent` where there is no such file. */
export function readNumber(file: string, absent = 0, unlimited = UNLIMITED): number {
  const text = tryRead(file)?.trim();
  if (text === undefined || text === "") return absent;
  return text === "max" ? unlimited : Number(text);
}

/** What v1 shows for a memory limit that is not set: the largest signed number, rounded down to pages. */
export const UNLIMITED = 0x7ffffffffffff000;

/** Lines of `key value` as an object. */
export function parseFlatKeyed(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) values[line.slice(0, space)] = Number(line.slice(space + 1));
  }
  return values;
}

export function readFlatKeyed(file: string): Record<string, number> {
  return parseFlatKeyed(tryRead(file) ?? "");
}

/**
 * Makes a directory with those above it as far as they are missing, which `made` is told from the top down.
 * Returns whether it is new.
 */
export function makeDirectory(directory: string, made: (path: string) => void): boolean {
  try {
    mkdirSync(directory, 0o755);
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    const parent = directory.slice(0, directory.lastIndexOf("/"));
    if (!isErrno(error, "ENOENT") || parent === "") throw error;
    makeDirectory(parent, made);
    mkdirSync(directory, 0o755);
  }
  made(directory);
  return true;
}

/** Names of the cgroups right below one; none where it is gone. */
export function childCgroups(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** Removes a directory that may be gone already. */
export function removeDirectory(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}

/** An error of a limit that could not be set, with the file and the value that was refused. */
export function refused(file: string, value: string, error: unknown): Error {
  return systemError(`failed to write ${JSON.stringify(value)} to ${file}: ${messageOf(error)}`, error);
}
