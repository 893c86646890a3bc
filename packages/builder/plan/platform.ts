import { invalidParameter, type Platform } from "@gantry/spec";

const ARCHITECTURES: Record<string, { architecture: string; variant?: string }> = {
  x86_64: { architecture: "amd64" },
  "x86-64": { architecture: "amd64" },
  x64: { architecture: "amd64" },
  aarch64: { architecture: "arm64" },
  armhf: { architecture: "arm", variant: "v7" },
  armel: { architecture: "arm", variant: "v6" },
  i386: { architecture: "386" },
};

/** This machine's platform. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
}

/**
 * `os[/arch[/variant]]`, or a lone architecture, normalized (x86_64 → amd64, aarch64 → arm64, arm64's v8 left out).
 * Throws invalidParameter.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  const wrong = parts.find((part) => !/^[a-z0-9_.-]+$/.test(part));
  if (wrong !== undefined) {
    throw invalidParameter(
      `${JSON.stringify(wrong)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument`,
    );
  }
  if (parts.length > 3) {
    throw invalidParameter(`${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`);
  }
  const [first, second, variant] = parts as [string, string | undefined, string | undefined];
  if (second === undefined) {
    if (first === "linux") return hostPlatform();
    const known = ["amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64", "loong64", "mips64le"];
    if (!known.includes(first) && !ARCHITECTURES[first]) {
      throw invalidParameter(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
    }
    return normalize("linux", first, undefined);
  }
  return normalize(first, second, variant);
}

function normalize(os: string, architecture: string, variant: string | undefined): Platform {
  const alias = Object.hasOwn(ARCHITECTURES, architecture) ? ARCHITECTURES[architecture]! : { architecture };
  let v = variant ?? alias.variant;
  if (alias.architecture === "arm64" && (v === "v8" || v === "8")) v = undefined;
  if (alias.architecture === "arm" && v !== undefined && !v.startsWith("v")) v = `v${v}`;
  return v ? { os, architecture: alias.architecture, variant: v } : { os, architecture: alias.architecture };
}

/** `os/arch[/variant]`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
}

/** The arguments FROM sees without declaration, and stages may declare. */
export function platformArgs(build: Platform, target: Platform): Record<string, string> {
  return {
    BUILDPLATFORM: formatPlatform(build),
    BUILDOS: build.os,
    BUILDARCH: build.architecture,
    BUILDVARIANT: build.variant ?? "",
    TARGETPLATFORM: formatPlatform(target),
    TARGETOS: target.os,
    TARGETARCH: target.architecture,
    TARGETVARIANT: target.variant ?? "",
  };
}
