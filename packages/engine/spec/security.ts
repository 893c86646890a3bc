import { readFileSync } from "node:fs";
import { defaultSeccomp, loadDockerProfile } from "@gantry/libcontainer";
import { type HostConfig, invalidParameter, type LinuxSeccomp } from "@gantry/spec";
import type { EngineConfig } from "../config/engine-config.ts";
import { parseBool } from "../config/modes.ts";

/** What `SecurityOpt` comes to. */
export interface Security {
  noNewPrivileges: boolean;
  /** null: no filter. */
  seccomp: LinuxSeccomp | null;
  /** Nothing of /proc and /sys is hidden or read-only. */
  systemPathsUnconfined: boolean;
  writableCgroups: boolean;
}

const arch = () => (process.arch === "arm64" ? "arm64" : "x64");
export function security(host: HostConfig, capabilities: string[], engine: EngineConfig): Security {
  const result: Security = {
    noNewPrivileges: engine.noNewPrivileges,
    seccomp: null,
    systemPathsUnconfined: false,
    writableCgroups: host.Privileged === true,
  };
  let profile: string | null = null;
  for (const option of host.SecurityOpt ?? []) {
    const at = option.search(/[:=]/);
    const key = at < 0 ? option : option.slice(0, at);
    const value = at < 0 ? "" : option.slice(at + 1);
    if (key === "no-new-privileges") result.noNewPrivileges = value === "" || parseBool(value) === true;
    else if (key === "seccomp") profile = value;
    else if (key === "systempaths" && value === "unconfined") result.systemPathsUnconfined = true;
    else if (key === "writable-cgroups") result.writableCgroups = value === "" || parseBool(value) === true;
  }
  // A privileged container has no filter but one that was asked for by name.
  if (profile === null && host.Privileged !== true) profile = engine.seccompProfile || "builtin";
  if (profile === null || profile === "unconfined") return result;
  if (profile === "builtin" || profile === "default") result.seccomp = defaultSeccomp(capabilities, arch());
  else
    result.seccomp = loadDockerProfile(
      profile.trimStart().startsWith("{") ? profile : readProfile(profile),
      capabilities,
      arch(),
    );
  return result;
}

/** The profile that `--security-opt apparmor=` names; "" without. The last one counts. */
export function askedAppArmor(host: HostConfig): string {
  return host.SecurityOpt?.findLast((option) => /^apparmor[:=]/.test(option))?.slice("apparmor=".length) ?? "";
}

function readProfile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    throw invalidParameter(`opening seccomp profile (${path}) failed`);
  }
}
