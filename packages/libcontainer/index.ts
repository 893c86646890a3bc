/** A container from an OCI runtime spec: plan compiler, seccomp compiler, capabilities, cgroups, the shim. */
export * from "./capabilities/index.ts";
export * from "./cgroups/index.ts";
export * from "./contract.ts";
export * from "./defaults.ts";
export type { ExternalOptions } from "./runtime/external.ts";
export { installInit } from "./runtime/init.ts";
export { type GantryRuntime, openRuntime, type RuntimeOptions } from "./runtime/runtime.ts";
export * from "./seccomp/index.ts";
