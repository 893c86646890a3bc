import { expect, test } from "bun:test";
import type { Descriptor } from "@gantry/spec";
import { formatPlatform, matchingManifests, normalizePlatform, parsePlatform, runnablePlatforms } from "./platform.ts";

const host = { os: "linux", architecture: "amd64" };

test("every spelling of a platform", () => {
  const cases: Record<string, string> = {
    linux: "linux/amd64",
    arm64: "linux/arm64",
    aarch64: "linux/arm64",
    x86_64: "linux/amd64",
    i386: "linux/386",
    arm: "linux/arm/v7",
    armhf: "linux/arm/v7",
    armel: "linux/arm/v6",
    "linux/arm": "linux/arm/v7",
    "linux/arm/7": "linux/arm/v7",
    "linux/arm/v6": "linux/arm/v6",
    "Linux/AMD64": "linux/amd64",
    "linux/amd64/v1": "linux/amd64",
    "linux/amd64/v3": "linux/amd64/v3",
    "windows/amd64": "windows/amd64",
    "windows(10.0.17763)/amd64": "windows/amd64",
    "macos/arm64": "darwin/arm64",
  };
  for (const [text, wanted] of Object.entries(cases)) expect(formatPlatform(parsePlatform(text, host))).toBe(wanted);
});

test("what is no platform is refused in containerd's words", () => {
  expect(() => parsePlatform("foo", host)).toThrow('"foo": unknown operating system or architecture: invalid argument');
  expect(() => parsePlatform("linux/a b", host)).toThrow(
    '"a b" is an invalid component of "linux/a b": platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument',
  );
  expect(() => parsePlatform("a/b/c/d", host)).toThrow("cannot parse platform specifier");
  expect(() => parsePlatform("", host)).toThrow("invalid OS component");
});

test("what a machine runs, best first", () => {
  const run = (text: string) => runnablePlatforms(parsePlatform(text, host)).map(formatPlatform);
  expect(run("linux/amd64")).toEqual(["linux/amd64", "linux/386"]);
  expect(run("linux/amd64/v3")).toEqual(["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]);
  expect(run("linux/arm64")).toEqual(["linux/arm64", "linux/arm/v8", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]);
  expect(run("linux/arm/v6")).toEqual(["linux/arm/v6", "linux/arm/v5"]);
  expect(run("linux/s390x")).toEqual(["linux/s390x"]);
});

test("the best manifest first; attestations and what has no platform are left out", () => {
  const entry = (text: string | null, annotations?: Record<string, string>): Descriptor => ({
    mediaType: "m",
    digest: `sha256:${(text ?? "").padEnd(64, "0")}`,
    size: 1,
    annotations,
    ...(text ? { platform: normalizePlatform(parsePlatform(text, host)) } : {}),
  });
  const attestation = { "vnd.docker.reference.type": "attestation-manifest" };
  const list = [
    entry(null),
    entry("linux/386"),
    entry("linux/amd64", attestation),
    entry("linux/amd64"),
    entry("linux/arm64"),
  ];
  expect(matchingManifests(list, host)).toEqual([list[3]!, list[1]!]);
});
