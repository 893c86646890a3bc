import { invalidParameter, messageOf } from "@gantry/spec";
import { type GoUrl, parseGoUrl, splitHostPort } from "./go-url.ts";
import { formatMilliseconds, parseBool, parseLogSize, parseMilliseconds, parseUint } from "./log-values.ts";

export interface FluentdOptions {
  address: { type: "tcp" | "tls"; host: string; port: string } | { type: "unix"; path: string };
  /** The container starts though nobody listens. */
  async: boolean;
  /** Milliseconds before the second try to connect; it grows by half with each, up to a minute. */
  retryWait: number;
  /** Milliseconds in which a write has to get on; 0 for ever. */
  writeTimeout: number;
  /** Each message is to be acknowledged. */
  requestAck: boolean;
  /** Times with nanoseconds. */
  subSecondPrecision: boolean;
}

/**
 * Reads and checks the options of the driver `fluentd`. Throws invalidParameter in Docker's words. Those that bound what
 * Docker keeps in memory (fluentd-buffer-limit) and how often it tries before it drops a line (fluentd-max-retries) are
 * checked but have no meaning: lines wait on disk.
 */
export function parseFluentdOptions(options: Record<string, string>): FluentdOptions {
  const given = (name: string) => options[`fluentd-${name}`] || undefined;
  const address = parseAddress(options["fluentd-address"] ?? "");
  const buffer = given("buffer-limit");
  if (buffer !== undefined) parseLogSize(buffer);
  const wait = given("retry-wait");
  const retryWait = wait === undefined ? 1000 : Math.trunc(parseMilliseconds(wait));
  const retries = given("max-retries");
  if (retries !== undefined && parseUint(retries, 32) > 0x7fffffff) {
    throw invalidParameter("invalid fluentd-max-retries: value out of range");
  }
  const flag = (name: string) => {
    const value = given(name);
    return value === undefined ? false : parseBool(value);
  };
  const async = flag("async");
  checkReconnect(given("async-reconnect-interval"));
  const subSecondPrecision = flag("sub-second-precision");
  const requestAck = flag("request-ack");
  const writeTimeout = timeout("fluentd-write-timeout", given("write-timeout"));
  timeout("fluentd-read-timeout", given("read-timeout"));
  return { address, async, retryWait: retryWait || 500, writeTimeout, requestAck, subSecondPrecision };
}

function checkReconnect(text: string | undefined): void {
  if (text === undefined) return;
  const what = "invalid value for fluentd-async-reconnect-interval";
  let ms: number;
  try {
    ms = parseMilliseconds(text);
  } catch (error) {
    throw invalidParameter(`${what}: ${messageOf(error)}`);
  }
  if (ms !== 0 && (ms < 100 || ms > 10_000)) {
    throw invalidParameter(`${what}: value ("${formatMilliseconds(ms)}") must be between 100ms and 10s`);
  }
}

function timeout(name: string, text: string | undefined): number {
  if (text === undefined) return 0;
  let ms: number;
  try {
    ms = parseMilliseconds(text);
  } catch (error) {
    throw invalidParameter(`invalid value for ${name}: value must be a duration: ${messageOf(error)}`);
  }
  if (ms < 0) throw invalidParameter(`invalid value for ${name}: value must be a duration that is non-negative`);
  return ms;
}

function parseAddress(text: string): FluentdOptions["address"] {
  if (text === "") return { type: "tcp", host: "127.0.0.1", port: "24224" };
  const fail = (why: string) => invalidParameter(`invalid fluentd-address (${text}): ${why}`);
  let url: GoUrl;
  try {
    url = parseGoUrl(text.includes("://") ? text : `tcp://${text}`);
  } catch (error) {
    throw fail(messageOf(error));
  }
  if (url.scheme === "unix") {
    if (/^\/*$/.test(url.path)) throw fail("path is empty");
    return { type: "unix", path: url.path };
  }
  if (url.scheme !== "tcp" && url.scheme !== "tls") throw fail(`unsupported scheme: '${url.scheme}'`);
  if (url.path !== "") throw fail("should not contain a path element");
  const { host, port } = splitHostPort(url.host) ?? { host: url.host.replace(/^\[(.*)\]$/, "$1"), port: "" };
  try {
    if (port !== "") parseUint(port, 16);
  } catch (error) {
    throw fail(`invalid port: ${messageOf(error)}`);
  }
  return { type: url.scheme, host: host || "127.0.0.1", port: port || "24224" };
}
