import type { PlatformQuery } from "@gantry/client";
import { CliError } from "../errors.ts";

const KNOWN = new Set(
  "linux windows darwin freebsd 386 amd64 x86_64 x86-64 arm arm64 aarch64 armhf i386 loong64 mips64 mips64le ppc64le riscv64 s390x".split(
    " ",
  ),
);

/** `os[/arch[/variant]]` as the API takes it. Throws CliError. */
export function parsePlatform(text: string): PlatformQuery {
  const [os = "", architecture = process.arch === "x64" ? "amd64" : process.arch, variant, ...rest] = text
    .toLowerCase()
    .split("/");
  // A lone word may be a system or an architecture, but has to be a known one.
  const lone = !text.includes("/");
  if (rest.length > 0 || !/^[a-z0-9_-]+$/.test(os) || (lone && !KNOWN.has(os))) {
    throw new CliError(
      `error parsing specified platform: ${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`,
    );
  }
  if (lone && os !== "linux" && os !== "windows" && os !== "darwin" && os !== "freebsd") {
    return parsePlatform(`linux/${os}`);
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
