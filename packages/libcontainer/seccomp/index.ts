/** System call filters: OCI and Docker profiles to classic BPF. */
export { seccompFlags } from "./actions.ts";
export { compileSeccomp } from "./compile.ts";
export { defaultSeccomp } from "./default.ts";
export type { KernelVersion } from "./kernel.ts";
export { loadDockerProfile } from "./profile.ts";
