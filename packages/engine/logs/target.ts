import type { LogTarget } from "@gantry/libcontainer";
import { GantryError, invalidParameter, messageOf } from "@gantry/spec";
import { forwardsLogs, type LogRotation, parseLogRotation } from "../config/log-config.ts";
import type { Container } from "../containers/container.ts";

/** Where and how the shim writes the log; null for the driver `none`. */
export function logTarget(container: Container): LogTarget | null {
  const { hostConfig, config } = container.record;
  const driver = hostConfig.LogConfig?.Type ?? "json-file";
  const options = hostConfig.LogConfig?.Config ?? {};
  if (driver === "none") return null;
  // Drivers differ from `json-file` by their defaults, not by their format here.
  const rotation = rotationOf(driver, options);
  // Those of a driver that sends its lines elsewhere are there, not here.
  const attrs = forwardsLogs(driver) ? null : logAttributes(options, config.Labels ?? {}, config.Env ?? []);
  return {
    path: container.logPath,
    maxSize: rotation.maxSize,
    maxFile: rotation.maxFile,
    ...(attrs === null ? {} : { attrs: JSON.stringify(attrs) }),
  };
}

function rotationOf(driver: string, options: Record<string, string>): LogRotation {
  try {
    return parseLogRotation(driver, options);
  } catch (error) {
    throw new GantryError(
      "system",
      `failed to create task for container: failed to initialize logging driver: ${messageOf(error)}`,
    );
  }
}

/** Whether the rotated files of a container's log are compressed: where asked for, and of `local` unless refused. */
export function compressesLog(container: Container): boolean {
  const { LogConfig } = container.record.hostConfig;
  const driver = LogConfig?.Type ?? "json-file";
  const options = LogConfig?.Config ?? {};
  if (driver === "none" || (driver === "json-file" && options["compress"] === undefined)) return false;
  try {
    return parseLogRotation(driver, options).compress;
  } catch {
    // It never started.
    return false;
  }
}

function logAttributes(
  options: Record<string, string>,
  labels: Record<string, string>,
  env: string[],
): Record<string, string> | null {
  const result: Record<string, string> = {};
  for (const key of options["labels"]?.split(",") ?? []) if (labels[key] !== undefined) result[key] = labels[key];
  const values = new Map(env.map((entry) => [entry.split("=", 1)[0] as string, entry.slice(entry.indexOf("=") + 1)]));
  for (const key of options["env"]?.split(",") ?? []) {
    const value = values.get(key);
    if (value !== undefined) result[key] = value;
  }
  const matching = (pattern: string | undefined, entries: Iterable<[string, string]>) => {
    if (pattern === undefined) return;
    let regex: RegExp;
    try {
      regex = new RegExp(pattern);
    } catch {
      throw invalidParameter(`invalid regular expression: ${pattern}`);
    }
    for (const [key, value] of entries) if (regex.test(key)) result[key] = value;
  };
  matching(options["labels-regex"], Object.entries(labels));
  matching(options["env-regex"], values);
  return Object.keys(result).length === 0 ? null : result;
}
