import type { LogTarget } from "@gantry/libcontainer";
import { GantryError, messageOf } from "@gantry/spec";
import { forwardsLogs, parseLogRotation } from "../config/log-config.ts";
import type { Container } from "../containers/container.ts";
import type { ContainerRecord } from "../containers/record.ts";
import { extraAttributes, logInfo } from "./forward/info.ts";
import { logTag } from "./forward/tag.ts";

const ATTRIBUTES = ["tag", "labels", "labels-regex", "env", "env-regex"];

/** Where and how the shim writes the log; null for the driver `none`. */
export function logTarget(container: Container): LogTarget | null {
  const { hostConfig } = container.record;
  const driver = hostConfig.LogConfig?.Type ?? "json-file";
  const options = hostConfig.LogConfig?.Config ?? {};
  if (driver === "none") return null;
  // Drivers differ from `json-file` by their defaults, not by their format here.
  const rotation = initialise(() => parseLogRotation(driver, options));
  // Those of a driver that sends its lines elsewhere are there, not here.
  const attrs = forwardsLogs(driver) ? null : logAttributes(container.record);
  return {
    path: container.logPath,
    maxSize: rotation.maxSize,
    maxFile: rotation.maxFile,
    ...(attrs === null ? {} : { attrs: JSON.stringify(attrs) }),
  };
}

function initialise<T>(work: () => T): T {
  try {
    return work();
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

/** What each line bears besides; null for nothing. */
function logAttributes(record: ContainerRecord): Record<string, string> | null {
  const options = record.hostConfig.LogConfig?.Config ?? {};
  if (!ATTRIBUTES.some((name) => options[name] !== undefined)) return null;
  const info = logInfo(record);
  const attributes = initialise(() => {
    const attributes = extraAttributes(info);
    if (options["tag"]) attributes["tag"] = logTag(info);
    return attributes;
  });
  return Object.keys(attributes).length === 0 ? null : attributes;
}
