import { invalidParameter, messageOf } from "@gantry/spec";
import { parseFluentdOptions } from "./log-fluentd.ts";
import { parseGelfOptions } from "./log-gelf.ts";
import { checkSyslogOptions } from "./log-syslog.ts";
import { parseBool, parseCount, parseLogSize } from "./log-values.ts";

export { parseLogSize } from "./log-values.ts";

interface LogDriverOptions {
  /** The driver's own options, besides those that all have. */
  known: RegExp;
  /** Checks their values, where Docker does so before the start. */
  check?(options: Record<string, string>): unknown;
  /** Sends its lines elsewhere: what is on disk is a cache. */
  forwards?: true;
  /** What is said of an unknown option, where it is not what most say. */
  unknown?(key: string): string;
}

const TAGGED = "tag|labels|labels-regex|env|env-regex";

/** Every log driver there is. */
const DRIVERS: Record<string, LogDriverOptions> = {
  "json-file": { known: new RegExp(`^(max-file|max-size|compress|${TAGGED})$`) },
  local: { known: /^(max-file|max-size|compress)$/, unknown: (key) => `unknown log opt '${key}' for log driver local` },
  none: { known: /^/ },
  syslog: {
    known: new RegExp(`^(syslog-(address|facility|format|tls-(ca-cert|cert|key|skip-verify))|${TAGGED})$`),
    check: checkSyslogOptions,
    forwards: true,
  },
  fluentd: {
    known: new RegExp(
      `^(fluentd-(address|async|async-reconnect-interval|buffer-limit|max-retries|request-ack|retry-wait|sub-second-precision|write-timeout|read-timeout)|${TAGGED})$`,
    ),
    check: parseFluentdOptions,
    forwards: true,
  },
  gelf: {
    known: new RegExp(`^(gelf-(address|compression-(level|type)|tcp-(max-reconnect|reconnect-delay))|${TAGGED})$`),
    check: parseGelfOptions,
    forwards: true,
    unknown: (key) => `unknown log opt ${JSON.stringify(key)} for gelf log driver`,
  },
  journald: { known: new RegExp(`^(${TAGGED})$`), forwards: true },
};

/** Names of all log drivers, as `docker info` lists them (it leaves out `none`). */
export const logDrivers = (): string[] =>
  Object.keys(DRIVERS)
    .filter((name) => name !== "none")
    .sort();

/** Whether a driver sends its lines elsewhere. */
export const forwardsLogs = (driver: string): boolean => DRIVERS[driver]?.forwards === true;

/** How a log is rotated. */
export interface LogRotation {
  /** Bytes; 0 for no limit. */
  maxSize: number;
  /** Files kept, the current one included; at least 1. */
  maxFile: number;
  /** Whether rotated files are compressed. */
  compress: boolean;
}

/**
 * Refuses unknown drivers and options, and values that Docker refuses at creation. Like Docker it leaves those of
 * `json-file` and `local`, and whatever has to be looked up, to the container's start.
 */
export function validateLogConfig(driver: string, options: Record<string, string>): void {
  if (driver === "" || driver === "none") return;
  const known = Object.hasOwn(DRIVERS, driver) ? DRIVERS[driver] : undefined;
  const { mode = "", "max-buffer-size": buffer, "cache-disabled": uncached } = options;
  if (!["", "blocking", "non-blocking"].includes(mode)) {
    throw invalidParameter(`logger: logging mode not supported: ${mode}`);
  }
  if (buffer !== undefined) {
    if (mode !== "non-blocking") {
      throw invalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    }
    wrapped("error parsing option max-buffer-size", parseLogSize, buffer);
  }
  if (uncached !== undefined) {
    try {
      parseBool(uncached);
    } catch {
      throw invalidParameter(`invalid value for option cache-disabled: ${uncached}`);
    }
  }
  if (known === undefined) {
    throw invalidParameter(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  for (const key of Object.keys(options)) {
    if (known.known.test(key) || /^(mode|max-buffer-size|cache-(disabled|max-size|max-file|compress))$/.test(key))
      continue;
    // An address that is missing or bad comes first there.
    if (driver === "gelf") known.check?.(options);
    throw invalidParameter(known.unknown?.(key) ?? `unknown log opt '${key}' for ${driver} log driver`);
  }
  known.check?.(options);
}

/**
 * Reads how the log on disk is rotated; invalidParameter in Docker's words for bad values. The cache of a driver that
 * forwards is rotated as `local` is, by its `cache-…` options; a bad one of these counts as not given, as with Docker.
 */
export function parseLogRotation(driver: string, options: Record<string, string>): LogRotation {
  if (forwardsLogs(driver)) return parseCache(options);
  return driver === "local" ? parseLocal(options) : parseJsonFile(options);
}

/** Whether a container's log may be read. */
export function readableLog(driver: string, options: Record<string, string>): boolean {
  if (driver === "none") return false;
  return !forwardsLogs(driver) || !options["cache-disabled"] || !parseBool(options["cache-disabled"]);
}

function parseCache(options: Record<string, string>): LogRotation {
  const taken: Record<string, string> = {};
  for (const name of ["max-size", "max-file", "compress"]) {
    const value = options[`cache-${name}`];
    if (value === undefined) continue;
    try {
      // One file alone is never compressed, whatever the default.
      const alone: Record<string, string> = name === "max-file" ? { compress: "false" } : {};
      const { maxSize } = parseLocal({ ...alone, [name]: value });
      if (maxSize > 0) taken[name] = value;
    } catch {
      // The default then.
    }
  }
  if (Number(taken["max-file"] ?? 5) < 2) taken["compress"] = "false";
  return parseLocal(taken);
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
    throw invalidParameter(`${what}: ${messageOf(error)}`);
  }
}
