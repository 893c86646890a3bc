import { invalidParameter, type Platform } from "@gantry/spec";

const ARCHITECTURES: Record<string, string> = { x64: "amd64", arm64: "arm64", ia32: "386", arm: "arm" };
const ALIASES: Record<string, [architecture: string, variant?: string]> = {
  x86_64: ["amd64"],
  "x86-64": ["amd64"],
  aarch64: ["arm64"],
  i386: ["386"],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

/** The platform of this machine. */
export function hostPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** `os/architecture[/variant]`, or an architecture alone. Throws invalidParameter. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw invalidParameter(`${JSON.stringify(text.slice(0, 200))} is an invalid OS/Arch specifier: invalid argument`);
  }
  const [os, arch, given] =
    parts.length === 1 ? [parts[0] === "linux" ? "linux" : undefined, parts[0], undefined] : parts;
  const [architecture, variant] = ALIASES[arch!] ?? [arch!];
  if (parts.length === 1 && os === "linux") return hostPlatform();
  return { os: os ?? "linux", architecture, ...((given ?? variant) ? { variant: given ?? variant } : {}) };
}

/** Whether an image for `platform` is what was asked for; a variant counts where both have one, v8 being arm64's own. */
export function matchesPlatform(platform: Partial<Platform>, wanted: Platform): boolean {
  if ((platform.os ?? "linux") !== wanted.os || platform.architecture !== wanted.architecture) return false;
  const normal = (variant: string | undefined) =>
    wanted.architecture === "arm64" ? (variant ?? "v8") : (variant ?? "");
  return !wanted.variant || !platform.variant || normal(platform.variant) === normal(wanted.variant);
}
