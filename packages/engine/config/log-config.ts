import { invalidParameter } from "@gantry/spec";

const LOG_OPTIONS: Record<string, RegExp> = {
  "json-file": /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size|cache-.*)$/,
  local: /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size)$/,
  none: /^(mode|max-buffer-size|cache-.*)$/,
};

/** How a log is rotated. */
export interface LogRotation {
  /** Bytes; 0 for no limit. */
  maxSize: number;
  /** Files kept, the current one included; at least 1. */
  maxFile: number;
  /** Whether rotated files are compressed. */
  compress: boolean;
}

/** Refuses unknown drivers and options. Like Docker it leaves the options' values to the container's start. */
export function validateLogConfig(driver: string, options: Record<string, string>): void {
  if (driver === "") return;
  const known = LOG_OPTIONS[driver];
  if (known === undefined) {
    throw invalidParameter(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  for (const key of Object.keys(options))
    if (!known.test(key)) throw invalidParameter(`unknown log opt '${key}' for ${driver} log driver`);
}

/** Reads the options of the drivers `json-file` and `local`; invalidParameter in Docker's words for each of them. */
export function parseLogRotation(driver: string, options: Record<string, string>): LogRotation {
  return driver === "local" ? parseLocal(options) : parseJsonFile(options);
}

function parseJsonFile(options: Record<string, string>): LogRotation {
  const { "max-size": size, "max-file": files, compress: packed } = options;
  const maxSize = size === undefined ? 0 : parseLogSize(size);
  if (size !== undefined && maxSize <= 0) throw invalidParameter("max-size must be a positive number");
  const maxFile = files === undefined ? 1 : parseCount(files);
  if (maxFile < 1) throw invalidParameter("max-file cannot be less than 1");
  const compress = packed === undefined ? false : parseBool(packed);
  if (compress && (maxFile < 2 || maxSize === 0)) {
    throw invalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set");
  }
  return { maxSize, maxFile, compress };
}

/** The defaults of `local`: 20 MB, five files, compressed. */
function parseLocal(options: Record<string, string>): LogRotation {
  const { "max-size": size, "max-file": files, compress: packed } = options;
  const maxSize =
    size === undefined ? 20 * 1024 ** 2 : wrapped(`invalid value for max-size: ${size}`, parseLogSize, size);
  const maxFile = files === undefined ? 5 : wrapped(`invalid value for max-file: ${files}`, parseCount, files);
  const compress = packed === undefined ? true : wrapped("error reading compress log option", parseBool, packed);
  if (compress && maxFile <= 1) throw invalidParameter("compression cannot be enabled when max file count is 1");
  if (maxFile < 1) throw invalidParameter("max file count cannot be less than 1");
  return { maxSize, maxFile, compress };
}

function wrapped<T>(what: string, parse: (text: string) => T, text: string): T {
  try {
    return parse(text);
  } catch (error) {
    throw invalidParameter(`${what}: ${(error as Error).message}`);
  }
}

function parseCount(text: string): number {
  if (!/^[+-]?\d{1,9}$/.test(text))
    throw invalidParameter(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function parseBool(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw invalidParameter(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** "10m" in bytes. */
export function parseLogSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw invalidParameter(`invalid size: '${text}'`);
  const shift = " kmgt".indexOf((match[2] || " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** shift);
}
