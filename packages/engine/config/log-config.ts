import { invalidParameter } from "@gantry/spec";

const LOG_OPTIONS: Record<string, RegExp> = {
  "json-file": /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size|cache-.*)$/,
  local: /^(max-file|max-size|compress|labels|labels-regex|env|env-regex|tag|mode|max-buffer-size)$/,
  none: /^(mode|max-buffer-size|cache-.*)$/,
};

/** Refuses unknown drivers and options. */
export function validateLogConfig(driver: string, options: Record<string, string>): void {
  if (driver === "") return;
  const known = LOG_OPTIONS[driver];
  if (known === undefined) {
    throw invalidParameter(`error looking up logging plugin ${driver}: plugin "${driver}" not found`);
  }
  for (const [key, value] of Object.entries(options)) {
    if (!known.test(key)) throw invalidParameter(`unknown log opt '${key}' for ${driver} log driver`);
    if (key === "max-size" && value !== "-1") parseLogSize(value);
    if (key === "max-file" && !(/^\d+$/.test(value) && Number(value) >= 1)) {
      throw invalidParameter("max-file cannot be less than 1");
    }
  }
  if (
    driver === "json-file" &&
    options["max-file"] !== undefined &&
    Number(options["max-file"]) > 1 &&
    options["max-size"] === undefined
  ) {
    return;
  }
}

/** "10m" in bytes; -1 for no limit. */
export function parseLogSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?$/i.exec(text);
  if (match === null) throw invalidParameter(`invalid size: '${text}'`);
  const shift = " kmgt".indexOf((match[2] || " ").toLowerCase());
  return Math.floor(Number(match[1]) * 1024 ** shift);
}
