import { type Descriptor, invalidParameter, type Platform } from "@gantry/spec";

/**
 * Platforms as containerd and Docker read and match them: short forms, aliases, default variants, and what a machine
 * can run besides its own (an arm64 machine runs arm/v7, an amd64 one 386).
 */

const ARCHITECTURES: Record<string, [architecture: string, variant?: string]> = {
  i386: ["386"],
  i686: ["386"],
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};
const KNOWN = new Set(
  "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm i386 i686 x86_64 x86-64 aarch64 armhf armel".split(
    " ",
  ),
);
const SYSTEMS = new Set(["linux", "windows", "darwin", "freebsd", "macos"]);
const COMPONENT = /^[A-Za-z0-9_.-]+$/;
/** An operating system may carry its version and features: `windows(10.0.17763+feature)`. */
const SYSTEM = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;

/** The platform of this machine, normalized. */
export function hostPlatform(): Platform {
  const architecture = ({ x64: "amd64", ia32: "386" } as Record<string, string>)[process.arch] ?? process.arch;
  return normalizePlatform({ os: "linux", architecture, variant: process.arch === "arm" ? "v7" : undefined });
}

/** Reads `os`, `arch`, `os/arch` or `os/arch/variant`; what is left out is this machine's. Throws invalidParameter. */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split("/");
  for (const [i, part] of parts.entries()) {
    const pattern = i === 0 ? SYSTEM : COMPONENT;
    if (pattern.test(part)) continue;
    const what = i === 0 ? "OS component" : "component";
    const rule = i === 0 ? "OSAndVersion specifier component" : "platform specifier component";
    throw invalidParameter(
      `${JSON.stringify(part)} is an invalid ${what} of ${JSON.stringify(text)}: ${rule} must match ${JSON.stringify(pattern.source)}: invalid argument`,
    );
  }
  const [first = "", second = "", third] = parts.map((part) => part.replace(/\(.*$/, "").toLowerCase());
  if (parts.length > 3)
    throw invalidParameter(`${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`);
  if (parts.length === 1) {
    if (SYSTEMS.has(first)) return normalizePlatform({ ...host, os: first });
    if (KNOWN.has(first)) return normalizePlatform({ os: host.os, architecture: first });
    throw invalidParameter(`${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`);
  }
  const platform = normalizePlatform({ os: first, architecture: second, variant: third });
  // Asked for in so many words, it is repeated in so many words; matching makes no difference.
  return third === "v8" && platform.architecture === "arm64" ? { ...platform, variant: third } : platform;
}

/** One spelling for each platform: `linux/aarch64/v8` becomes `linux/arm64`, `arm` gets `v7`. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === "macos" ? "darwin" : platform.os.toLowerCase();
  const [architecture, implied] = ARCHITECTURES[platform.architecture.toLowerCase()] ?? [
    platform.architecture.toLowerCase(),
  ];
  let variant = (implied ?? platform.variant?.toLowerCase()) || undefined;
  if (architecture === "arm64" && (variant === "v8" || variant === "8")) variant = undefined;
  if (architecture === "amd64" && variant === "v1") variant = undefined;
  if (architecture === "arm") variant = variant === undefined ? "v7" : /^\d$/.test(variant) ? `v${variant}` : variant;
  const out: Platform = { architecture, os };
  if (variant) out.variant = variant;
  if (platform["os.version"]) out["os.version"] = platform["os.version"];
  return out;
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
}

/** What a machine of this platform runs, best first, the platform itself included. */
export function runnablePlatforms(platform: Platform): Platform[] {
  const { os, architecture, variant } = normalizePlatform(platform);
  const level = Number(/^v(\d+)$/.exec(variant ?? "")?.[1] ?? 0);
  const down = (from: number, to: number) => Array.from({ length: Math.max(0, from - to + 1) }, (_, i) => from - i);
  const out: Platform[] = [];
  const add = (name: string, versions: (string | undefined)[]) => {
    for (const v of versions) out.push(normalizePlatform({ os, architecture: name, variant: v }));
  };
  if (architecture === "amd64") {
    add("amd64", [variant, ...down(level - 1, 1).map((v) => `v${v}`)]);
    add("386", [undefined]);
  } else if (architecture === "arm64") {
    add("arm64", [variant, ...down(level - 1, 8).map((v) => `v${v}`)]);
    add("arm", ["v8", "v7", "v6", "v5"]);
  } else if (architecture === "arm") {
    add("arm", [variant, ...down(level - 1, 5).map((v) => `v${v}`)]);
  } else {
    add(architecture, [variant]);
  }
  return out;
}

/** How well something for `candidate` serves `wanted`: 0 is best, -1 does not serve. */
export function platformRank(wanted: Platform, candidate: Platform): number {
  const text = formatPlatform(normalizePlatform(candidate));
  return runnablePlatforms(wanted).findIndex((platform) => formatPlatform(platform) === text);
}

/** The manifests of an index that serve the platform, best first; attestations (unknown/unknown) never do. */
export function matchingManifests(manifests: readonly Descriptor[], wanted: Platform): Descriptor[] {
  return manifests
    .map((descriptor) => ({ descriptor, rank: descriptor.platform ? platformRank(wanted, descriptor.platform) : -1 }))
    .filter(({ rank, descriptor }) => rank >= 0 && !isAttestation(descriptor))
    .sort((a, b) => a.rank - b.rank)
    .map(({ descriptor }) => descriptor);
}

/** Whether the manifest is BuildKit's attestation for another one of the same index. */
export function isAttestation(descriptor: Descriptor): boolean {
  return descriptor.annotations?.["vnd.docker.reference.type"] === "attestation-manifest";
}
