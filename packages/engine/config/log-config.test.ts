import { expect, test } from "bun:test";
import { parseLogRotation, validateLogConfig } from "./log-config.ts";

test("names are checked at create, values at start, as by Docker", () => {
  expect(() => validateLogConfig("json-file", { compress: "maybe", "max-file": "0" })).not.toThrow();
  expect(() => validateLogConfig("json-file", { squeeze: "true" })).toThrow(
    "unknown log opt 'squeeze' for json-file log driver",
  );
});

test("json-file: what Docker takes", () => {
  expect(parseLogRotation("json-file", {})).toEqual({ maxSize: 0, maxFile: 1, compress: false });
  expect(parseLogRotation("json-file", { "max-size": "1.5m", "max-file": "2", compress: "T" })).toEqual({
    maxSize: 1572864,
    maxFile: 2,
    compress: true,
  });
});

const TOGETHER = "compress cannot be true when max-file is less than 2 or max-size is not set";
test.each([
  ["json-file", { compress: "maybe" }, 'strconv.ParseBool: parsing "maybe": invalid syntax'],
  ["json-file", { compress: "true" }, TOGETHER],
  ["json-file", { compress: "true", "max-file": "2" }, TOGETHER],
  ["json-file", { compress: "true", "max-size": "1m" }, TOGETHER],
  ["json-file", { "max-size": "-1" }, "invalid size: '-1'"],
  ["json-file", { "max-size": "0" }, "max-size must be a positive number"],
  ["json-file", { "max-file": "0" }, "max-file cannot be less than 1"],
  ["json-file", { "max-file": "x" }, 'strconv.Atoi: parsing "x": invalid syntax'],
  [
    "local",
    { compress: "maybe" },
    'error reading compress log option: strconv.ParseBool: parsing "maybe": invalid syntax',
  ],
  ["local", { "max-file": "1" }, "compression cannot be enabled when max file count is 1"],
  ["local", { "max-size": "x" }, "invalid value for max-size: x: invalid size: 'x'"],
])("%s refuses %j", (driver, options, message) => {
  expect(() => parseLogRotation(driver as string, options as unknown as Record<string, string>)).toThrow(
    message as string,
  );
});

test("local compresses by default", () => {
  expect(parseLogRotation("local", {})).toEqual({ maxSize: 20971520, maxFile: 5, compress: true });
  expect(parseLogRotation("local", { compress: "false", "max-file": "1" }).compress).toBe(false);
});
