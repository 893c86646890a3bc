import { LinearRegExp, messageOf, systemError } from "@gantry/spec";
import type { ContainerRecord } from "../../containers/record.ts";

/** What drivers tell of the container whose lines they send; the names are those of Docker's tag templates. */
export interface LogInfo {
  config: Record<string, string>;
  containerId: string;
  /** With its leading slash. */
  containerName: string;
  command: string;
  imageId: string;
  imageName: string;
  created: string;
  labels: Record<string, string>;
  env: string[];
}

export function logInfo(record: ContainerRecord): LogInfo {
  return {
    config: record.hostConfig.LogConfig?.Config ?? {},
    containerId: record.id,
    containerName: `/${record.name}`,
    command: [record.path, ...record.args].join(" "),
    imageId: record.imageId,
    imageName: record.config.Image ?? "",
    created: record.created,
    labels: record.config.Labels ?? {},
    env: record.config.Env ?? [],
  };
}

/**
 * Labels and variables that the options `labels`, `labels-regex`, `env` and `env-regex` ask for, under names made by
 * `rename`. Throws systemError for what is no regular expression.
 */
export function extraAttributes(info: LogInfo, rename: (key: string) => string = (key) => key): Record<string, string> {
  const { config } = info;
  const env: Record<string, string> = Object.create(null);
  for (const entry of info.env) {
    const at = entry.indexOf("=");
    if (at >= 0) env[entry.slice(0, at)] = entry.slice(at + 1);
  }
  const result: Record<string, string> = {};
  const take = (values: Record<string, string>, names: string | undefined, pattern: string | undefined) => {
    for (const key of names ? names.split(",") : [])
      if (Object.hasOwn(values, key)) result[rename(key)] = values[key] as string;
    if (!pattern) return;
    const regex = goRegex(pattern);
    for (const [key, value] of Object.entries(values)) if (regex.test(key)) result[rename(key)] = value;
  };
  take(info.labels, config["labels"], config["labels-regex"]);
  take(env, config["env"], config["env-regex"]);
  return result;
}

/** A regular expression as Go writes them. */
function goRegex(pattern: string): LinearRegExp {
  try {
    return new LinearRegExp(pattern);
  } catch (error) {
    throw systemError(messageOf(error), error);
  }
}
