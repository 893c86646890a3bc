/** A container from an OCI runtime spec: plan compiler, seccomp compiler, capabilities, cgroups, the shim. */
export { type AppArmor, hostAppArmor, profileName } from "./apparmor/index.ts";
export * from "./capabilities/index.ts";
export * from "./cgroups/index.ts";
export * from "./contract.ts";
export * from "./defaults.ts";
export type { ExternalOptions } from "./runtime/external.ts";
export { installInit } from "./runtime/init.ts";
export { type GantryRuntime, openRuntime, type RuntimeOptions } from "./runtime/runtime.ts";
export * from "./seccomp/index.ts";
export { shimBinary } from "./shim/binary.ts";

/**
 * Runs one command line of `gantry-runtime` (runc's commands and options); its exit code. `shimPath` is the shim's executable. What
 * it says goes to standard output, errors to standard error.
 */
export async function runtimeMain(words: string[], shimPath: string): Promise<number> {
  return (await import("./cli/main.ts")).runtimeMain(words, shimPath);
}
