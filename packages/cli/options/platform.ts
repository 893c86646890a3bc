import type { PlatformQuery } from "@gantry/client";
import { CliError } from "../errors.ts";

/** `os[/arch[/variant]]` as the API takes it. Throws CliError. */
export function parsePlatform(text: string): PlatformQuery {
  const [os = "", architecture = process.arch === "x64" ? "amd64" : process.arch, variant, ...rest] = text
    .toLowerCase()
    .split("/");
  if (rest.length > 0 || !/^[a-z0-9_-]+$/.test(os)) {
    throw new CliError(
      `invalid platform: ${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`,
    );
  }
  const names: Record<string, string> = {
    x86_64: "amd64",
    "x86-64": "amd64",
    aarch64: "arm64",
    i386: "386",
    armhf: "arm",
  };
  return { os, architecture: names[architecture] ?? architecture, ...(variant ? { variant } : {}) };
}
