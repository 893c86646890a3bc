import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { logDrivers, parseLogRotation, readableLog, validateLogConfig } from "./log-config.ts";
import { parseFluentdOptions } from "./log-fluentd.ts";
import { parseGelfOptions } from "./log-gelf.ts";
import { parseSyslogOptions } from "./log-syslog.ts";
import { formatMilliseconds } from "./log-values.ts";

const UDP = { "gelf-address": "udp://127.0.0.1:9" };
const TCP = { "gelf-address": "tcp://127.0.0.1:9" };

// Messages of Docker Engine 28.5.
test.each([
  ["nope", {}, 'error looking up logging plugin nope: plugin "nope" not found'],
  ["constructor", {}, 'error looking up logging plugin constructor: plugin "constructor" not found'],
  ["syslog", { x: "1" }, "unknown log opt 'x' for syslog log driver"],
  ["syslog", { "syslog-address": "foo://1" }, "unsupported scheme: 'foo'"],
  [
    "syslog",
    { "syslog-address": "127.0.0.1:99" },
    'parse "127.0.0.1:99": first path segment in URL cannot contain colon',
  ],
  ["syslog", { "syslog-address": "host" }, "unsupported scheme: ''"],
  ["syslog", { "syslog-address": "unix:///nonexist" }, "stat /nonexist: no such file or directory"],
  ["syslog", { "syslog-address": "tcp://[::1" }, "parse \"tcp://[::1\": missing ']' in host"],
  ["syslog", { "syslog-address": "tcp://127.0.0.1:x" }, 'parse "tcp://127.0.0.1:x": invalid port ":x" after host'],
  ["syslog", { "syslog-facility": "x" }, "invalid syslog facility"],
  ["syslog", { "syslog-facility": "24" }, "invalid syslog facility"],
  ["syslog", { "syslog-format": "x" }, "Invalid syslog format"],
  ["syslog", { mode: "x" }, "logger: logging mode not supported: x"],
  ["json-file", { mode: "x" }, "logger: logging mode not supported: x"],
  ["syslog", { "max-buffer-size": "1m" }, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"],
  [
    "local",
    { mode: "non-blocking", "max-buffer-size": "zz" },
    "error parsing option max-buffer-size: invalid size: 'zz'",
  ],
  ["syslog", { "cache-disabled": "maybe" }, "invalid value for option cache-disabled: maybe"],
  ["syslog", { "cache-foo": "zz" }, "unknown log opt 'cache-foo' for syslog log driver"],
  ["local", { tag: "x" }, "unknown log opt 'tag' for log driver local"],
  ["fluentd", { "fluentd-address": "udp://x" }, "invalid fluentd-address (udp://x): unsupported scheme: 'udp'"],
  [
    "fluentd",
    { "fluentd-address": "tcp://x/y" },
    "invalid fluentd-address (tcp://x/y): should not contain a path element",
  ],
  ["fluentd", { "fluentd-address": "unix://" }, "invalid fluentd-address (unix://): path is empty"],
  [
    "fluentd",
    { "fluentd-address": "127.0.0.1:99999" },
    'invalid fluentd-address (127.0.0.1:99999): invalid port: strconv.ParseUint: parsing "99999": value out of range',
  ],
  ["fluentd", { "fluentd-buffer-limit": "x" }, "invalid size: 'x'"],
  ["fluentd", { "fluentd-async": "x" }, 'strconv.ParseBool: parsing "x": invalid syntax'],
  ["fluentd", { "fluentd-retry-wait": "x" }, 'time: invalid duration "x"'],
  ["fluentd", { "fluentd-retry-wait": "5" }, 'time: missing unit in duration "5"'],
  ["fluentd", { "fluentd-max-retries": "-1" }, 'strconv.ParseUint: parsing "-1": invalid syntax'],
  ["fluentd", { "fluentd-max-retries": "4000000000" }, "invalid fluentd-max-retries: value out of range"],
  [
    "fluentd",
    { "fluentd-write-timeout": "x" },
    'invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration "x"',
  ],
  [
    "fluentd",
    { "fluentd-write-timeout": "-1s" },
    "invalid value for fluentd-write-timeout: value must be a duration that is non-negative",
  ],
  [
    "fluentd",
    { "fluentd-async-reconnect-interval": "1m30.5s" },
    'invalid value for fluentd-async-reconnect-interval: value ("1m30.5s") must be between 100ms and 10s',
  ],
  ["gelf", {}, "gelf-address is a required parameter"],
  ["gelf", { x: "9" }, "gelf-address is a required parameter"],
  ["gelf", { ...UDP, x: "9" }, 'unknown log opt "x" for gelf log driver'],
  ["gelf", { "gelf-address": "http://x" }, "gelf: endpoint needs to be TCP or UDP"],
  ["gelf", { "gelf-address": "udp://x" }, "gelf: please provide gelf-address as proto://host:port"],
  [
    "gelf",
    { ...UDP, "gelf-compression-type": "x" },
    'unknown value "x" for log opt "gelf-compression-type" for gelf log driver',
  ],
  [
    "gelf",
    { ...UDP, "gelf-compression-level": "10" },
    'unknown value "10" for log opt "gelf-compression-level" for gelf log driver',
  ],
  ["gelf", { ...TCP, "gelf-compression-level": "9" }, "compression is only supported on UDP"],
  ["gelf", { ...UDP, "gelf-tcp-max-reconnect": "9" }, '"gelf-tcp-max-reconnect" is only valid for TCP'],
  ["gelf", { ...TCP, "gelf-tcp-max-reconnect": "-9" }, '"gelf-tcp-max-reconnect" must be a positive integer'],
  ["journald", { x: "1" }, "unknown log opt 'x' for journald log driver"],
])("%s refuses %j", (driver, options, message) => {
  let said = "";
  try {
    validateLogConfig(driver as string, options as unknown as Record<string, string>);
  } catch (error) {
    said = (error as Error).message;
  }
  expect(said).toBe(message as string);
});

test("what is left to the start, or is no matter, is taken", () => {
  for (const [driver, options] of [
    ["none", { x: "y" }],
    ["syslog", {}],
    ["syslog", { "cache-max-size": "zz", tag: "{{.Nope}}", "labels-regex": "(" }],
    ["json-file", { "cache-disabled": "true", mode: "non-blocking", "max-buffer-size": "1m" }],
    ["local", { "cache-disabled": "true" }],
    ["journald", { tag: "x", env: "A" }],
  ] as [string, Record<string, string>][])
    expect(() => validateLogConfig(driver, options)).not.toThrow();
  expect(logDrivers()).toEqual(["fluentd", "gelf", "journald", "json-file", "local", "syslog"]);
});

test("syslog options", () => {
  const dir = mkdtempSync(`${tmpdir()}/gantry-syslog-`);
  writeFileSync(`${dir}/socket`, "");
  expect(() => validateLogConfig("syslog", { "syslog-address": `unixgram://${dir}/socket` })).not.toThrow();
  rmSync(dir, { recursive: true });
  const tls = { ca: "", cert: "", key: "", skipVerify: false };
  expect(parseSyslogOptions({})).toEqual({ address: null, facility: 24, format: "", tls });
  expect(
    parseSyslogOptions({
      "syslog-address": "tcp+tls://[::1]:6514",
      "syslog-facility": "local7",
      "syslog-format": "rfc5424",
      "syslog-tls-skip-verify": "",
      "syslog-tls-ca-cert": "/ca",
    }),
  ).toEqual({
    address: { type: "tcp+tls", host: "::1", port: "6514" },
    facility: 184,
    format: "rfc5424",
    tls: { ...tls, ca: "/ca", skipVerify: true },
  });
  expect(parseSyslogOptions({ "syslog-address": "udp://example.com", "syslog-facility": "0" })).toMatchObject({
    address: { type: "udp", host: "example.com", port: "514" },
    facility: 0,
  });
});

test("fluentd and gelf options", () => {
  expect(parseFluentdOptions({})).toEqual({
    address: { type: "tcp", host: "127.0.0.1", port: "24224" },
    async: false,
    retryWait: 1000,
    writeTimeout: 0,
    requestAck: false,
    subSecondPrecision: false,
  });
  expect(parseFluentdOptions({ "fluentd-address": "unix:///x.sock" }).address).toEqual({
    type: "unix",
    path: "/x.sock",
  });
  expect(parseFluentdOptions({ "fluentd-address": "tls://h" }).address).toEqual({
    type: "tls",
    host: "h",
    port: "24224",
  });
  expect(
    parseFluentdOptions({ "fluentd-address": ":99", "fluentd-retry-wait": "2.5s", "fluentd-request-ack": "1" }),
  ).toMatchObject({ address: { host: "127.0.0.1", port: "99" }, retryWait: 2500, requestAck: true });
  expect(parseGelfOptions(UDP)).toMatchObject({ compression: "gzip", level: 1 });
  expect(parseGelfOptions({ ...TCP, "gelf-tcp-reconnect-delay": "0" })).toMatchObject({ reconnectDelay: 0 });
});

test("the cache is rotated like the driver local; what it does not understand it leaves", () => {
  const local = { maxSize: 20971520, maxFile: 5, compress: true };
  expect(parseLogRotation("syslog", {})).toEqual(local);
  expect(parseLogRotation("gelf", { "cache-max-size": "zz", "cache-max-file": "0", "max-size": "1" })).toEqual(local);
  expect(parseLogRotation("syslog", { "cache-max-size": "1m", "cache-max-file": "1" })).toEqual({
    maxSize: 1048576,
    maxFile: 1,
    compress: false,
  });
  expect(parseLogRotation("syslog", { "cache-compress": "false" }).compress).toBe(false);
});

test("what may be read", () => {
  expect(readableLog("none", {})).toBe(false);
  expect(readableLog("syslog", {})).toBe(true);
  expect(readableLog("syslog", { "cache-disabled": "false" })).toBe(true);
  expect(readableLog("syslog", { "cache-disabled": "true" })).toBe(false);
  expect(readableLog("json-file", { "cache-disabled": "true" })).toBe(true);
});

test("durations as Go prints them", () => {
  expect([0, 1, 1500, 61_000, 3_600_500, -1000, 0.5].map(formatMilliseconds)).toEqual([
    "0s",
    "1ms",
    "1.5s",
    "1m1s",
    "1h0m0.5s",
    "-1s",
    "500µs",
  ]);
});
